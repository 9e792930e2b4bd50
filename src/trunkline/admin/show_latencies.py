"""SHOW LATENCIES: percentiles of how long transactions, queries and waits for a server took; in microseconds."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.proxy.instance import Instance

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
"""In the order of the columns."""


@show("LATENCIES", columns.LATENCIES)
def show_latencies(instance: Instance) -> Iterator[Row]:
    for database, kind, found in instance.statistics.latencies.rows():
        yield database, kind, found.count, *(found.quantile_us(share) for share in SHARES)
