"""The servers of databases with replicas, each asked for its role and its position every `health_check_interval`.

A control connection for each address is kept open for that (`health_check`), apart from all pools: no client waits for
it, PAUSE does not close it, and it counts against no limit. What the servers say is judged by `topology`; what follows
for the pools of the primary (`standing`) they are told whenever it changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.address import ServerAddress
from trunkline.config.settings import WILDCARD, DatabaseSettings
from trunkline.net.tasks import Tasks
from trunkline.pool.health_check import HealthCheck
from trunkline.pool.opening import Credentials, Target
from trunkline.pool.standing import Standing, standing_of
from trunkline.pool.topology import Memory, Observation, Role, Sight, State, Topology, judge
from trunkline.pool.topology_lag import Lag, Positions
from trunkline.pool.topology_query import PARAMETERS

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

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
    (Role.PRIMARY, State.UNSEEN): logging.INFO,
    (Role.REPLICA, State.UNSEEN): logging.INFO,
}
"""How loud a change is told; all others are news."""


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
        self.pools.watches = {watch.settings.name: watch for watch in self._watches.values()}
        for pool in self.pools:
            pool.follow(self.pools.standing_for(pool.database))

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
        self.standing = Standing()
        self._believed = ""  # to be the primary, last
        self.failovers = 0  # how often the primary has been another one than before
        self._positions = Positions()
        self._sights: dict[str, Sight] = {}
        self._checks: dict[str, HealthCheck] = {}
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
        """Look at all servers of the settings; those that are looked at already are not asked anew."""
        known, before = self._sights, self._checks
        self._sights = {name: known[name] if name in before else Sight() for name in self.addresses}
        self.topology = judge(self._sights, self._named, memory)
        new = {name: HealthCheck(self, name, where) for name, where in self.addresses.items() if name not in before}
        self._checks = {name: before.get(name) or new[name] for name in self.addresses}
        self.stand()
        for check in new.values():
            check.task = self.tasks.spawn(check.run(), f"health check of {check.name}")

    def stop(self) -> None:
        for check in self._checks.values():
            check.stop()

    def reconfigure(self, settings: DatabaseSettings) -> None:
        """Leave the servers that are not meant any more, or not as this user, and look at the new ones; what must not
        be forgotten is kept as long as one of the servers is."""
        old, self.settings = self.settings, settings
        if (old.servers, old.health_check_user) == (settings.servers, settings.health_check_user):
            return
        addresses, is_same_user = self.addresses, old.health_check_user == settings.health_check_user
        for name, check in list(self._checks.items()):
            if not is_same_user or addresses.get(name) != check.address:
                self._checks.pop(name).stop()
        is_known = not self._sights.keys().isdisjoint(addresses)
        self._begin(self.topology.memory if is_known else Memory())

    def hurry(self) -> None:
        """Somebody waits for what the servers have to say."""
        for check in self._checks.values():
            check.hurry()

    async def look_anew(self) -> None:
        """Return once every server has been asked, or tried, after now."""
        await asyncio.gather(*(check.look_anew() for check in self._checks.values()))

    @property
    def _named(self) -> set[str]:
        return {str(address) for address in self.settings.addresses}

    async def until_replayed(self, position: int, limit_s: float) -> None:
        """Return once a replica is known to have replayed up to there, or in so many seconds; they are asked for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not any(((one.last and one.last.replayed) or 0) >= position for one in self.topology.replicas):
                    self._sighted.clear()
                    self.hurry()
                    await self._sighted.wait()

    # --- what comes of the checks ---------------------------------------------------------------------------------

    def heard(self, name: str, sight: Sight) -> None:
        """A check has come to an end, well or not."""
        before = self.topology
        self.pools.breakers.checked(name, sight)
        self._sights[name] = sight
        self._sighted.set()
        self.topology = after = judge(self._sights, self._named, before.memory)
        self._tell(before, after)
        self.stand()
        primary = after.primary
        if after.memory.system != before.memory.system or after.memory.timeline != before.memory.timeline:
            self._positions.clear()
        if primary is not None and primary.name == name and primary.last is not None:
            self._positions.note(primary.last.at, primary.last.written or 0)

    def doubt(self, name: str, last: Observation) -> None:
        """What a server has said last does not all count any more."""
        if name in self._sights:
            self._sights[name] = replace(self._sights[name], last=last)
            self.topology = judge(self._sights, self._named, self.topology.memory)

    def _tell(self, before: Topology, after: Topology) -> None:
        for name, now in after.members.items():
            was = before.members[name]
            if (was.role, was.state, bool(was.why)) == (now.role, now.state, bool(now.why)):
                continue
            level = _LEVELS.get((now.role, now.state), logging.WARNING if now.why else logging.INFO)
            timeline = f", timeline {now.last.timeline}" if now.last is not None and now.state is State.UP else ""
            why = f": {now.why}" if now.why else ""
            log.log(level, "%s: %s is %s, %s%s%s", self, name, now.role or "unknown", now.state, timeline, why)

    # --- what follows for the pools of the primary ------------------------------------------------------------------

    def stand(self) -> None:
        """Tell the pools where the primary is now, if that is another place than before."""
        asking = any(self.target(address, 0) is not None for address in self.addresses.values())
        before, now = self.standing, standing_of(self.topology, self._named, asking=asking)
        if now == before:
            return
        self.standing = now
        self._tell_standing(before, now)
        for pool in self.pools:
            if self.pools.watch_of(pool.database) is self:
                pool.follow(now)
        self.pools.listeners.leave_servers([self.addresses[name] for name in now.deposed])
        if not now.at:
            self.hurry()

    def _tell_standing(self, before: Standing, now: Standing) -> None:
        holder, believed = self.topology.memory.holder, self._believed
        if now.disputed:
            log.error("%s: no primary is believed, and statements that need one are refused: %s", self, now.disputed)
        elif holder and before.at and not now.at:
            limit_s = self.pools.config.settings.failover_wait
            log.warning("%s: there is no primary: statements wait for one (failover_wait, %g s)", self, limit_s)
        elif believed and now.at and now.at != before.at:
            self.failovers += holder != believed
            log.warning("%s: statements go on at %s", self, now.at[0])
        self._believed = holder or believed

    def has_answered_clients(self, name: str, since: float) -> bool:
        """Whether the server of this name has ended a transaction of a client's since then."""
        servers = (server for pool in self.pools for place in (pool.idle, pool.active) for server in place)
        return any(str(server.address) == name and server.idle_since >= since for server in servers)

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
            known = self.pools.credentials_of(users[attempt % len(users)], self.pools.family_of(self.settings.name))
        return Target(replace(address, dbname=database), database, known, PARAMETERS, quiet=True)
