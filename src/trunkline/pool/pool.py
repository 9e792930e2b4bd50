"""Pool: the servers of one database and one user, and who waits for them.

The common path is compiled (`Leases`); here is everything that needs a decision, which `policy` makes and this class
carries out: opening, refusing, checking, resetting, replaying parameters, closing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.choices import PoolMode
from trunkline.config.settings import PoolSettings
from trunkline.errors import (
    DatabasePaused,
    PoolTimeout,
    ServerUnavailable,
    TransactionBlockRefused,
    TrunklineError,
)
from trunkline.failpoints import failpoint
from trunkline.net.tasks import Tasks
from trunkline.pool import policy
from trunkline.pool.following import Following
from trunkline.pool.profile import Profiles
from trunkline.pool.server import ServerLink
from trunkline.pool.session_state import SessionKeeper
from trunkline.pool.upkeep import close_what_has_passed
from trunkline.protocol.params import Params

if TYPE_CHECKING:
    from trunkline.pool.opening import Target
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

Fields = dict[str, str]


class Pool(Following):
    """One (database, user); `targets` says where its servers are."""

    def __init__(self, pools: Pools, database: str, user: str) -> None:
        super().__init__()
        self.pools = pools
        self.database = database
        self.family = pools.family_of(database)
        self.user = user
        self.profiles = Profiles()
        self.sessions = SessionKeeper(self)
        self.code = pools.code_of(self.family)
        self.code.tell(self)
        self.trouble: policy.Trouble | None = None
        self.refusal: TrunklineError | None = None
        self.tasks = Tasks()
        self.closed = False
        self.vacant_until = 0.0  # until then no server is opened in advance
        self.reserved = 0  # servers that are being opened for one client alone
        self.next_host = 0
        self.settings: PoolSettings
        self.reconfigure()

    def __repr__(self) -> str:
        return f"<Pool {self.database}/{self.user} {self.idle!r} {self.active!r} {self.waiting!r}>"

    def reconfigure(self) -> None:
        """Take over the settings in force."""
        self.settings = settings = self.pools.config.pool_settings(self.database, self.user)
        self.size = settings.pool_size
        self.reads_from = self.pools.reads_from(self.database)
        self.shut = self.pools.breakers.shuts(self.reads_from)
        self.configure(
            tracks=settings.pool_mode is not PoolMode.SESSION,
            exact=_keeps_state(settings),
            one_statement=settings.pool_mode is PoolMode.STATEMENT,
            max_prepared=settings.max_prepared_statements,
            newest_first=not settings.server_round_robin,
            check_delay=settings.server_check_delay if settings.server_check_query else -1.0,
            reset_always=settings.server_reset_query_always and bool(settings.server_reset_query),
            fast_close=settings.server_fast_close,
        )
        self._shed()

    # --- counting -----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> int:
        """Server connections that are logged in."""
        return len(self.idle) + len(self.active) + len(self.tested) + len(self.canceled) + len(self.draining)

    @property
    def servers(self) -> int:
        """All server connections, also those that are being opened."""
        return self.connected + len(self.tasks) + self.reserved

    @property
    def _at_limit(self) -> bool:
        return bool(self.settings.pool_size) and self.connected >= self.settings.pool_size

    def demand(self, now: float) -> policy.Demand:
        settings = self.settings
        oldest = self.oldest_wait(now)
        due = bool(settings.reserve_pool_timeout) and oldest >= settings.reserve_pool_timeout
        return policy.Demand(
            servers=self.servers,
            logging_in=len(self.tasks),
            idle=len(self.idle),
            tested=len(self.tested),
            waiting=len(self.waiting),
            clients=len(self.clients),
            pool_size=settings.pool_size,
            min_pool_size=self._min_size if now >= self.vacant_until else 0,
            reserve_pool_size=settings.reserve_pool_size,
            reserve_due=due,
            room=self.pools.room_for(self),
        )

    @property
    def _min_size(self) -> int:
        budget, size = self.pools.budget, self.settings.min_pool_size
        return size if budget is None else budget.part_of(size)

    def oldest_wait(self, now: float) -> float:
        """How long the first in line has waited, in seconds; 0 when nobody waits."""
        return next((now - lessee.waiting_since for lessee in self.waiting), 0.0)

    # --- opening ------------------------------------------------------------------------------------------------

    def on_waiting(self) -> None:
        if self.held_since is not None:
            self.wait_for_primary()
            return
        now = self.pools.now
        self.trouble = policy.asked_anew(self.trouble, now, forced=self.pools.forces_user(self))
        self.open_more()
        if self.trouble is not None and self.trouble.permanent and self.tasks:
            return  # the server is being asked: what it says is for all who wait
        if policy.refuses(self.trouble, self.connected, now, self.settings.server_login_retry):
            self.pools.soon(self.refuse_waiting)  # not now: the lessee is still in the middle of asking

    def open_more(self) -> None:
        """Begin to open as many servers as the policy wants now."""
        self.full = False
        if self.paused or self.closed:
            self._settle()
            return
        self._test_more()
        now = self.pools.now
        demand = self.demand(now)
        wanted = policy.to_open(demand, self.trouble, now)
        if self.waiting and policy.lacks_room(demand, self.trouble, now) and self.pools.make_room(self):
            wanted = policy.to_open(self.demand(now), self.trouble, now)
        self.full = not wanted and self.trouble is None and self._at_limit and not self.idle  # until a tick, or a loss
        for _ in range(wanted):
            self.tasks.spawn(self._open_one(), f"open {self.database}/{self.user}")
        self._settle()

    def _settle(self) -> None:
        """Of several processes: what is lacking is asked for, and what is not used is given back."""
        budget = self.pools.budget
        if budget is None:
            return
        lacking, due = 0, False
        if not (self.paused or self.closed):
            now = self.pools.now
            demand = replace(self.demand(now), room=None)
            lacking, due = policy.to_open(demand, self.trouble, now), demand.reserve_due
        budget.settle(self, lacking, reserve=due)
        self.full = self.full or (lacking > 0 and self.trouble is None and not self.idle)

    def _test_more(self) -> None:
        """While a server is tested there may be others at rest: as many are tested as there are lessees in line."""
        while len(self.idle) and len(self.tested) < len(self.waiting):
            self.check(next(iter(self.idle)))

    async def _open_one(self) -> None:
        where = "no server"
        try:
            target = self.pools.target_of(self, self.pools.address_of(self, self.next_host))
            where = str(target.address)
            server = await self._open_at(target)
            self.check_role(server)
        except TrunklineError as error:
            self._on_open_failed(where, error)
        else:
            self._on_opened(server)

    async def _open_at(self, target: Target) -> ServerLink:
        name = str(target.address)
        try:
            server = await self.pools.opener.open(self, target, self._place_new)
        except TrunklineError as error:
            self.pools.breakers.not_opened(name, error)
            raise
        self.pools.breakers.opened(name)
        return server

    @property
    def may_probe(self) -> bool:
        """Whether one more server may be opened that nobody waits for."""
        room = self.pools.room_for(self)
        away = self.paused or self.closed or self.pools.now < self.vacant_until
        return not (away or self._at_limit) and (room is None or room > 0)

    def probe(self) -> asyncio.Task[None]:
        """Open one, to see whether that can be done."""
        return self.tasks.spawn(self._open_one(), f"probe {self.database}/{self.user}")

    def _place_new(self, server: ServerLink) -> None:
        self.place_server(server, self.logging_in)

    def _on_opened(self, server: ServerLink) -> None:
        failpoint("server_opened")
        if self.trouble is not None:
            log.info("%s/%s: servers can be reached again", self.database, self.user)
        self.trouble = self.refusal = None
        if self.settings.load_balance_hosts == "round-robin":
            self.next_host += 1
        if self.reads_from:  # which of them does is no business of the client's
            server.params = server.params.with_reported(b"in_hot_standby", b"off")
        self.profiles.rebase(server.params)
        if self.closed or self.paused or server.close_needed:
            server.drop("pool is closed")
        elif self.exact and not self.code.known:
            self.look_at_code(server)
        else:
            self.settle(server)

    def _on_open_failed(self, where: str, error: TrunklineError) -> None:
        failpoint("open_failed")
        self.next_host += 1
        now = self.pools.now
        before, pause = self.trouble, self.settings.server_login_retry
        self.trouble = policy.after_failure(before, error.sqlstate, now, pause, random.random())
        self.refusal = error
        if self.trouble is not before and (self.trouble.tries == 1 or self.trouble.permanent):
            log.warning(
                "%s/%s: cannot log in to %s: %s (%s)",
                self.database, self.user, where, error.message, error.sqlstate,
            )  # fmt: skip
        self.pools.soon(self._after_open_failed)

    def _after_open_failed(self) -> None:
        gives_way = self.reads_from and not self.connected  # others can answer at once
        if gives_way or policy.refuses(self.trouble, self.connected, self.pools.now, self.settings.server_login_retry):
            self.refuse_waiting()
        elif self.waiting:
            self.pools.later(max(0.0, self.trouble.retry_at - self.pools.now) if self.trouble else 0.0, self.open_more)

    def refuse_waiting(self) -> None:
        """Everybody in line hears at once that there is no server."""
        for lessee in self.waiting:
            error = self.refusal or ServerUnavailable("no server could be reached")
            self.refuse(lessee, policy.told(error, self.pools.forces_user(self)))

    # --- losses -----------------------------------------------------------------------------------------------

    def on_lost(self, server: ServerLink, reason: str) -> None:
        self.pools.breakers.lost(server)
        self.pools.server_closed(self)
        self.open_more()

    def on_schema_change(self) -> None:
        self.pools.schema_changed(self.family)

    def on_block(self, server: ServerLink) -> None:
        server.drop(
            "transaction block", TransactionBlockRefused("transaction blocks are not allowed in statement mode")
        )

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Close what has expired, refuse who has waited too long, open what is missing."""
        failpoint("pool_tick")
        close_what_has_passed(self, now)
        if self.exact and self.idle and self.code.is_due(now):
            self.look_at_code(next(iter(self.idle)))
        self._expire_waiting(now)
        self.open_more()

    def _expire_waiting(self, now: float) -> None:
        limit = self.settings.query_wait_timeout
        for lessee in self.waiting:
            waited = now - lessee.waiting_since
            if self.failover_took_too_long(lessee.waiting_since, now):
                self.refuse(lessee, self.no_primary())
            elif limit and waited >= limit:
                self.refuse(lessee, self._wait_over(limit))
            elif self.settings.query_wait_notify and waited >= self.settings.query_wait_notify:
                self.pools.notify_waiting(lessee)
            else:
                return  # the line is in order of arrival

    def _wait_over(self, limit_s: float) -> TrunklineError:
        if self.held_since is not None:
            return self.no_primary()
        if self.paused:
            return DatabasePaused(f"the database was paused for longer than query_wait_timeout ({limit_s:g} s)")
        return PoolTimeout(f"no server became free within query_wait_timeout ({limit_s:g} s)")

    # --- operation ----------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Every server of today is closed as soon as its lease ends."""
        for place in self.places:
            for server in place:
                server.close_needed = True
        self.close_idle("close_needed")

    def _shed(self) -> None:
        """What the pool has above its size, since that became smaller, is closed as soon as it is free."""
        settings = self.settings
        if not settings.pool_size:
            return
        staying = [*self.idle, *(server for server in self.active if not server.close_needed)]
        surplus = len(staying) - settings.pool_size - settings.reserve_pool_size
        idle = len(self.idle)
        for number, server in enumerate(staying[: max(surplus, 0)]):
            server.close_needed = True
            if number < idle:
                server.drop("the pool became smaller")

    async def close(self, error: TrunklineError) -> None:
        """End everything now; clients hear `error`."""
        self.closed = True
        for lessee in self.waiting:
            self.refuse(lessee, error)
        for place in self.places:
            for server in place:
                server.drop("pool is closed", error)
        await self.tasks.cancel()

    def base(self) -> Params | None:
        """The parameters of a fresh server."""
        return self.profiles.base


def _keeps_state(settings: PoolSettings) -> bool:
    """Whether what a session holds outlives its lease: not if every lease ends with a reset."""
    shared = settings.pool_mode is not PoolMode.SESSION
    return shared and settings.session_state == "exact" and not settings.server_reset_query_always
