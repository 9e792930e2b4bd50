"""Totals and averages, on a clock that the test turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit.pool.test_histogram import of
from trunkline.pool.histogram import Histogram
from trunkline.pool.statistics import Averages, Statistics, Totals


@dataclass
class Counters:
    """As much of a pool as is counted."""

    database: str
    assignment_count: int = 0
    xact_count: int = 0
    query_count: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    xact_times: Histogram = field(default_factory=Histogram)
    query_times: Histogram = field(default_factory=Histogram)
    wait_times: Histogram = field(default_factory=Histogram)
    client_parse_count: int = 0
    server_parse_count: int = 0
    bind_count: int = 0
    login_count: int = 0


@dataclass
class Clocked:
    """As much of `Pools` as statistics look at."""

    pools: list[Counters] = field(default_factory=list)
    now: float = 0.0

    def __iter__(self) -> Any:
        return iter(self.pools)


def test_pools_of_one_database_are_summed() -> None:
    pools = Clocked([Counters("a", query_count=1), Counters("a", query_count=2), Counters("b", query_count=4)])
    totals = Statistics(pools).totals()  # type: ignore[arg-type]
    assert {name: total.query_count for name, total in totals.items()} == {"a": 3, "b": 4}


def test_times_are_microseconds() -> None:
    pools = Clocked([Counters("a", xact_times=of(1.5), query_times=of(0.25), wait_times=of(1e-6))])
    total = Statistics(pools).totals()["a"]  # type: ignore[arg-type]
    assert (total.xact_time, total.query_time, total.wait_time) == (1_500_000, 250_000, 1)


def test_before_the_first_period_averages_are_over_the_time_since_start() -> None:
    pools = Clocked([Counters("a", query_count=100)])
    statistics = Statistics(pools)  # type: ignore[arg-type]
    pools.now = 10.0
    assert statistics.averages()["a"].rows()["query_count"] == 10


def test_averages_are_those_of_the_last_complete_period() -> None:
    pool = Counters("a")
    pools = Clocked([pool])
    statistics = Statistics(pools)  # type: ignore[arg-type]
    pool.query_count = 600
    statistics.turn(60.0)
    pool.query_count = 720
    statistics.turn(120.0)
    pool.query_count = 99_999
    assert statistics.averages()["a"].rows()["query_count"] == 2


def test_times_are_averaged_over_what_they_belong_to() -> None:
    totals = Totals(server_assignment_count=2, xact_count=4, query_count=8, xact_time=40, query_time=80, wait_time=20)
    rows = Averages(totals, 2.0).rows()
    assert (rows["xact_time"], rows["query_time"], rows["wait_time"]) == (10, 10, 10)
    assert (rows["xact_count"], rows["query_count"]) == (2, 4)


def test_a_period_in_which_nothing_happened_is_no_division_by_zero() -> None:
    assert set(Averages(Totals(), 0.0).rows().values()) == {0}


def test_a_database_that_appears_later_counts_from_then() -> None:
    pools = Clocked([Counters("a")])
    statistics = Statistics(pools)  # type: ignore[arg-type]
    statistics.turn(60.0)
    pools.pools.append(Counters("b", query_count=60))
    statistics.turn(120.0)
    assert statistics.averages()["b"].rows()["query_count"] == 1


def test_one_line_says_it_all() -> None:
    pool = Counters("a", xact_count=60, query_count=120, xact_times=of(0.06), query_times=of(0.12))
    statistics = Statistics(Clocked([pool]))  # type: ignore[arg-type]
    statistics.turn(60.0)
    assert statistics.line() == ("1 xacts/s, 2 queries/s, in 0 B/s, out 0 B/s, xact 1000 us, query 1000 us, wait 0 us")
