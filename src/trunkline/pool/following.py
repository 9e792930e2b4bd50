"""A pool that is stopped, by the operator or for want of a primary, and goes on where the primary is then.

Rules:
1. While it is stopped no server is given out, those that are free are closed, and who wants one waits in line.
2. Nobody waits for a primary longer than failover_wait, nor at all for one that cannot come by itself.
3. A connection to a server that is known not to be the primary is closed in the middle of whatever it does.
"""

from __future__ import annotations

import asyncio

from trunkline.errors import NoPrimary, ServerUnavailable, TrunklineError
from trunkline.failpoints import failpoint
from trunkline.net.place import Place
from trunkline.net.tasks import Tasks
from trunkline.pool import policy
from trunkline.pool.returns import Returns
from trunkline.pool.server import ServerLink
from trunkline.pool.standing import Standing


class Following(Returns):
    """A pool as those see it that stop it and let it go on."""

    database: str
    tasks: Tasks
    trouble: policy.Trouble | None
    refusal: TrunklineError | None
    next_host: int

    def __init__(self) -> None:
        super().__init__()
        self.standing: Standing | None = None  # where the primary is, in a database that has replicas
        self.stopped = False  # by the operator (PAUSE)
        self.suspended = False  # by the operator (SUSPEND)
        self.held_since: float | None = None  # since when there has been no primary
        self._moved = asyncio.Event()

    @property
    def places(self) -> tuple[Place[ServerLink], ...]:
        return (self.idle, self.active, self.tested, self.logging_in, self.canceled, self.draining)

    @property
    def servers(self) -> int:
        """All server connections, also those that are being opened."""
        raise NotImplementedError

    # --- the operator -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Give out no server any more, and close those that are free."""
        self.stopped = True
        self._stop("pool is paused")

    def _stop(self, reason: str) -> None:
        self.paused = True
        failpoint("pool_paused")
        self.close_idle(reason)

    def resume(self) -> None:
        """Undo `pause`."""
        self.stopped = False
        self._go_on()

    def suspend(self) -> None:
        """Give out no server any more, and close none."""
        self.suspended = self.paused = True

    def wake(self) -> None:
        """Undo `suspend`."""
        self.suspended = False
        self._go_on()

    def drop_all(self, reason: str) -> None:
        """Close every server now, and open none that has been begun."""
        self._stop_opening()
        for place in self.places:
            for server in place if place is not self.logging_in else ():
                server.drop(reason)

    def _go_on(self) -> None:
        self.paused = self.stopped or self.suspended or self.held_since is not None
        if self.paused:
            return
        failpoint("pool_resumed")
        while self.waiting and self.idle:
            self.settle(next(iter(self.idle)))
        self.open_more()

    @property
    def quiet(self) -> bool:
        """Paused and without a single server."""
        return self.stopped and not self.servers

    def close_idle(self, reason: str) -> None:
        for server in self.idle:
            server.drop(reason)

    # --- the primary --------------------------------------------------------------------------------------------

    def follow(self, standing: Standing | None) -> None:
        """The primary is there now, or nowhere; None: it is where the settings say."""
        before, self.standing = self.standing, standing
        moved = before is not None and standing is not None and before.at != standing.at
        if moved:
            self._look_elsewhere()
        held = standing is not None and not standing.at
        if held and self.held_since is None:
            self.held_since = self.pools.now
            self._stop("there is no primary")
        elif not held and self.held_since is not None:
            self.held_since = None
            self._go_on()
        elif moved:
            self.open_more()
        if held and self.waiting:
            self.wait_for_primary()
        self._drop_deposed()
        self._moved.set()

    def _look_elsewhere(self) -> None:
        """What was tried at another server, and came to nothing there, says nothing about this one."""
        self.trouble = self.refusal = None
        self.next_host = 0
        self._stop_opening()

    def _stop_opening(self) -> None:
        opening, self.tasks = self.tasks, Tasks()
        if len(opening):
            self.pools.tasks.spawn(opening.cancel(), "stop opening servers")

    def _drop_deposed(self) -> None:
        deposed = self.standing.deposed if self.standing is not None else ()
        for place in self.places if deposed else ():
            for server in place:
                if str(server.address) in deposed:
                    server.drop("its server is not the primary any more")

    def wait_for_primary(self) -> None:
        """In line until there is one, unless that is beyond hope."""
        watch = self.pools.watch_of(self.database)
        if watch is not None:
            watch.hurry()
        if self.standing is not None and self.standing.disputed:
            self.pools.soon(self._refuse_disputed)

    async def until_primary(self) -> None:
        """The same, for who wants a server of its own and is not in line."""
        try:
            async with asyncio.timeout(self.pools.config.settings.failover_wait or None):
                while self.standing is not None and not self.standing.at:
                    if self.standing.disputed:
                        raise self.no_primary()
                    self._moved.clear()
                    self.wait_for_primary()
                    await self._moved.wait()
        except TimeoutError:
            raise self.no_primary() from None

    def _refuse_disputed(self) -> None:
        for lessee in self.waiting if self.standing is not None and self.standing.disputed else ():
            self.refuse(lessee, self.no_primary())

    def no_primary(self) -> NoPrimary:
        """Why statements that need one are refused."""
        if self.standing is not None and self.standing.disputed:
            return NoPrimary("no server is believed to be the primary", detail="More than one of them claims to be.")
        limit_s = self.pools.config.settings.failover_wait
        return NoPrimary("there is no primary", detail=f"It was waited for: failover_wait is {limit_s:g} s.")

    def check_role(self, server: ServerLink) -> None:
        """Servers from version 14 on say at login whether they are in recovery."""
        if self.standing is not None and server.params.reported.get(b"in_hot_standby") == b"on":
            server.drop("a primary was wanted")
            watch = self.pools.watch_of(self.database)
            if watch is not None:
                watch.hurry()
            raise ServerUnavailable("the server is in recovery, and not the primary")

    def failover_took_too_long(self, waiting_since: float, now: float) -> bool:
        limit_s = self.pools.config.settings.failover_wait
        if self.held_since is None or self.stopped or not limit_s:
            return False
        return now - max(waiting_since, self.held_since) >= limit_s
