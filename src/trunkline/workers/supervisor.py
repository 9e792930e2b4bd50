"""The supervisor of several workers: it accepts for all of them, replaces who dies, and carries what they say.

Rules:
1. A connection goes to the worker with the fewest clients (`spreading`); while no worker is ready, it waits in the
   kernel.
2. A worker that dies takes its clients along and nobody else's; another one is started at once, or after a growing
   pause if it died before it served.
3. Whatever the supervisor is told, by signal or console, it tells all workers; it serves no client itself, so that
   nothing a client says can harm it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from trunkline.config.build import with_settings
from trunkline.config.diagnostics import Report
from trunkline.config.settings import Config
from trunkline.config.sources import Text
from trunkline.errors import ConfigError, TrunklineError
from trunkline.metrics.merging import Gathered
from trunkline.net.tasks import Tasks
from trunkline.proxy.instance import Drain
from trunkline.proxy.listener import Listener
from trunkline.workers import spawning
from trunkline.workers.channel import Arguments, ChannelEnded
from trunkline.workers.gatekeeper import Gatekeeper
from trunkline.workers.handed import hand
from trunkline.workers.handover import Sockets
from trunkline.workers.limits import Limits
from trunkline.workers.member import Member
from trunkline.workers.spreading import by_load
from trunkline.workers.standing import Standing

log = logging.getLogger("trunkline.workers")

RETRY_S = 0.01  # before a connection is offered again that no worker took
KILL_S = 5.0  # how long a worker may take to stop that was told to
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Supervisor:
    """One instance of several processes, as signals and its workers see it."""

    def __init__(
        self, load: Callable[[], Config], config: Config, sockets: Sockets | None = None, elders_before: int = 0
    ) -> None:
        self._load = load
        self._elders_before = elders_before
        self.config = config
        self.stopped = asyncio.Event()
        self.tasks = Tasks()
        self.members: dict[int, Member] = {}
        self.ending = False
        self.failed = False
        self.elsewhere: Callable[[int, bytes], Awaitable[bool]] = _nobody  # processes that this one has followed
        self.may_end: Callable[[], Awaitable[None]] = _at_once  # what else has to be over before a retirement ends
        self._ready = asyncio.Event()
        self._offered: deque[socket.socket] = deque()
        self._pause_s = FIRST_PAUSE_S
        self.standing = Standing()
        self.limits = Limits(self)
        self.gates = Gatekeeper()
        self.listener = Listener(
            config.settings,
            self._offer,
            sockets.listening if sockets is not None else None,
            lent=sockets is not None and sockets.lent,
        )
        self.listener.suspend()

    # --- start and stop -----------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Start all workers, and let clients in when they serve; returns the port. ConfigError if one cannot serve."""
        for number in range(1, self.config.settings.workers + 1):
            await self._start_member(number)
        stopped = self.tasks.spawn(self.stopped.wait(), "stop")
        ready = self.tasks.spawn(self._ready.wait(), "ready")
        await asyncio.wait([stopped, ready], return_when=asyncio.FIRST_COMPLETED)
        if self.failed:
            raise ConfigError("a worker did not start", hint="It has told why.")
        return self.listener.port

    async def _start_member(self, number: int) -> None:
        count, port = self.config.settings.workers, self.listener.port
        what = spawning.Worker(number, count, port, elders_before=self._elders_before)
        self.members[number] = await Member.start(what, self._serve, self._on_end)

    @property
    def serving(self) -> dict[int, Member]:
        return {number: member for number, member in self.members.items() if member.ready}

    def drain(self, what: Drain = Drain.CLIENTS) -> None:
        """Take no newcomers, let everybody finish, then stop. A second call stops at once."""
        if self.ending:
            self.stop()
            return
        log.info("shutting down: %s", what.value)
        self._end()
        for member in self.members.values():
            member.channel.tell("drain", what=what.value)
        self.tasks.spawn(self._stop_if_alone(), "stop")

    def retire(self) -> None:
        """Another program takes those who come: end when all clients of all workers have left."""
        self.ending = True
        while self._offered:
            if not self._give(self._offered.popleft()):
                break
        for member in self.members.values():
            member.channel.tell("retire", given=member.load.given)
        self.tasks.spawn(self._stop_if_alone(), "stop")

    async def cancel_here(self, pid: int, key: bytes) -> bool:
        """Whether a client of ours has this key; returns when its server has heard."""
        return any(await self.ask("cancel", {"pid": pid, "key": key.hex()}))

    def stop(self) -> None:
        """End now: `run` returns."""
        self._end()
        self.stopped.set()

    async def reload(self) -> None:
        """Read the configuration again, and have all workers do so; ConfigError, and nothing changed, if it is bad."""
        try:
            self.config = self._load()
        except ConfigError as error:
            log.error("reload refused, the old settings stay: %s", error.message)
            raise
        self.standing.note("act", {"name": "RELOAD", "argument": ""})
        self.tasks.spawn(self._tell_all("reload"), "reload")

    async def pause(self) -> None:
        """Give out no servers; returns when all are closed."""
        self.standing.note("act", {"name": "PAUSE", "argument": ""})
        await self._tell_all("pause", database="")

    async def resume(self) -> None:
        """Undo `pause`."""
        self.standing.note("resume", {})
        await self._tell_all("resume", database="")

    async def _tell_all(self, verb: str, **arguments: Any) -> None:
        try:
            await self.ask(verb, arguments)
        except TrunklineError as error:
            log.error("%s: %s", verb, error.message)

    def _end(self) -> None:
        self.ending = True
        self.listener.close()
        while self._offered:
            self._offered.popleft().close()

    async def _stop_if_alone(self) -> None:
        if self.ending and not self.members:
            await self.may_end()
            self.stopped.set()

    async def close(self) -> None:
        """End all workers that are left."""
        self._end()
        for member in self.members.values():
            member.channel.tell("stop")
        await asyncio.gather(*(member.ended(KILL_S) for member in self.members.values()))
        await self.tasks.cancel()

    # --- metrics ------------------------------------------------------------------------------------------------

    def unready(self) -> str:
        """Why no client should be sent here now, in a word; empty if one may come."""
        if self.ending or self.stopped.is_set():
            return "draining"
        return ("paused" if self.standing.is_paused else "") if self.serving else "starting"

    async def source(self) -> Gathered:
        """The metrics of all workers."""
        pids = (os.getpid(), *(member.pid for member in self.serving.values()))
        told = await self.ask("metrics", {})
        return Gathered(pids, told, self.config.settings.metrics_pgbouncer_names)

    def on_timer(self, now: float) -> None:
        """The workers keep their own time."""

    # --- members ------------------------------------------------------------------------------------------------

    def _on_end(self, member: Member) -> None:
        self.tasks.spawn(self._bury(member), f"end of worker {member.number}")

    async def _bury(self, member: Member) -> None:
        code = await member.ended(KILL_S)
        if self.stopped.is_set():
            return
        self.members.pop(member.number, None)
        self.limits.forget(member)
        self.gates.forget(member)
        if self.ending:
            await self._stop_if_alone()
            return
        log.error("worker %d (pid %d) has ended: %d", member.number, member.pid, code)
        if self.standing.suspended_by == member.number:  # with its console, the only one who could undo it
            self.tasks.spawn(self.resume(), "resume")
        if not self._ready.is_set():
            self.failed = True
            self.stop()
            return
        if not self.serving:
            self.listener.suspend()
        if not member.ready:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        if not self.ending:
            await self._start_member(member.number)

    async def _on_ready(self, member: Member) -> None:
        member.ready = True
        for verb, arguments in self.standing.orders:
            member.channel.tell(verb, **arguments)
        log.info("worker %d serves, pid %d", member.number, member.pid)
        self._pause_s = FIRST_PAUSE_S
        if self._ready.is_set() or len(self.serving) == self.config.settings.workers:
            self._ready.set()
            self.listener.wake()

    # --- connections --------------------------------------------------------------------------------------------

    def _offer(self, connection: socket.socket, remote: object) -> None:
        if self._offered or not self._give(connection):
            self._offered.append(connection)
            if len(self._offered) == 1:
                self.listener.suspend()
                asyncio.get_running_loop().call_later(RETRY_S, self._offer_again)

    def _offer_again(self) -> None:
        while self._offered and self._give(self._offered[0]):
            self._offered.popleft()
        if self._offered:
            asyncio.get_running_loop().call_later(RETRY_S, self._offer_again)
        elif not self.ending:
            self.listener.wake()

    def _give(self, connection: socket.socket) -> bool:
        serving = self.serving
        for number in by_load({number: member.load for number, member in serving.items()}):
            if hand(serving[number].connections, connection):
                serving[number].load.given += 1
                return True
        return False

    # --- what workers ask ---------------------------------------------------------------------------------------

    async def _serve(self, member: Member, verb: str, arguments: Arguments) -> Any:
        of_parts = self.limits.verbs.get(verb) or self.gates.verbs.get(verb)
        return await (of_parts or partial(_VERBS[verb], self))(member, **arguments)

    async def _on_load(self, member: Member, clients: int, taken: int) -> None:
        member.load.told(clients, taken)

    async def _on_cancel(self, member: Member, pid: int, key: str) -> bool:
        heard = await self.ask("cancel", {"pid": pid, "key": key}, but=member)
        return any(heard) or await self.elsewhere(pid, bytes.fromhex(key))

    async def _on_roster(self, member: Member) -> list[Any]:
        rows = sorted(self.members.items())
        return [
            (number, one.pid, "serving" if one.ready else "starting", one.load.now, one.started_at)
            for number, one in rows
        ]

    async def _on_all(self, member: Member, verb: str, arguments: Arguments) -> list[Any]:
        self.standing.note(verb, arguments, member.number)
        if verb == "set":
            self.config = with_settings(self.config, {arguments["name"]: Text(arguments["value"])}, Report("SET"))
        elif arguments.get("name") == "RELOAD":
            self.config = self._load()
        return await self.ask(verb, arguments, but=member)

    async def _on_shut_down(self, member: Member, drain: str | None) -> None:
        if drain is None:
            self.stop()
        elif not self.ending:
            self.drain(Drain(drain))

    async def ask(self, verb: str, arguments: Arguments, but: Member | None = None) -> list[Any]:
        """The answers of all workers that serve; the first error of one, once all have answered."""
        asked = [member.channel.ask(verb, **arguments) for member in self.serving.values() if member is not but]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ChannelEnded):
                raise answer
        return [answer for answer in answers if not isinstance(answer, ChannelEnded)]


async def _nobody(pid: int, key: bytes) -> bool:
    """No other process has clients."""
    return False


async def _at_once() -> None:
    """Nothing else has to be over."""


_VERBS: dict[str, Callable[..., Awaitable[Any]]] = {
    "all": Supervisor._on_all,
    "cancel": Supervisor._on_cancel,
    "load": Supervisor._on_load,
    "ready": Supervisor._on_ready,
    "roster": Supervisor._on_roster,
    "shut_down": Supervisor._on_shut_down,
}
