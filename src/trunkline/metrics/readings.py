"""Where the values of metrics are read: the same objects that SHOW reads, when somebody asks and not before.

A reading is the values of a family's labels with a number. Pools and their shards are told apart always, so that a pool
that goes takes its own series along and no sum over others ever falls.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from trunkline import __version__
from trunkline.config.settings import WILDCARD, PoolSettings
from trunkline.execution.router import Router
from trunkline.execution.spread.coordination import Coordination
from trunkline.metrics.loop_lag import LoopLag
from trunkline.pool.breaker import State
from trunkline.pool.histogram import Histogram
from trunkline.pool.pool import Pool
from trunkline.pool.replica_watch import ReplicaWatch
from trunkline.pool.session_state import REASONS
from trunkline.pool.topology import Member, Role
from trunkline.pool.topology_lag import Lag
from trunkline.proxy.instance import Instance

if TYPE_CHECKING:
    from trunkline.metrics.families import Family

MAX_POOLS = 1000
"""Names of users, and of databases behind a wildcard, are the clients' choice: so many pools are told, the oldest."""


@dataclass(frozen=True, slots=True)
class Source:
    """What metrics are read from."""

    instance: Instance
    lag: LoopLag

    @property
    def processes(self) -> tuple[int, ...]:
        """Whose memory, descriptors and time are told."""
        return (os.getpid(),)

    @property
    def pgbouncer_names(self) -> bool:
        """Whether metrics go by the names of PgBouncer's exporter too."""
        return self.instance.config.settings.metrics_pgbouncer_names

    def of(self, family: Family) -> Iterable[Reading]:
        """The readings of a family."""
        return family.read(self)

    @property
    def pools(self) -> Iterator[Pool]:
        return islice(self.instance.pools, MAX_POOLS)

    @property
    def databases(self) -> list[str]:
        """Those that clients ask for: of the configuration, and those found through the wildcard or a pattern."""
        found = {pool.family for pool in self.pools} | set(self.instance.config.databases)
        return sorted(found - {WILDCARD})


@dataclass(frozen=True, slots=True)
class Times:
    """What a histogram shows: of each bound in seconds, how many took less, then of all; and the sum of all."""

    below: tuple[tuple[str, float], ...]
    sum_s: float


Reading: TypeAlias = tuple[tuple[str, ...], float | Times]
Read: TypeAlias = Callable[[Source], Iterable[Reading]]
Of: TypeAlias = Callable[[Pool], float]

POOL = ("database", "shard", "user")
SERVER = ("database", "shard", "host", "port")


def labels_of(pool: Pool) -> tuple[str, str, str]:
    """In the order of POOL; the shard is empty where there are none."""
    return pool.family, pool.database[len(pool.family) + 1 :], pool.user


# --- how a family is read -------------------------------------------------------------------------------------------


def one(value: Callable[[Source], float]) -> Read:
    """One number for the process."""
    return lambda source: [((), value(source))]


def of_each(values: Callable[[Source], Mapping[str, int]]) -> Read:
    """One number for each word."""
    return lambda source: [((word,), value) for word, value in values(source).items()]


def by_pool(value: Of) -> Read:
    """One number for each pool."""
    return lambda source: ((labels_of(pool), value(pool)) for pool in source.pools)


_POWERS = (6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26)  # of two microseconds: 64 us to 67 s


def by_pool_times(histogram_of: Callable[[Pool], Histogram]) -> Read:
    """How long something took, for each pool."""
    return lambda source: ((labels_of(pool), _times(histogram_of(pool))) for pool in source.pools)


def _times(found: Histogram) -> Times:
    bounds = tuple((repr((1 << power) / 1e6), float(found.below(1 << power))) for power in _POWERS)
    return Times((*bounds, ("+Inf", float(found.count))), found.sum_s)


