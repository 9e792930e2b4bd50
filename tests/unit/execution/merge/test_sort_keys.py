"""Values as strings of bytes that are in the order of the values."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.execution.merge import exact_types
from trunkline.execution.merge.numerics import Numeric, to_binary
from trunkline.execution.merge.sort_keys import sort_key
from trunkline.shard_errors import MergeError


def _agree(kind: int, one: bytes, other: bytes, expected: int) -> None:
    """`expected` is -1, 0 or 1, as PostgreSQL compares the two."""
    for sign, descending in ((1, False), (-1, True)):
        a, b = (sort_key(kind, value, descending) for value in (one, other))
        assert (a > b) - (a < b) == expected * sign
        assert a == b or not (a.startswith(b) or b.startswith(a))  # so that other keys may follow


def _order(one: Any, other: Any) -> int:
    return (one > other) - (one < other)


@pytest.mark.parametrize("form", ["!h", "!i", "!q"])
@given(data=st.data())
def test_whole_numbers(form: str, data: st.DataObject) -> None:
    bits = 8 * struct.calcsize(form)
    numbers = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    one, other = data.draw(numbers), data.draw(numbers)
    _agree(exact_types.SIGNED, struct.pack(form, one), struct.pack(form, other), _order(one, other))


@given(st.floats(), st.floats())
def test_floats_have_one_nan_above_all_and_one_zero(one: float, other: float) -> None:
    expected = _order(math.isnan(one), math.isnan(other)) or (0 if math.isnan(one) else _order(one, other))
    _agree(exact_types.FLOAT8, struct.pack("!d", one), struct.pack("!d", other), expected)


@given(st.floats(width=32), st.floats(width=32))
def test_short_floats(one: float, other: float) -> None:
    expected = _order(math.isnan(one), math.isnan(other)) or (0 if math.isnan(one) else _order(one, other))
    _agree(exact_types.FLOAT4, struct.pack("!f", one), struct.pack("!f", other), expected)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_bytes(one: bytes, other: bytes) -> None:
    _agree(exact_types.BYTES, one, other, _order(one, other))


@given(st.text("ab ", max_size=4), st.text("ab ", max_size=4))
def test_blanks_at_the_end_do_not_count_where_they_are_padding(one: str, other: str) -> None:
    _agree(exact_types.PADDED, one.encode(), other.encode(), _order(one.rstrip(" "), other.rstrip(" ")))


@given(*[st.tuples(st.integers(-(10**30), 10**30), st.integers(0, 30))] * 2)
def test_numerics_are_compared_by_value(one: tuple[int, int], other: tuple[int, int]) -> None:
    values = [Decimal(digits).scaleb(-scale) for digits, scale in (one, other)]
    _agree(exact_types.NUMERIC, *[to_binary(Numeric(*number)) for number in (one, other)], _order(*values))


def test_numerics_that_are_no_numbers_have_their_places() -> None:
    names = ["-Infinity", "", "Infinity", "NaN"]
    values = [to_binary(Numeric(5, special=name) if name else Numeric(-5)) for name in names]
    keys = [sort_key(exact_types.NUMERIC, value) for value in values]
    assert keys == sorted(keys)


@given(*[st.tuples(st.integers(-(2**63), 2**63 - 1), *[st.integers(-(2**31), 2**31 - 1)] * 2)] * 2)
def test_intervals_are_compared_as_months_of_thirty_days(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    spans = [time + (days + months * 30) * 86_400_000_000 for time, days, months in (one, other)]
    _agree(exact_types.INTERVAL, struct.pack("!qii", *one), struct.pack("!qii", *other), _order(*spans))


def test_times_with_a_zone_are_compared_by_moment_first() -> None:
    early, late = struct.pack("!qi", 3600_000_000, -3600), struct.pack("!qi", 1, 0)
    _agree(exact_types.TIMETZ, late, early, 1)
    _agree(exact_types.TIMETZ, struct.pack("!qi", 0, 3600), struct.pack("!qi", 3600_000_000, 0), 1)


def test_null_has_its_place() -> None:
    value = sort_key(exact_types.SIGNED, bytes(4))
    assert sort_key(exact_types.SIGNED, None, nulls_first=True) < value < sort_key(exact_types.SIGNED, None)
    assert sort_key(exact_types.SIGNED, None, descending=True) > sort_key(exact_types.SIGNED, bytes(4), descending=True)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (exact_types.SIGNED, b"123"),
        (exact_types.FLOAT8, b"1234"),
        (exact_types.UNSIGNED, b""),
        (exact_types.NUMERIC, b"1234567"),
        (exact_types.NUMERIC, b"\xff\xff" + bytes(6)),
        (exact_types.NUMERIC, b"\0\1" + bytes(6) + b"\x27\x10"),
        (exact_types.INTERVAL, bytes(15)),
        (exact_types.TIMETZ, bytes(8)),
        (99, b"1"),
    ],
)
def test_a_value_that_is_none_of_its_type_is_an_error(kind: int, value: bytes) -> None:
    with pytest.raises(MergeError):
        sort_key(kind, value)


def test_keys_of_several_columns_are_in_their_order() -> None:
    rows = [(a, b) for a in (b"", b"a", b"a\0", b"ab", None) for b in (b"", b"z", None)]
    keys = {row: b"".join(sort_key(exact_types.BYTES, one) for one in row) for row in rows}

    def compare(one: tuple[bytes | None, ...], other: tuple[bytes | None, ...]) -> int:
        pairs = zip(one, other, strict=True)
        return next((_order((a is None, a or b""), (b is None, b or b"")) for a, b in pairs if a != b), 0)

    assert sorted(rows, key=keys.__getitem__) == sorted(rows, key=cmp_to_key(compare))
