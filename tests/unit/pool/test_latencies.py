"""Percentiles by database, over the last period, whatever becomes of pools."""

from __future__ import annotations

from tests.unit.relay import relay
from trunkline.pool.latencies import Latencies, waits_of


def counts(latencies: Latencies) -> dict[tuple[str, str], int]:
    return {(name, kind): found.count for name, kind, found in latencies.rows()}


async def test_before_the_first_period_all_counts_and_then_what_has_come_since() -> None:
    async with relay() as made:
        latencies = Latencies(made.pools)
        made.pool.query_times.note(0.001)
        assert counts(latencies)["app", "query"] == 1
        latencies.turn()
        assert counts(latencies)["app", "query"] == 1
        made.pool.query_times.note(5.0)
        latencies.turn()
        (found,) = (found for _, kind, found in latencies.rows() if kind == "query")
        assert (found.count, found.quantile_us(0.5) > 5_000_000) == (1, True)


async def test_pools_of_one_database_are_summed_and_one_that_was_dropped_takes_nothing_from_the_others() -> None:
    async with relay() as made:
        latencies = Latencies(made.pools)
        other = made.pools.pool("app", "v")
        for pool in (made.pool, other):
            pool.xact_times.note(0.001)
        latencies.turn()
        assert counts(latencies)["app", "transaction"] == 2
        made.pools.drop_empty(other)
        made.pool.xact_times.note(0.002)
        latencies.turn()
        assert counts(latencies)["app", "transaction"] in (0, 1, 2)


async def test_who_got_a_server_at_once_has_waited_for_no_time() -> None:
    async with relay() as made:
        made.pool.assignment_count = 10
        made.pool.wait_times.note(1.0)
        found = waits_of(made.pool)
        assert (found.count, found.below(8)) == (10, 9)
