"""SHOW LATENCIES: a row for each database and kind, microseconds in the columns' order."""

from __future__ import annotations

from trunkline.admin import columns
from trunkline.admin.show_latencies import SHARES, show_latencies
from trunkline.proxy.instance import Instance


async def test_percentiles_grow_from_column_to_column(instance: Instance) -> None:
    pool = instance.pools.pool("app", "ann")
    for number in range(1000):
        pool.query_times.note(number / 1e3)
    rows = {row[1]: row for row in show_latencies(instance)}
    assert list(rows) == ["transaction", "query", "wait"]
    assert {len(row) for row in rows.values()} == {len(columns.LATENCIES)} == {3 + len(SHARES)}
    _, _, count, *shown = rows["query"]
    assert count == 1000
    assert shown == sorted(shown)
    assert 500_000 < int(str(shown[0])) <= 500_000 * 9 / 8 + 1
    assert rows["wait"][2:] == (0,) * 7
