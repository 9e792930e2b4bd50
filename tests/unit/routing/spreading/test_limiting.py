"""LIMIT and OFFSET as they stand in a text."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.limiting import limits_of
from trunkline.routing.spreading.merge import FromParameter, Limits
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import parse_any

LIMITS = {
    "": Limits(),
    "LIMIT 3": Limits(3),
    "LIMIT 0 OFFSET 2": Limits(0, 2),
    "LIMIT ALL OFFSET NULL": Limits(),
    "LIMIT $2 OFFSET $1": Limits(FromParameter(2), FromParameter(1)),
    "LIMIT 99999999999": Limits(99999999999),
    "ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES": Limits(2, None, ties=True),
    "FETCH FIRST ROW ONLY": Limits(1),
}


@pytest.mark.parametrize("words", LIMITS)
def test_numbers_and_parameters_are_limits(words: str) -> None:
    assert limits_of(parse_any(f"SELECT a FROM t {words}".encode())[0][1]) == LIMITS[words]


@pytest.mark.parametrize(
    "words",
    ["LIMIT 1 + 1", "LIMIT 9223372036854775808", "LIMIT 1.5", "LIMIT '3'", "OFFSET (SELECT 1)", "LIMIT $1::int4"],
)
def test_what_is_computed_is_none(words: str) -> None:
    with pytest.raises(Unsure):
        limits_of(parse_any(f"SELECT a FROM t {words}".encode())[0][1])
