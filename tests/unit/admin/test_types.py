"""Types: what parameters are read as, in both formats, and that bad bytes are the client's error."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.admin.result import ConsoleError, Value, rows_as_messages
from trunkline.admin.types import common, from_text, parameter, parameter_type
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ


@pytest.mark.parametrize(
    ("data", "oid", "value"),
    [
        (struct.pack("!h", -5), INT4, -5),
        (struct.pack("!i", 5), INT4, 5),
        (struct.pack("!q", 1 << 40), INT8, 1 << 40),
        (b"\1", BOOL, True),
        (b"abc", TEXT, "abc"),
        (struct.pack("!q", 0), TIMESTAMPTZ, datetime(2000, 1, 1, tzinfo=UTC)),
        (struct.pack("!hhHh3h", 3, 1, 0x4000, 2, 1, 2345, 6700), NUMERIC, Decimal("-12345.67")),
    ],
)
def test_binary_parameters_are_read(data: bytes, oid: int, value: Value) -> None:
    assert parameter(data, oid, 1) == value
    assert parameter(None, oid, 1) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
def test_a_number_is_read_as_it_is_written(number: Decimal) -> None:
    message = rows_as_messages([(number,)], (("n", NUMERIC),), (1,))
    assert parameter(message[11:], NUMERIC, 1) == number


@given(st.sampled_from([INT4, INT8, NUMERIC, BOOL, TEXT, TIMESTAMPTZ]), st.binary(max_size=30), st.integers(0, 2))
def test_any_bytes_are_a_value_or_an_error(oid: int, data: bytes, code: int) -> None:
    try:
        parameter(data, oid, code)
    except ConsoleError as error:
        assert error.sqlstate in ("22P02", "22P03", "22021", "22003", "08P01")


@pytest.mark.parametrize("text", ["", "x", "1e9999", "NaN", "Infinity", "1" * 20])
def test_a_literal_that_is_none_is_an_error(text: str) -> None:
    for oid in (INT4, BOOL):
        with pytest.raises(ConsoleError):
            from_text(text, oid)


def test_numbers_meet_in_the_wider_type() -> None:
    assert common(INT4, NUMERIC) == NUMERIC and common(INT8, INT4) == INT8
    assert common(INT4, TEXT) is None


def test_declared_types_are_taken_or_refused() -> None:
    assert [parameter_type(oid) for oid in (21, 1043, 23, 0)] == [INT4, TEXT, INT4, 705]
    with pytest.raises(ConsoleError):
        parameter_type(600)
