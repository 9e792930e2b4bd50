"""The circuit breakers of all servers of databases that have replicas, one for each address.

What a state means: to a server whose breaker is not closed no read is sent, and who is in line there for one goes
elsewhere at once. Half-open, one of the pools opens a connection that nobody waits for; if it is had, the breaker
closes. A primary is not shut out: who has to ask it would otherwise be refused what might have worked, and the pools
themselves go easy on a server that cannot be reached. Its breaker is only shown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.pool.breaker import Breaker, Event, State, after, event_of
from trunkline.pool.topology import Sight

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools
    from trunkline.pool.server import ServerLink

log = logging.getLogger("trunkline.pool")


class Breakers:
    """By the names of addresses; one that nothing has happened to is not listed."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self._breakers: dict[str, Breaker] = {}
        self._probes: set[str] = set()
        self._silent: dict[str, float] = {}  # since when

    def of(self, name: str) -> Breaker:
        return self._breakers.get(name, Breaker())

    def shuts(self, name: str) -> bool:
        return self.of(name).state is not State.CLOSED

    def failures(self, name: str) -> int:
        """Those that count now."""
        return len(self.of(name).recent(self.pools.config.settings, self.pools.now))

    # --- what happens ---------------------------------------------------------------------------------------------

    def opened(self, name: str) -> None:
        """A server of a pool has been opened there."""
        self._on(name, Event.ANSWER)

    def not_opened(self, name: str, error: TrunklineError) -> None:
        self._on(name, event_of(error), error.message)

    def lost(self, server: ServerLink) -> None:
        """A connection has ended; one that was ended with a FATAL has had its answer."""
        if server.ended_asked:
            self._on(str(server.address), Event.FAILURE, "a connection was lost")

    def checked(self, name: str, sight: Sight) -> None:
        """A health check has its answer, or none."""
        if sight.error and not sight.alive:
            self._leave(name)
            if sight.silent:
                self._give_up(name)
            self._on(name, Event.FAILURE, sight.error)
            return
        self._silent.pop(name, None)
        if self.shuts(name) and next(self._probing(name), None) is None:  # a kept connection says little of new ones
            self._on(name, Event.ANSWER)

    def tick(self, now: float) -> None:
        watched = {name for watch in self.pools.watches.values() for name in watch.addresses} if self._breakers else ()
        for name in list(self._breakers):
            self._on(name, Event.TIME)
            state = self.of(name).state
            if name not in watched or (state is State.CLOSED and not self.failures(name)):
                del self._breakers[name]
            elif state is State.HALF_OPEN and name not in self._probes:
                self._probe(name)

    # --- what comes of it -----------------------------------------------------------------------------------------

    def _on(self, name: str, event: Event, words: str = "") -> None:
        settings, now = self.pools.config.settings, self.pools.now
        before = self.of(name)
        if before.state is State.CLOSED and event is not Event.FAILURE:
            return
        if name not in self._breakers and not any(name in watch.addresses for watch in self.pools.watches.values()):
            return
        self._breakers[name] = found = after(before, event, settings, now)
        if found.state is before.state:
            return
        self._tell(name, found, words)
        for pool in self._readers(name):
            pool.shut = self.shuts(name)
        if found.state is State.OPEN:
            self._leave(name)

    def _tell(self, name: str, now: Breaker, words: str) -> None:
        if now.state is State.OPEN:
            window_s, count = self.pools.config.settings.breaker_window, len(now.failures)
            log.warning("%s: circuit breaker is open: %d failures in %g s, the last: %s", name, count, window_s, words)
        else:
            log.info("%s: circuit breaker is %s", name, now.state)

    def _leave(self, name: str) -> None:
        """Who is in line there for a read has it answered elsewhere."""
        for pool in self._readers(name):
            if pool.waiting:
                self.pools.soon(pool.refuse_waiting)  # not now: whoever has found out is in the middle of something

    def _give_up(self, name: str) -> None:
        """Once two checks in a row have heard nothing, connections that nothing came from meanwhile are lost."""
        if name not in self._silent:
            self._silent[name] = self.pools.now
            return
        for pool in self._readers(name):
            for server in (*pool.idle, *pool.active):
                if max(server.request_at, server.idle_since) < self._silent[name]:
                    server.drop("the server does not answer")

    def _probe(self, name: str) -> None:
        for pool in self._probing(name):
            self._probes.add(name)
            pool.probe().add_done_callback(lambda _: self._probes.discard(name))
            return

    def _probing(self, name: str) -> Iterator[Pool]:
        """Pools that can open one more connection there."""
        return (pool for pool in self._readers(name) if pool.may_probe)

    def _readers(self, name: str) -> Iterator[Pool]:
        return (pool for pool in self.pools if pool.reads_from == name)