def by_pool_and(values: Mapping[str, Of]) -> Read:
    """One number for each pool and word."""
    return lambda source: (
        ((*labels_of(pool), word), value(pool)) for pool in source.pools for word, value in values.items()
    )


def by_database(value: Callable[[Instance, str], float]) -> Read:
    """One number for each database."""
    return lambda source: [((name,), value(source.instance, name)) for name in source.databases]


def limit_of(value: Callable[[PoolSettings], float]) -> Read:
    """A limit that holds for each database."""

    def effective(instance: Instance, name: str) -> float:
        database = instance.config.database(name)
        return value(instance.config.pool_settings(name, (database and database.user) or ""))

    return by_database(effective)


def by_router(value: Callable[[Router], float]) -> Read:
    """One number for each database with shards that has had a client."""
    return lambda source: [((router.database,), value(router)) for router in source.instance.routers]


def by_coordination(value: Callable[[Coordination], float]) -> Read:
    """One number for each database with shards."""
    return lambda source: [((one.database,), value(one)) for one in source.instance.routers.coordinations]


def by_server(value: Callable[[ReplicaWatch, Member], float | None]) -> Read:
    """One number for each server of SHOW REPLICAS of which there is one to tell."""

    def read(source: Source) -> Iterator[Reading]:
        for watch in source.instance.replicas:
            for name, member in watch.topology.members.items():
                number, at = value(watch, member), watch.addresses[name]
                if number is not None:
                    yield (watch.database, watch.shard, at.host, str(at.port)), number

    return read


# --- what is not one attribute --------------------------------------------------------------------------------------

CLIENT_STATES: Mapping[str, Of] = {
    "active": lambda pool: len(pool.clients),
    "waiting": lambda pool: len(pool.waiting),
}
SERVER_STATES: Mapping[str, Of] = {
    "active": lambda pool: len(pool.active),
    "idle": lambda pool: len(pool.idle),
    "tested": lambda pool: len(pool.tested) + len(pool.draining),
    "login": lambda pool: len(pool.tasks),
    "being_canceled": lambda pool: len(pool.canceled),
}
"""The places that SHOW POOLS counts, by its names."""


def build_info(source: Source) -> Iterable[Reading]:
    yield (__version__, platform.python_version()), 1


def pins(source: Source) -> Iterable[Reading]:
    """Only reasons that there have been: ten series more for every pool would be nearly all zeros."""
    for pool in source.pools:
        labels = labels_of(pool)
        yield from (((*labels, REASONS[state]), count) for state, count in pool.sessions.pin_counts.items())


BREAKER_STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def breaker_state(watch: ReplicaWatch, member: Member) -> float:
    return BREAKER_STATES[watch.pools.breakers.of(member.name).state]


def lag_seconds(watch: ReplicaWatch, member: Member) -> float | None:
    lag = _lag(watch, member)
    return lag.time_s if lag is not None else None


def lag_bytes(watch: ReplicaWatch, member: Member) -> float | None:
    lag = _lag(watch, member)
    return lag.size_bytes if lag is not None else None


def _lag(watch: ReplicaWatch, member: Member) -> Lag | None:
    return watch.lag(member.name) if member.role is Role.REPLICA else None


def failovers(source: Source) -> Iterable[Reading]:
    for watch in source.instance.replicas:
        yield (watch.database, watch.shard), watch.failovers


def is_paused(instance: Instance, name: str) -> float:
    return not instance.pools.paused.isdisjoint((name, ""))


def statements(source: Source) -> Iterable[Reading]:
    """As SHOW ROUTE_COUNTS."""
    for router in source.instance.routers:
        yield from (((router.database, shard, outcome), count) for outcome, shard, count in router.counts())


def differences(source: Source) -> Iterable[Reading]:
    """As SHOW DRIFT: of databases that somebody has used."""
    for router in source.instance.routers:
        watch = source.instance.routers.watch_of(router.database)
        if watch.known:
            yield (router.database,), len(watch.built.problems) + len(watch.drift)
