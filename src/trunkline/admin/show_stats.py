"""SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS: what has been done. Whole numbers all; times in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.admin.show_pools import database_names
from trunkline.pool.statistics import Averages, Totals
from trunkline.proxy.instance import Instance

_NO_AVERAGES = Averages(Totals(), 1.0)


def _by_database(instance: Instance) -> Iterator[tuple[str, Totals, dict[str, int]]]:
    """Every database that is known, also before its first client: a monitor wants zeros, not gaps."""
    totals, averages = instance.statistics.totals(), instance.statistics.averages()
    for name in database_names(instance):
        yield name, totals.get(name, Totals()), averages.get(name, _NO_AVERAGES).rows()


@show("STATS", columns.STATS)
def show_stats(instance: Instance) -> Iterator[Row]:
    for name, totals, averages in _by_database(instance):
        yield name, *astuple(totals), *averages.values()


@show("STATS_TOTALS", columns.STATS_TOTALS)
def show_stats_totals(instance: Instance) -> Iterator[Row]:
    for name, totals, _ in _by_database(instance):
        yield name, *astuple(totals)


@show("STATS_AVERAGES", columns.STATS_AVERAGES)
def show_stats_averages(instance: Instance) -> Iterator[Row]:
    for name, _, averages in _by_database(instance):
        yield name, *averages.values()


_TOTAL_NAMES = (
    "server_assignment_count",
    "xact_count",
    "query_count",
    "client_bytes",
    "server_bytes",
    "xact_time",
    "query_time",
    "wait_time",
    "ps_client_parse_count",
    "ps_server_parse_count",
    "ps_bind_count",
    "client_login_count",
)
"""PgBouncer's names here, in the order of Totals."""


@show("TOTALS", columns.TOTALS)
def show_totals(instance: Instance) -> Iterator[Row]:
    whole, average = Totals(), dict.fromkeys(_TOTAL_NAMES, 0)
    for _, totals, averages in _by_database(instance):
        whole = whole.add(totals)
        for name, value in zip(_TOTAL_NAMES, averages.values(), strict=True):
            average[name] += value
    for name, total in zip(_TOTAL_NAMES, astuple(whole), strict=True):
        yield f"total_{name}", total
    for name, value in average.items():
        yield f"avg_{name}", value
