"""The servers of databases with replicas, each asked for its role and its position every `health_check_interval`.

A control connection for each address is kept open for that, apart from all pools: no client waits for it, PAUSE does
not close it, and it counts against no limit. What the servers say is judged by `topology`.

It is logged in to as the servers of pools are, not through a driver: where a client's SCRAM keys are all that is known
of its password, a driver, which wants the password, could not log in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.address import ServerAddress
from trunkline.config.settings import WILDCARD, DatabaseSettings
from trunkline.errors import ServerLost, ServerRefused, TrunklineError
from trunkline.net.tasks import Tasks
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Credentials, Target
from trunkline.pool.server import ServerLink
from trunkline.pool.topology import Memory, Observation, Role, Sight, State, Topology, judge
from trunkline.pool.topology_lag import Lag, Positions
from trunkline.pool.topology_query import PARAMETERS, QUERY, read

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

ANSWER_S = 3.0  # for a check, with its login if there has to be one
LONGEST_PAUSE_S = 5.0  # between tries at a server that does not answer
SHORTEST_PAUSE_S = 0.1  # before a connection that was lost is opened anew
SEARCH_S = 0.2  # between two looks as long as there is no primary
JITTER = 0.2
ANY_DATABASE = "postgres"  # where to log in for a database whose name is a pattern

_LEVELS = {
    (Role.PRIMARY, State.OLD_TIMELINE): logging.ERROR,
    (Role.PRIMARY, State.SPLIT_BRAIN): logging.ERROR,
    (Role.PRIMARY, State.UNREACHABLE): logging.ERROR,
    (Role.REPLICA, State.OLD_TIMELINE): logging.WARNING,
    (Role.REPLICA, State.UNREACHABLE): logging.WARNING,
    (Role.UNKNOWN, State.UNREACHABLE): logging.WARNING,
    (Role.PRIMARY, State.OTHER_SYSTEM): logging.ERROR,
    (Role.REPLICA, State.OTHER_SYSTEM): logging.ERROR,
}
"""How loud a change is told; all others are news."""

Fields = dict[str, str]


class ReplicaWatches:
    """All watches of a process: one for each database, or shard of one, that has replicas."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks = Tasks()
        self._watches: dict[tuple[str, str], ReplicaWatch] = {}

    def __iter__(self) -> Iterator[ReplicaWatch]:
        return iter(list(self._watches.values()))

    def of(self, database: str, shard: str) -> ReplicaWatch | None:
        """The watch of a database, or of one shard of it."""
        return self._watches.get((database, shard))

    def reconfigure(self) -> None:
        """At the start and after a reload: watch what is to be watched now, and as the settings say."""
        wanted = dict(self._wanted())
        for key in self._watches.keys() - wanted.keys():
            self._watches.pop(key).stop()
        for key, settings in wanted.items():
            if key in self._watches:
                self._watches[key].reconfigure(settings)
            else:
                self._watches[key] = ReplicaWatch(self.pools, self.tasks, *key, settings)

    def _wanted(self) -> Iterator[tuple[tuple[str, str], DatabaseSettings]]:
        config = self.pools.config
        databases = [one for one in config.databases.values() if not one.disabled]
        for database in databases if config.settings.health_check_interval else ():
            shards = database.sharding.shard_names() if database.sharding is not None else ("",)
            for shard, settings in zip(shards, database.shards or (database,), strict=True):
                if settings.replicas:
                    yield (database.name, shard), settings


