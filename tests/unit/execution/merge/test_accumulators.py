"""Aggregates of parts."""

from __future__ import annotations

import pytest

from trunkline.execution.merge.accumulators import maker
from trunkline.execution.merge.exact_types import BOOL, INT2, INT4, INT8, NUMERIC_OID
from trunkline.execution.merge.numerics import Numeric, to_binary
from trunkline.routing.spreading.merge import Combine, Kind
from trunkline.shard_errors import OutOfRange

FLOAT8, TEXT = 701, 25


def whole(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "big", signed=True)


def of(kind: Kind, own: int, parts: list[int], *rows: list[bytes | None], binary: int = 0) -> bytes | None:
    make = maker(Combine(kind, 0, tuple(range(len(parts)))), own, parts, binary)
    assert make is not None
    found = make()
    for place, row in enumerate(rows):
        found.add(b"own %d" % place, row)
    return found.value()


def test_counts_are_added() -> None:
    assert of(Kind.COUNT, INT8, [INT8], [whole(3)], [whole(0)]) == b"3"
    assert of(Kind.COUNT, INT8, [INT8], [whole(3)], [whole(4)], binary=1) == whole(7)


def test_a_sum_of_nothing_is_null() -> None:
    assert of(Kind.SUM, INT8, [INT8], [None], [None]) is None
    assert of(Kind.SUM, INT8, [INT8], [None], [whole(-5)]) == b"-5"
    assert of(Kind.AVG, NUMERIC_OID, [INT8, INT8], [None, whole(0)]) is None


def test_a_sum_that_does_not_fit_is_out_of_range() -> None:
    with pytest.raises(OutOfRange, match="bigint out of range"):
        of(Kind.SUM, INT8, [INT8], [whole(2**63 - 1)], [whole(1)])


def test_an_average_is_made_of_sums_and_counts() -> None:
    assert of(Kind.AVG, NUMERIC_OID, [INT8, INT8], [whole(1), whole(2)], [whole(3), whole(1)]) == b"1.3333333333333333"
    rows = [[to_binary(Numeric(15, 1)), whole(2)], [to_binary(Numeric(1)), whole(1)]]
    assert of(Kind.AVG, NUMERIC_OID, [NUMERIC_OID, INT8], *rows) == b"0.83333333333333333333"


def test_an_extreme_is_what_its_shard_has_said() -> None:
    assert of(Kind.MAX, INT4, [INT4], [whole(3, 4)], [None], [whole(7, 4)]) == b"own 2"
    assert of(Kind.MIN, INT4, [INT4], [whole(3, 4)], [None], [whole(7, 4)]) == b"own 0"
    assert of(Kind.MIN, INT4, [INT4], [None]) is None


def test_bits_and_booleans() -> None:
    assert of(Kind.AND, BOOL, [BOOL], [b"\1"], [None], [b"\0"]) == b"f"
    assert of(Kind.OR, BOOL, [BOOL], [b"\1"], [b"\0"], binary=1) == b"\1"
    assert of(Kind.AND, INT2, [INT2], [whole(-1, 2)], [whole(6, 2)]) == b"6"
    assert of(Kind.XOR, INT4, [INT4], [whole(5, 4)], [whole(6, 4)], binary=1) == whole(3, 4)
    assert of(Kind.OR, INT8, [INT8], [None]) is None


@pytest.mark.parametrize(
    ("kind", "own", "parts"),
    [
        (Kind.SUM, FLOAT8, [FLOAT8]),
        (Kind.AVG, FLOAT8, [FLOAT8, INT8]),
        (Kind.STDDEV_SAMP, FLOAT8, [FLOAT8, NUMERIC_OID, INT8]),
        (Kind.SUM, 1186, [1186]),
        (Kind.MIN, TEXT, [TEXT]),
        (Kind.AND, 1560, [1560]),
        (Kind.XOR, BOOL, [BOOL]),
        (Kind.COUNT, INT8, [INT4]),
    ],
)
def test_what_would_not_be_exact_has_none(kind: Kind, own: int, parts: list[int]) -> None:
    assert maker(Combine(kind, 0, tuple(range(len(parts)))), own, parts, 0) is None


def test_a_text_has_an_extreme_where_it_is_ordered_by_its_bytes() -> None:
    assert maker(Combine(Kind.MIN, 0, (0,), bytewise=True), TEXT, [TEXT], 0) is not None
