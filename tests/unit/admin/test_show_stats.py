"""SHOW STATS and its relatives: whole numbers, in the columns' order."""

from __future__ import annotations

import pytest

from trunkline.admin import columns
from trunkline.admin.show_stats import show_stats, show_stats_averages, show_stats_totals, show_totals
from trunkline.proxy.instance import Instance


@pytest.fixture
def busy(instance: Instance) -> Instance:
    for user, count in (("ann", 30), ("bob", 12)):
        pool = instance.pools.pool("shared", user)
        pool.query_count = count
        pool.query_times.note(count / 1000)
        pool.bytes_sent = 5 * count
    return instance


async def test_every_known_database_has_a_row_from_the_beginning(instance: Instance) -> None:
    for show in (show_stats, show_stats_totals, show_stats_averages):
        rows = list(show(instance))
        assert [row[0] for row in rows] == ["app", "shop"]
        assert all(value == 0 for row in rows for value in row[1:])


async def test_the_pools_of_a_database_are_summed(busy: Instance) -> None:
    totals = {row[0]: row for row in show_stats_totals(busy)}["shared"]
    by_name = dict(zip([name for name, _ in columns.STATS_TOTALS], totals, strict=True))
    assert (by_name["query_count"], by_name["query_time"], by_name["bytes_sent"]) == (42, 42_000, 210)


async def test_stats_are_whole_numbers_totals_first(busy: Instance) -> None:
    row = {row[0]: row for row in show_stats(busy)}["shared"]
    by_name = dict(zip([name for name, _ in columns.STATS], row, strict=True))
    assert (by_name["total_query_count"], by_name["total_sent"], by_name["avg_query_time"]) == (42, 210, 1000)
    assert all(type(value) is int for value in row[1:])


async def test_totals_are_over_all_databases(busy: Instance) -> None:
    busy.pools.pool("app", "x").query_count = 8
    values = dict(show_totals(busy))
    assert values["total_query_count"] == 50
    assert list(values)[:4] == [
        "total_server_assignment_count",
        "total_xact_count",
        "total_query_count",
        "total_client_bytes",
    ]
    assert [name.removeprefix("avg_") for name in values if name.startswith("avg_")] == [
        name.removeprefix("total_") for name in values if name.startswith("total_")
    ]