class ReplicaWatch:
    """The servers of one database, or of one shard of it."""

    def __init__(self, pools: Pools, tasks: Tasks, database: str, shard: str, settings: DatabaseSettings) -> None:
        self.pools = pools
        self.tasks = tasks
        self.database = database
        self.shard = shard
        self.settings = settings
        self.topology = Topology()
        self._positions = Positions()
        self._sights: dict[str, Sight] = {}
        self._checks: dict[str, _Check] = {}
        self._sighted = asyncio.Event()
        self._begin(Memory())

    def __repr__(self) -> str:
        found = " ".join(f"{one.name}={one.role or '?'}:{one.state}" for one in self.topology.members.values())
        return f"<ReplicaWatch {self} {found}>"

    def __str__(self) -> str:
        return f"{self.database}/{self.shard}" if self.shard else self.database

    @property
    def addresses(self) -> dict[str, ServerAddress]:
        """Where to look, by the names that the topology has for its members."""
        return {str(address): address for address in self.settings.servers}

    def lag(self, name: str) -> Lag | None:
        """How far behind the primary this server was at its last check."""
        member = self.topology.members[name]
        if member.last is None or member.state is State.OTHER_SYSTEM:
            return None
        return self._positions.lag(member.last)

    # --- from start to stop ---------------------------------------------------------------------------------------

    def _begin(self, memory: Memory) -> None:
        self._sights = dict.fromkeys(self.addresses, Sight())
        self.topology = judge(self._sights, self._named, memory)
        self._checks = {name: _Check(self, name, address) for name, address in self.addresses.items()}
        for check in self._checks.values():
            check.task = self.tasks.spawn(check.run(), f"health check of {check.name}")

    def stop(self) -> None:
        for check in self._checks.values():
            check.stop()

    def reconfigure(self, settings: DatabaseSettings) -> None:
        """Begin anew if other servers are meant, or as another user; what must not be forgotten is kept, though, as
        long as one of the servers is."""
        old, self.settings = self.settings, settings
        if (old.servers, old.health_check_user) == (settings.servers, settings.health_check_user):
            return
        self.stop()
        is_known = not self._sights.keys().isdisjoint(self.addresses)
        self._begin(self.topology.memory if is_known else Memory())

    @property
    def _named(self) -> set[str]:
        return {str(address) for address in self.settings.addresses}

    async def until_replayed(self, position: int, limit_s: float) -> None:
        """Return once a replica is known to have replayed up to there, or in so many seconds; they are asked for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not any(((one.last and one.last.replayed) or 0) >= position for one in self.topology.replicas):
                    self._sighted.clear()
                    for check in self._checks.values():
                        check.hurry()
                    await self._sighted.wait()

    # --- what comes of the checks ---------------------------------------------------------------------------------

    def heard(self, name: str, sight: Sight) -> None:
        """A check has come to an end, well or not."""
        before = self.topology
        self._sights[name] = sight
        self._sighted.set()
        self.topology = after = judge(self._sights, self._named, before.memory)
        self._tell(before, after)
        primary = after.primary
        if after.memory.system != before.memory.system or after.memory.timeline != before.memory.timeline:
            self._positions.clear()
        if primary is not None and primary.name == name and primary.last is not None:
            self._positions.note(primary.last.at, primary.last.written or 0)

    def _tell(self, before: Topology, after: Topology) -> None:
        for name, now in after.members.items():
            was = before.members[name]
            if (was.role, was.state) == (now.role, now.state):
                continue
            level = _LEVELS.get((now.role, now.state), logging.INFO)
            timeline = f", timeline {now.last.timeline}" if now.last is not None and now.state is State.UP else ""
            why = f": {now.why}" if now.why else ""
            log.log(level, "%s: %s is %s, %s%s%s", self, name, now.role or "unknown", now.state, timeline, why)

    # --- as whom --------------------------------------------------------------------------------------------------

    @property
    def users(self) -> tuple[str, ...]:
        """Who may be logged in as, for want of a user in the settings: those who have logged in, the first of them
        first."""
        if self.settings.health_check_user is not None:
            return (self.settings.health_check_user,)
        return tuple(dict.fromkeys(pool.user for pool in self.pools if self._serves(pool)))

    def _serves(self, pool: Pool) -> bool:
        """Whether clients of this pool use these servers, or other shards of the same database."""
        found = self.pools.config.database(pool.database)
        return pool.family == self.database or (found is not None and found.name == self.settings.name)

    def target(self, address: ServerAddress, attempt: int) -> Target | None:
        """Where and as whom to log in; None if there is nobody to log in as. Each attempt takes the next one."""
        fallback = ANY_DATABASE if self.settings.name.endswith(WILDCARD) else self.settings.name
        database = address.dbname or fallback
        if address.user is not None and address.password is not None:
            known = Credentials(address.user, address.password, None, None)
        else:
            users = (address.user,) if address.user is not None else self.users
            if not users:
                return None
            known = self.pools.credentials_of(users[attempt % len(users)])
        return Target(replace(address, dbname=database), database, known, PARAMETERS, quiet=True)


class _Owner(Leases):
    """Of a control connection: nobody leases it."""

    def __init__(self, lost: asyncio.Event) -> None:
        super().__init__()
        self._lost = lost

    def on_lost(self, server: ServerLink, reason: str) -> None:
        self._lost.set()


class _Check:
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
        self._owner = _Owner(self._lost)
        self._last: Observation | None = None
        self._failures = 0

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def hurry(self) -> None:
        """Look at once, unless the server does not answer anyway."""
        if not self._failures:
            self._hurried.set()
            self._lost.set()

    async def run(self) -> None:
        try:
            while True:
                self._target = self.watch.target(self.address, self._failures) or self._target
                if self._target is not None:
                    self.watch.heard(self.name, await self._look(self._target))
                await self._pause()
        finally:
            self._drop("the health check has ended")

    async def _look(self, target: Target) -> Sight:
        try:
            async with asyncio.timeout(ANSWER_S):
                self._last = await self._observe(target)
        except TimeoutError:
            return self._failed(f"no answer within {ANSWER_S:g} s")
        except TrunklineError as error:
            cause = error.__cause__
            words = getattr(cause, "strerror", None) or str(cause or "")
            return self._failed(f"{error.message}: {words}" if words else error.message)
        except Exception:
            log.exception("internal error in the health check of %s", self.name)
            return self._failed("internal error")
        self._failures = 0
        return Sight(self._last)

    def _failed(self, words: str) -> Sight:
        self._drop(words)
        self._lost.clear()  # that was ourselves
        self._failures += 1
        return Sight(self._last, words)

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
        link, loop = self._link, asyncio.get_running_loop()
        answer: asyncio.Future[list[bytes]] = loop.create_future()

        def on_answer(error: Fields | None) -> None:
            if answer.done():  # whoever asked has given up
                return
            if error is None:
                answer.set_result(list(link.answer or ()))
            elif link.opened:
                answer.set_exception(ServerRefused(error["C"], error["M"]))
            else:
                answer.set_exception(ServerLost(error["M"]))

        link.ask(QUERY, on_answer, True)
        return read(await answer, self._pools.now)

    async def _pause(self) -> None:
        """Until the next check: an interval, longer and longer while it fails; a loss of the connection ends it."""
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
