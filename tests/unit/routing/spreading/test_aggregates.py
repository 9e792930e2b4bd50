"""Aggregates and their parts."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure


@pytest.mark.parametrize("call", ["count(DISTINCT k)", "min(DISTINCT x)", "avg(DISTINCT k)"])
def test_distinct_values_are_counted_where_no_two_shards_have_the_same(call: str) -> None:
    assert plan_or_reason(request(f"SELECT {call} FROM a")).unique == 0


@pytest.mark.parametrize(
    "call", ["count(DISTINCT x)", "sum(DISTINCT n)", "stddev(DISTINCT k)", "count(DISTINCT b.k)", "sum(x ORDER BY k)"]
)
def test_others_are_not(call: str) -> None:
    sql = f"SELECT {call} FROM a LEFT JOIN b ON a.k = b.k"
    if call == "count(DISTINCT b.k)":  # where it is not NULL, it says the shard
        assert plan_or_reason(request(sql)).unique == 0
        return
    with pytest.raises(Unsure):
        plan_or_reason(request(sql))
