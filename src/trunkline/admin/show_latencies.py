"""SHOW LATENCIES: percentiles of how long transactions, queries and waits for a server took; in microseconds."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show_sum
from trunkline.admin.result import Row
from trunkline.pool.histogram import Histogram
from trunkline.proxy.instance import Instance

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
"""In the order of the columns."""


Told = list[tuple[str, str, list[tuple[int, int]], float]]


def told(instance: Instance) -> Told:
    """Database, kind, and what is in the histogram."""
    return [(name, kind, found.counted(), found.sum_s) for name, kind, found in instance.statistics.latencies.rows()]


@show_sum("LATENCIES", columns.LATENCIES, told)
def show_latencies(all_told: list[Told]) -> Iterator[Row]:
    sums: dict[tuple[str, str], Histogram] = {}
    for database, kind, counted, sum_s in (row for one in all_told for row in one):
        sums.setdefault((database, kind), Histogram()).add_counted(counted, sum_s)
    for (database, kind), found in sums.items():
        yield database, kind, found.count, *(found.quantile_us(share) for share in SHARES)
