"""The metrics of several processes as one instance's: what each has read, carried over a channel, and added up. Pure.

Counts, sizes and times of what each process does are added up; of what is the same for all, or of which the worst
counts, the greatest is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from trunkline.metrics.families import FAMILIES, Family
from trunkline.metrics.pgbouncer_names import PGBOUNCER_FAMILIES
from trunkline.metrics.readings import Reading, Source, Times

_GREATEST = (
    "build_info",
    "event_loop_lag_seconds",
    "pools",
    "max_client_connections",
    "maxwait_seconds",
    "pool_in_trouble",
    "pool_size",
    "pool_min_size",
    "pool_reserve_size",
    "database_max_client_connections",
    "database_max_server_connections",
    "database_paused",
    "replica_up",
    "replica_is_primary",
    "replica_lag_seconds",
    "replica_lag_bytes",
    "replica_breaker_state",
    "failovers",
    "schema_differences",
    "transactions_in_doubt",
    "transaction_in_doubt_seconds",
)
_PGBOUNCERS_GREATEST = (  # noqa: SIM905
    "up version_info databases users pools config_max_client_connections config_max_user_connections "
    "databases_pool_size databases_reserve_pool databases_max_connections databases_paused databases_disabled "
    "pools_client_maxwait_seconds"
).split()
GREATEST = frozenset(
    (*(f"trunkline_{name}" for name in _GREATEST), *(f"pgbouncer_{name}" for name in _PGBOUNCERS_GREATEST))
)
"""Of these the greatest is taken."""

Told: TypeAlias = dict[str, list[tuple[Sequence[str], Any]]]
"""By the name of a family: labels, and a number, or the counts of a histogram with their sum."""


def families(*, pgbouncer_names: bool) -> tuple[Family, ...]:
    """All that are served."""
    return FAMILIES + PGBOUNCER_FAMILIES if pgbouncer_names else FAMILIES


def told(source: Source) -> Told:
    """What one process has read, as it goes over a channel."""
    read = families(pgbouncer_names=source.pgbouncer_names)
    return {family.name: [(labels, _plain(value)) for labels, value in source.of(family)] for family in read}


def _plain(value: float | Times) -> Any:
    return [value.below, value.sum_s] if isinstance(value, Times) else value


@dataclass(frozen=True, slots=True)
class Gathered:
    """What all processes have told, in the place of one's `Source`."""

    processes: tuple[int, ...]
    all_told: list[Told]
    pgbouncer_names: bool = False

    def of(self, family: Family) -> Iterable[Reading]:
        """The readings of a family."""
        found: dict[tuple[str, ...], Any] = {}
        for one in self.all_told:
            for labels, value in one.get(family.name, ()):
                key = tuple(labels)
                found[key] = _added(family, found[key], value) if key in found else value
        yield from ((labels, _value(value)) for labels, value in found.items())


def _added(family: Family, one: Any, other: Any) -> Any:
    if isinstance(one, list):
        counts = [(bound, count + more) for (bound, count), (_, more) in zip(one[0], other[0], strict=True)]
        return [counts, one[1] + other[1]]
    return max(one, other) if family.name in GREATEST else one + other


def _value(value: Any) -> float | Times:
    if isinstance(value, list):
        return Times(tuple((str(bound), float(count)) for bound, count in value[0]), float(value[1]))
    number: float = value
    return number


def summed(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Figures of several processes as one's: the time of the start is the first one's, and limits are not added up."""
    found: dict[str, float] = {}
    for name, value in (pair for table in tables for pair in table.items()):
        if name not in found:
            found[name] = value
        elif name in ("process_start_time_seconds", "process_max_fds"):
            found[name] = min(found[name], value)
        else:
            found[name] += value
    return found
