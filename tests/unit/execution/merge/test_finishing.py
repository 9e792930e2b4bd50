"""HAVING, and the order of whole groups."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.execution.merge.test_merger import Row, frame, frames
from trunkline.execution.merge import exact_types
from trunkline.execution.merge.exact_types import INT4, NUMERIC_OID
from trunkline.execution.merge.finishing import Finisher
from trunkline.execution.merge.merger import Merger
from trunkline.execution.merge.numerics import NAN, Numeric, to_binary
from trunkline.routing.spreading.merge import Having

DESCENDING = [(exact_types.SIGNED, True, True)]


def finished(
    cells: Sequence[Row],
    orders: Sequence[tuple[int, bool, bool]] = (),
    offset: int = 0,
    limit: int | None = None,
    having: Sequence[tuple[int, int, Having]] = (),
) -> tuple[list[Row], int]:
    """What becomes of rows with one column of the client's and one computed one; and the bytes that were kept."""
    taken: list[int] = []
    merger = Merger(1, 2, 0, [], None, [], 0, None, False)
    last = Finisher(merger, 1, orders, offset, limit, taken.append)
    last.having = having
    last.feed(0, b"".join(map(frame, cells)))
    last.end(0)
    out = b""
    while not last.done:
        out += last.take()
    found = frames(out)
    assert last.rows == len(found)
    return found, sum(taken)


def number(value: int | None) -> bytes | None:
    return None if value is None else struct.pack("!i", value)


@given(
    st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=20),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_rows_come_in_the_last_order(values: list[int | None], offset: int, limit: int | None) -> None:
    rows = [(b"%d" % place, number(value)) for place, value in enumerate(values)]
    found, _ = finished(rows, DESCENDING, offset, limit)
    order = sorted(values, key=lambda value: (value is not None, -(value or 0)))
    expected = order[offset : None if limit is None else offset + limit]
    assert [values[int(cell or b"")] for (cell,) in found] == expected


def test_with_a_limit_not_many_more_rows_are_kept() -> None:
    rows = [(b"%d" % place, number(place * 7919 % 10007)) for place in range(10007)]
    found, kept = finished(rows, DESCENDING, 1, 2)
    assert [int(cell or b"") * 7919 % 10007 for (cell,) in found] == [10005, 10004]
    assert kept < 500_000 < finished(rows, DESCENDING)[1]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("<", "b"), ("<=", "bc"), ("=", "c"), (">=", "cde"), (">", "de"), ("<>", "bde")],
)
def test_having_is_a_comparison(operator: str, expected: str) -> None:
    values = [None, Numeric(249, 2), Numeric(25, 1), Numeric(3), NAN]
    rows = [(b"%c" % (97 + place), value and to_binary(value)) for place, value in enumerate(values)]
    found, _ = finished(rows, having=[(1, NUMERIC_OID, Having(0, operator, 250, 2))])
    assert b"".join(cell or b"" for (cell,) in found).decode() == expected


def test_having_and_limits_together() -> None:
    rows = [(b"%d" % value, number(value)) for value in range(10)]
    having = [(1, INT4, Having(0, ">", 2, 0)), (1, INT4, Having(0, "<>", 5, 0))]
    assert finished(rows, (), 1, 2, having)[0] == [(b"4",), (b"6",)]
    assert finished(rows, DESCENDING, 1, 2, having)[0] == [(b"8",), (b"7",)]
