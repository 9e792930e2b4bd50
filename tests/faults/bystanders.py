"""Clients that go about their business while something fails beside them, and notice anything that is not theirs.

Every answer is compared with the nonce that was asked for, every transaction writes two rows or none to a ledger. The
settings of each are its own, so that servers have to be adjusted from one to the next. A bystander ends by itself when
its connection does; then ``ending`` tells with which SQLSTATEs, in order.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import (
    SYNC,
    Frame,
    Wire,
    bind,
    error_fields,
    execute,
    frame,
    parse,
    query,
    rows,
    split_frames,
)

LEDGER = "bystanders"
CREATE = f"DROP TABLE IF EXISTS {LEDGER}; CREATE TABLE {LEDGER} (nonce text, part int)"


class Bystander:
    """One logged-in client in a loop; ``answers`` counts what was right, a wrong answer raises AssertionError."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.wire = wire
        self.name = name
        self.answers = 0
        self.ending: list[str] | None = None
        self.acknowledged: set[str] = set()
        self.tried: set[str] = set()
        self._seen = bytearray()

    async def run(self, stopped: Callable[[], bool]) -> None:
        """Until stopped or closed; what closed it is kept."""
        try:
            for business in itertools.cycle(BUSINESS):
                if stopped():
                    return
                await business(self)
                self.answers += 1
        except Closed as closed:
            self.ending = closed.sqlstates

    async def ask(self, *messages: bytes) -> list[Frame]:
        """Send and read up to ReadyForQuery; Closed when the connection ends before that."""
        try:
            await self.wire.send(*messages)
            frames: list[Frame] = []
            while not frames or frames[-1].type != "Z":
                frames.append(await self.wire.read_frame())
                if frames[-1].type == "E" and _is_an_end(error_fields(frames[-1])):
                    raise Closed([error_fields(frames[-1])["C"]])
        except (asyncio.IncompleteReadError, ConnectionError) as end:
            rest = getattr(end, "partial", b"")
            raise Closed([error_fields(item)["C"] for item in split_frames(rest) if item.type == "E"]) from None
        return [item for item in frames if item.type != "S"]

    async def select(self) -> None:
        nonce = secrets.token_hex(8)
        self.is_mine(await self.ask(query(f"SELECT '{nonce}', current_setting('application_name')")), nonce)

    async def unnamed(self) -> None:
        nonce = secrets.token_hex(8)
        asked = parse("SELECT $1::text, current_setting('application_name')") + bind(values=[nonce.encode()])
        self.is_mine(await self.ask(asked + execute() + SYNC), nonce)

    async def named(self) -> None:
        """A statement that others know by the same name and the same text, and one that nobody else has."""
        nonce, own = secrets.token_hex(8), f"own {self.answers}"
        for name, sql in (
            ("all", "SELECT $1::text, current_setting('application_name')"),
            (own, f"SELECT $1, '{own}'"),
        ):
            if name == own or not self.answers:
                assert [item.type for item in await self.ask(parse(sql, name) + SYNC)] == ["1", "Z"]
            frames = await self.ask(bind(name, [nonce.encode()]) + execute() + SYNC)
            assert rows(frames)[0][0] == nonce.encode(), frames

    async def fail(self) -> None:
        """An error of its own, in the words it has asked for; what is parsed before it is forgotten again."""
        nonce = secrets.token_hex(8)
        asked = parse(f"SELECT '{nonce}'::int", f"failed {nonce}") + bind(f"failed {nonce}") + execute() + SYNC
        frames = await self.ask(asked)
        assert nonce in error_fields(frames[-2])["M"], frames

    async def write(self) -> None:
        nonce = secrets.token_hex(8)
        self.tried.add(nonce)
        await self.ask(query("BEGIN"))
        await self.ask(query(f"INSERT INTO {LEDGER} VALUES ('{nonce}', 1)"))
        await self.ask(query(f"INSERT INTO {LEDGER} VALUES ('{nonce}', 2)"))
        frames = await self.ask(query("COMMIT"))
        assert frames[0].body == b"COMMIT\0", frames
        self.acknowledged.add(nonce)

    async def copy(self) -> None:
        nonce = secrets.token_hex(8)
        self.tried.add(nonce)
        data = frame("d", f"{nonce}\t1\n".encode()) + frame("d", f"{nonce}\t2\n".encode()) + frame("c")
        frames = await self.ask(query(f"COPY {LEDGER} FROM STDIN") + data)
        assert [item.type for item in frames] == ["G", "C", "Z"], frames
        self.acknowledged.add(nonce)

    def is_mine(self, frames: list[Frame], nonce: str) -> None:
        assert rows(frames) == [[nonce.encode(), self.name.encode()]], frames
        assert frames[-1].body == b"I"


BUSINESS: list[Callable[[Bystander], Coroutine[Any, Any, None]]] = [
    Bystander.named,
    Bystander.select,
    Bystander.unnamed,
    Bystander.write,
    Bystander.fail,
    Bystander.copy,
]


class Closed(Exception):
    """The connection has ended; its last words' SQLSTATEs."""

    def __init__(self, sqlstates: list[str]) -> None:
        super().__init__(*sqlstates)
        self.sqlstates = sqlstates


def _is_an_end(fields: dict[str, str]) -> bool:
    """Of the connection, or of its server's: drivers, too, take class 08 for an end."""
    return fields["S"] == "FATAL" or fields["C"].startswith("08")


class Crowd:
    """Bystanders of one database."""

    def __init__(self, members: list[Bystander]) -> None:
        self.members = members

    @property
    def answers(self) -> int:
        return sum(member.answers for member in self.members)

    @property
    def endings(self) -> list[list[str]]:
        """How those ended whose connection did."""
        return [member.ending for member in self.members if member.ending is not None]

    async def check_ledger(self, postgres: Postgres) -> None:
        """What was acknowledged is there, whole; what was not, is there whole or not at all."""
        parts: dict[str, list[int]] = {}
        for nonce, part in await postgres.fetch(f"SELECT nonce, part FROM {LEDGER} ORDER BY nonce, part"):
            parts.setdefault(nonce, []).append(part)
        for member in self.members:
            for nonce in member.tried:
                found = parts.pop(nonce, [])
                assert found == [1, 2] or (nonce not in member.acknowledged and not found), (nonce, found)
        assert not parts


@asynccontextmanager
async def crowd(proxy: Proxy, database: str, count: int) -> AsyncIterator[Crowd]:
    """So many bystanders at work; what they found wrong is raised at the end."""
    stop = asyncio.Event()
    members = [Bystander(await Wire.connect(proxy.port), f"bystander {i}") for i in range(count)]
    tasks: list[asyncio.Task[None]] = []
    try:
        for member in members:
            await member.wire.login(
                "postgres", proxy.users["postgres"], database=database, application_name=member.name
            )
            tasks.append(asyncio.create_task(member.run(stop.is_set)))
        yield Crowd(members)
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for member in members:
            await member.wire.close()
