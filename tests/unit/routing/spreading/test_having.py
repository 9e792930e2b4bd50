"""HAVING that is decided where groups are put together."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.having import comparisons
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import parse_any

FILTERS = {
    "count(*) > 1": [(">", 1, 0)],
    "1 >= count(*) AND sum(x) <> -2": [("<=", 1, 0), ("<>", -2, 0)],
    "avg(x) = 1.50": [("=", 150, 2)],
    "avg(x) < .5 AND (min(x) <= 3. AND max(x) > 99999999999)": [("<", 5, 1), ("<=", 3, 0), (">", 99999999999, 0)],
}
OTHERS = [
    "count(*) > 1 OR sum(x) > 1",
    "NOT count(*) > 1",
    "count(*) > sum(x)",
    "count(*) + 1 > 1",
    "count(*) > $1",
    "count(*) IN (1, 2)",
    "count(*) BETWEEN 1 AND 2",
    "max(x) > '1'",
    "x > 1",
    "avg(x) > 1e3",
    "count(*) OPERATOR(pg_catalog.>) 1",
    "bool_and(x)",
]


@pytest.mark.parametrize("text", FILTERS)
def test_aggregates_are_compared_with_numbers(text: str) -> None:
    calls, filters = comparisons(parse_any(f"SELECT HAVING {text}".encode())[0][1]["havingClause"])
    assert filters == FILTERS[text]
    assert len(calls) == len(filters)


@pytest.mark.parametrize("text", OTHERS)
def test_anything_else_is_not_decided_here(text: str) -> None:
    with pytest.raises(Unsure):
        comparisons(parse_any(f"SELECT HAVING {text}".encode())[0][1]["havingClause"])


def test_nothing_is_asked_where_there_is_none() -> None:
    assert comparisons(None) == ([], [])
