"""How long transactions, queries and waits for a server took, by database: SHOW LATENCIES.

Pools count; here it is summed up, over the last complete stats_period, or since the start before there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from trunkline.pool.histogram import Histogram
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools

ByDatabase: TypeAlias = dict[str, Histogram]


def waits_of(pool: Pool) -> Histogram:
    """Of all who got a server: most of them at once."""
    found = pool.wait_times.copy()
    found.add_at_once(max(0, pool.assignment_count - found.count))
    return found


KINDS: Mapping[str, Callable[[Pool], Histogram]] = {
    "transaction": lambda pool: pool.xact_times,
    "query": lambda pool: pool.query_times,
    "wait": waits_of,
}


class Latencies:
    """The sums over pools, and the difference to the beginning of the period."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._before: dict[str, ByDatabase] = {kind: {} for kind in KINDS}
        self._last: dict[str, ByDatabase] | None = None

    def turn(self) -> None:
        """A period ends."""
        now = self._sums()
        self._last = {kind: _since(now[kind], self._before[kind]) for kind in KINDS}
        self._before = now

    def rows(self) -> Iterator[tuple[str, str, Histogram]]:
        """Database, kind and what was counted, of databases with pools."""
        found = self._last or self._sums()
        for name in sorted({pool.database for pool in self._pools}):
            for kind in KINDS:
                yield name, kind, found[kind].get(name) or Histogram()

    def _sums(self) -> dict[str, ByDatabase]:
        sums: dict[str, ByDatabase] = {kind: {} for kind in KINDS}
        for pool in self._pools:
            for kind, histogram_of in KINDS.items():
                sums[kind].setdefault(pool.database, Histogram()).add(histogram_of(pool))
        return sums


def _since(now: ByDatabase, before: ByDatabase) -> ByDatabase:
    """What has come; of a database whose pools were dropped meanwhile, what the new ones have."""
    found = {}
    for name, histogram in now.items():
        found[name], earlier = histogram.copy(), before.get(name)
        if earlier is not None and earlier.count <= histogram.count:
            found[name].add(earlier, -1)
    return found
