"""Queries within statements."""

from __future__ import annotations

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.wrapped import inner_of, planned


def test_the_query_is_the_part_that_means_what_stands_there() -> None:
    sql = "EXPLAIN (VERBOSE) SELECT 'SELECT x FROM a' FROM a"
    asked = request(sql)
    spans = [(at, len(sql)) for at, letter in enumerate(sql) if letter == "S"]
    inner = inner_of(asked, spans)
    assert inner is not None
    assert inner.sql == b"SELECT 'SELECT x FROM a' FROM a"
    assert inner.plan.verdict == "routed"
    assert planned(inner).node == {}
    assert inner_of(asked, [(0, 7), (18, 30)]) is None
