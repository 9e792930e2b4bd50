"""Values as PostgreSQL would send them, in text and binary."""

from __future__ import annotations

from decimal import Decimal

import psycopg.types.numeric
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.wire import data_row, split_frames
from trunkline.admin.result import ConsoleError, Value, check_formats, rows_as_messages
from trunkline.protocol.messages import INT4, INT8, NUMERIC, TEXT


def sent(value: Value, oid: int, code: int) -> bytes | None:
    (frame,) = split_frames(rows_as_messages([(value,)], (("x", oid),), (code,)))
    (answer,) = data_row(frame)
    return answer


@pytest.mark.parametrize(
    ("value", "oid", "code", "expected"),
    [
        ("text", TEXT, 0, b"text"),
        ("text", TEXT, 1, b"text"),
        ("no \udcff UTF-8", TEXT, 0, b"no ? UTF-8"),
        (None, TEXT, 1, None),
        (None, INT4, 1, None),
        (-5, INT4, 0, b"-5"),
        (258, INT4, 1, b"\0\0\1\2"),
        (2**40, INT4, 1, b"\x7f\xff\xff\xff"),
        (258, INT8, 1, b"\0\0\0\0\0\0\1\2"),
        (0, NUMERIC, 0, b"0"),
    ],
)
def test_a_value_is_sent_in_the_format_asked_for(value: Value, oid: int, code: int, expected: bytes | None) -> None:
    assert sent(value, oid, code) == expected


@given(st.integers(-(10**40), 10**40))
def test_a_binary_numeric_reads_as_the_same_number(number: int) -> None:
    data = sent(number, NUMERIC, 1)
    assert data is not None
    assert psycopg.types.numeric.NumericBinaryLoader(NUMERIC).load(data) == Decimal(number)


@pytest.mark.parametrize("formats", [(), (0,), (1,), (0, 1)])
def test_formats_are_for_none_all_or_each(formats: tuple[int, ...]) -> None:
    check_formats(formats, (("a", TEXT), ("b", INT4)))


@pytest.mark.parametrize("formats", [(2,), (0, 1, 0), (-1,)])
def test_other_formats_are_refused(formats: tuple[int, ...]) -> None:
    with pytest.raises(ConsoleError) as refusal:
        check_formats(formats, (("a", TEXT), ("b", INT4)))
    assert refusal.value.sqlstate == "08P01"
