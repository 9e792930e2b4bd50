"""The health check of one server: a control connection that asks who it is and how far it is, again and again.

It is logged in to as the servers of pools are, not through a driver: where a client's SCRAM keys are all that is known
of its password, a driver, which wants the password, could not log in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.address import ServerAddress
from trunkline.errors import ServerLost, ServerRefused, TrunklineError
from trunkline.pool.control import ask
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Target
from trunkline.pool.server import ServerLink
from trunkline.pool.topology import Observation, Sight
from trunkline.pool.topology_query import QUERY, read

if TYPE_CHECKING:
    from trunkline.pool.replica_watch import ReplicaWatch

log = logging.getLogger("trunkline.pool")

ANSWER_S = 3.0  # for a check, with its login if there has to be one
LONGEST_PAUSE_S = 5.0  # between tries at a server that does not answer
SHORTEST_PAUSE_S = 0.1  # before a connection that was lost is opened anew
SEARCH_S = 0.2  # between two looks as long as there is no primary
JITTER = 0.2


class _Owner(Leases):
    """Of a control connection: nobody leases it."""

    def __init__(self, check: HealthCheck) -> None:
        super().__init__()
        self._check = check

    def on_lost(self, server: ServerLink, reason: str) -> None:
        self._check.on_lost()


class HealthCheck:
    """The control connection to one server: asks, tells its watch, pauses, and again."""

    def __init__(self, watch: ReplicaWatch, name: str, address: ServerAddress) -> None:
        self.watch = watch
        self.name = name
        self.address = address
        self.task: asyncio.Task[None] | None = None
        self._pools = watch.pools
        self._target: Target | None = None
        self._link: ServerLink | None = None
        self._lost = asyncio.Event()
        self._hurried = asyncio.Event()
        self._owner = _Owner(self)
        self._last: Observation | None = None
        self._failures = 0
        self._asked_for: list[asyncio.Future[None]] = []

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def hurry(self) -> None:
        """Look at once, unless the server does not answer anyway."""
        if not self._failures:
            self._hurried.set()
            self._lost.set()

    def on_lost(self) -> None:
        """Look at once; until then nobody knows what it has replayed: one that has crashed begins again with its last
        restartpoint, and shows itself before it is where it was."""
        self._lost.set()
        if self._last is not None and self._last.replayed is not None:
            self._last = replace(self._last, replayed=None)
            self.watch.doubt(self.name, self._last)

    async def look_anew(self) -> None:
        """Return at the end of a look that has not begun yet."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked_for.append(asked)
        self._hurried.set()
        self._lost.set()
        await asked

    async def run(self) -> None:
        asked: list[asyncio.Future[None]] = []
        try:
            while True:
                asked, self._asked_for = self._asked_for, []
                self._target = self.watch.target(self.address, self._failures) or self._target
                if self._target is not None:
                    self.watch.heard(self.name, await self._look(self._target))
                _settle(asked)
                await self._pause()
        finally:
            _settle(asked + self._asked_for)
            self._drop("the health check has ended")

    async def _look(self, target: Target) -> Sight:
        try:
            async with asyncio.timeout(ANSWER_S):
                self._last = (await self._observe(target)).after(self._last)
        except TimeoutError:
            works = self.watch.has_answered_clients(self.name, self._pools.now - ANSWER_S / 2)
            return self._failed(f"no answer within {ANSWER_S:g} s", alive=works, silent=True)
        except ServerRefused as error:  # it runs, but for when it is starting or going down
            return self._failed(error.message, alive=not error.sqlstate.startswith("57"))
        except TrunklineError as error:
            cause = error.__cause__
            words = getattr(cause, "strerror", None) or str(cause or "")
            return self._failed(f"{error.message}: {words}" if words else error.message)
        except Exception:
            log.exception("internal error in the health check of %s", self.name)
            return self._failed("internal error")
        self._failures = 0
        return Sight(self._last)

    def _failed(self, words: str, *, alive: bool = False, silent: bool = False) -> Sight:
        self._drop(words)
        self._lost.clear()  # that was ourselves
        self._failures += 1
        return Sight(self._last, words, alive, silent)

    async def _observe(self, target: Target) -> Observation:
        """Ask; a connection that is lost meanwhile is no lost server yet, so that a new one is tried."""
        while True:
            was_open = self._link is not None and self._link.opened
            try:
                return await self._ask(target)
            except ServerLost:
                if not was_open:
                    raise

    async def _ask(self, target: Target) -> Observation:
        if self._link is None or not self._link.opened:
            self._link = await self._pools.opener.open(
                self._owner, target, lambda link: link.move_to(self._pools.control)
            )
        return read(await ask(self._link, QUERY), self._pools.now)

    async def _pause(self) -> None:
        """Until the next check: an interval, longer and longer while it fails; a loss of the connection ends it."""
        if self._asked_for:
            return
        interval = self._pools.config.settings.health_check_interval
        if self.watch.topology.primary is None:
            interval = min(interval, SEARCH_S)
        longest = max(interval, LONGEST_PAUSE_S)
        pause = min(interval * 2 ** min(max(self._failures - 1, 0), 16), longest)
        pause *= random.uniform(1 - JITTER, 1 + JITTER)
        try:
            async with asyncio.timeout(min(pause, SHORTEST_PAUSE_S)):
                await self._hurried.wait()
        except TimeoutError:
            pass
        try:
            async with asyncio.timeout(max(pause - SHORTEST_PAUSE_S, 0)):
                await self._lost.wait()
        except TimeoutError:
            pass
        self._lost.clear()
        self._hurried.clear()

    def _drop(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is not None and link.opened:
            link.drop(reason)


def _settle(asked: list[asyncio.Future[None]]) -> None:
    for one in asked:
        if not one.done():  # whoever asked has gone
            one.set_result(None)
