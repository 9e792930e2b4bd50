"""SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS: what has been done. Whole numbers all; times in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

from trunkline.admin import columns
from trunkline.admin.commands import show_sum
from trunkline.admin.result import Row
from trunkline.admin.show_pools import database_names
from trunkline.pool.statistics import Averages, Totals
from trunkline.proxy.instance import Instance

Told = dict[str, tuple[tuple[int, ...], tuple[int, ...], float]]
"""By database: totals, and those of the last period with its length in seconds."""


def told(instance: Instance) -> Told:
    """Every database that is known, also before its first client: a monitor wants zeros, not gaps."""
    totals, averages = instance.statistics.totals(), instance.statistics.averages()
    nothing = Averages(Totals(), 1.0)
    found = ((name, totals.get(name, Totals()), averages.get(name, nothing)) for name in database_names(instance))
    return {name: (astuple(total), astuple(average.totals), average.seconds) for name, total, average in found}


def _by_database(all_told: list[Told]) -> Iterator[tuple[str, Totals, dict[str, int]]]:
    """Of all processes: counts are summed up, and times are of what all of them did."""
    for name in sorted({name for one in all_told for name in one}):
        totals, period, seconds = Totals(), Totals(), 0.0
        for counted, counted_last, length in (one[name] for one in all_told if name in one):
            totals, period = totals.add(Totals(*counted)), period.add(Totals(*counted_last))
            seconds = max(seconds, length)
        yield name, totals, Averages(period, seconds).rows()


@show_sum("STATS", columns.STATS, told)
def show_stats(all_told: list[Told]) -> Iterator[Row]:
    for name, totals, averages in _by_database(all_told):
        yield name, *astuple(totals), *averages.values()


@show_sum("STATS_TOTALS", columns.STATS_TOTALS, told)
def show_stats_totals(all_told: list[Told]) -> Iterator[Row]:
    for name, totals, _ in _by_database(all_told):
        yield name, *astuple(totals)


@show_sum("STATS_AVERAGES", columns.STATS_AVERAGES, told)
def show_stats_averages(all_told: list[Told]) -> Iterator[Row]:
    for name, _, averages in _by_database(all_told):
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


@show_sum("TOTALS", columns.TOTALS, told)
def show_totals(all_told: list[Told]) -> Iterator[Row]:
    whole, average = Totals(), dict.fromkeys(_TOTAL_NAMES, 0)
    for _, totals, averages in _by_database(all_told):
        whole = whole.add(totals)
        for name, value in zip(_TOTAL_NAMES, averages.values(), strict=True):
            average[name] += value
    for name, total in zip(_TOTAL_NAMES, astuple(whole), strict=True):
        yield f"total_{name}", total
    for name, value in average.items():
        yield f"avg_{name}", value
