"""A script, played: its clients log in, say what it says, and all that comes back becomes the lines of a transcript.

What a session may see at different moments is taken out of the order: the parameters a client was told of are compared
as they are at each ReadyForQuery, and notifications as one list a client. Everything else stands where it came.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from tests.differential.rendering import notification, render
from tests.differential.script import END, NOTHING, Cancel, Elsewhere, Read, Say, Script, Step, Until, Vanish
from tests.integration.postgres import PASSWORD
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire

PATIENCE_S = 12.0  # after which a peer that still owes something counts as silent
SILENCE_S = 2.0  # the same, in a script that PostgreSQL meets with silence
SILENT = "nothing more came"
CLOSED = "closed"

Ask = Callable[[str], Awaitable[bool]]  # runs SQL at the server, by itself; whether the answer is true
Between = Callable[[], Awaitable[None]]
ENDED = (asyncio.IncompleteReadError, ConnectionResetError, BrokenPipeError)


class Place(NamedTuple):
    """Where a script is played: at PostgreSQL itself, or at a pool."""

    port: int
    database: str


class Talker:
    """One client of a script; `lines` is what it has seen."""

    def __init__(self, number: int, wire: Wire, lines: list[str], patience_s: float) -> None:
        self.number = number
        self.wire = wire
        self.lines = lines
        self.patience_s = patience_s
        self.outbox = b""
        self.open = True
        self.status = ""
        self.told: dict[str, str] = {}
        self.notifications: list[str] = []
        self.unread_notifications = 0

    def note(self, line: str) -> None:
        self.lines.append(f"@{self.number} {line}")

    async def log_in(self, user: str, database: str, startup: Mapping[str, str]) -> None:
        async with asyncio.timeout(self.patience_s):
            await self.wire.send_startup({"user": user, "database": database, **startup})
            frames = await self.wire.login_with(user, PASSWORD)
        for frame in frames:
            if frame.type not in "R":
                self._on_frame(frame)
        self.open = frames[-1].type == "Z"
        if not self.open:
            self.note(CLOSED)

    async def read(self, until: str, count: int) -> None:
        """Send what was said; see `Read` for what is waited for."""
        if not self.open:
            return
        data, self.outbox = self.outbox, b""
        try:
            async with asyncio.timeout(self.patience_s):
                if data:
                    await self.wire.send(data)
                await self._read(until, count)
        except TimeoutError:
            self._end(SILENT)
        except ENDED:
            self._end(CLOSED)

    async def _read(self, until: str, count: int) -> None:
        if until == NOTHING:
            return
        if until == "A":
            while self.unread_notifications < count:
                self._on_frame(await self.wire.read_frame())
            self.unread_notifications -= count
            return
        while count or until == END:
            frame = await self.wire.read_frame()
            self._on_frame(frame)
            count -= frame.type not in "SA" and (not until or frame.type == until)

    def _on_frame(self, frame: Frame) -> None:
        if frame.type == "S":
            name, value = frame.body[:-1].split(b"\0")
            self.wire.parameters[name.decode()] = value.decode(errors="backslashreplace")
        elif frame.type == "A":
            self.notifications.append(notification(frame))
            self.unread_notifications += 1
        else:
            if frame.type == "Z":
                self.status = frame.body.decode()
                self._note_parameters()
            self.note(render(frame))

    def _note_parameters(self) -> None:
        now = self.wire.parameters
        for name in sorted(now):
            if self.told.get(name) != now[name]:
                self.note(f"S {name}={now[name]!r}")
        self.told = dict(now)

    def _end(self, how: str) -> None:
        self.note(how)
        self.open = False

    async def leave(self) -> None:
        """Terminate, with what was said and not yet sent; whatever still comes is seen."""
        if self.open:
            self.outbox += b"X\0\0\0\4"
            await self.read(END, 0)
        for line in self.notifications:
            self.note(line)


async def play(script: Script, place: Place, ask: Ask, between: Between | None = None) -> list[str]:
    """The transcript; `between` is awaited wherever a unit has ended outside a transaction."""
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        talkers: dict[int, Talker] = {}
        for number in script.clients:
            wire = await stack.enter_async_context(await Wire.connect(place.port))
            talkers[number] = talker = Talker(number, wire, lines, SILENCE_S if script.silent else PATIENCE_S)
            database = script.startup.get(number, {}).get("database", place.database)
            await talker.log_in(script.user, database, script.startup.get(number, {}) | {"database": database})
        for step in script.steps:
            talker = talkers[step.client]
            await _take(step, talker, place, ask)
            if between is not None and isinstance(step, Read) and talker.status == "I" and talker.open:
                await between()
        for talker in talkers.values():
            await talker.leave()
    return [_hidden(line, script.hidden) for line in lines]


async def _take(step: Step, talker: Talker, place: Place, ask: Ask) -> None:
    match step:
        case Say():
            talker.outbox += step.data
        case Read():
            await talker.read(step.until, step.count)
        case Cancel():
            await Wire.cancel(place.port, talker.wire.backend_pid, talker.wire.cancel_key)
        case Vanish():
            talker.wire.abort()
            talker.open = False
        case Until():
            await wait_until(lambda: ask(step.sql), what=f"line {step.line}: {step.sql}")
        case Elsewhere():
            await ask(step.sql)


def _hidden(line: str, patterns: list[str]) -> str:
    for pattern in patterns:
        line = re.sub(pattern, "(hidden)", line)
    return line
