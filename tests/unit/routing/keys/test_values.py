"""A key's value from what was written, in the column's type, as the column would keep it."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest

from trunkline.routing.keys.sharding import KeyUnknown, Value
from trunkline.routing.keys.values import base_of, from_binary, from_number, from_text, order_of


@pytest.mark.parametrize(
    ("text", "type", "source", "value"),
    [
        ("5", "int8", "", 5),
        ("5.5", "int8", "numeric", 6),
        ("99999999999", "int4", "int8", (1 << 31) - 1),
        ("abc   ", "varchar(3)", "", "abc"),
        ("abc   ", "varchar(4)", "", "abc "),
        ("abcd  ", "varchar(3)", "", "abcd  "),
        ("äöü ", "varchar(3)", "text", "äöü"),
        ("ab  ", "bpchar(4)", "", "ab"),
        ("1.005", "numeric(10,2)", "", Decimal("1.01")),
        ("-1.005", "numeric(10,2)", "", Decimal("-1.01")),
        ("55", "numeric(3,-1)", "int4", Decimal(60)),
        ("Infinity", "numeric(3,1)", "", Decimal("Infinity")),
        ("2000-01-01 00:00:00.5", "timestamp(0)", "", 1_000_000),
        ("1999-12-31 23:59:59.5", "timestamp(0)", "", -1_000_000),
        ("2000-01-01 00:00:00.123456", "timestamp(6)", "", 123456),
        ("infinity", "timestamptz(0)", "", (1 << 63) - 1),
    ],
)
def test_a_text_is_brought_to_what_the_column_keeps(text: str, type: str, source: str, value: Value) -> None:
    assert from_text(text.encode(), type, source) == value


@pytest.mark.parametrize(
    ("number", "type", "source", "negative", "value"),
    [
        ("42", "int8", "", False, 42),
        ("42", "int8", "", True, -42),
        ("9223372036854775808", "int8", "", True, -(1 << 63)),
        ("9223372036854775808", "int8", "", False, (1 << 63) - 1),
        ("5.0", "int4", "", False, 5),
        ("5.5", "int4", "", True, -6),
        ("0x1F", "int4", "", False, 31),
        ("1_000", "int4", "", False, 1000),
        ("5", "text", "", False, "5"),
        ("5.5", "int8", "int4", False, 6),
        ("1.5", "numeric", "", True, Decimal("-1.5")),
        ("5", "float8", "", False, 5.0),
    ],
)
def test_a_number_is_brought_to_what_the_column_keeps(
    number: str, type: str, source: str, negative: bool, value: Value
) -> None:
    assert from_number(number.encode(), type, source, negative=negative) == value


def test_a_binary_value_is_of_its_declared_type() -> None:
    assert from_binary(struct.pack(">q", 5), "int4", "int8") == 5
    assert from_binary(struct.pack(">i", 5), "int4") == 5
    with pytest.raises(KeyUnknown):
        from_binary(struct.pack(">q", 5), "int4")


@pytest.mark.parametrize("source", ["citext", "varchar(2)", "json", "_int4"])
def test_a_type_that_is_not_known_makes_the_key_unknown(source: str) -> None:
    for read in (from_text, from_binary):
        with pytest.raises(KeyUnknown):
            read(b"5", "text", source)


@pytest.mark.parametrize(("type", "base"), [("int8", "int8"), ("varchar(3)", "varchar"), ("numeric(3,-1)", "numeric")])
def test_the_base_of_a_type_has_no_modifier(type: str, base: str) -> None:
    assert base_of(type) == base


@pytest.mark.parametrize(("type", "nan"), [("float8", float("nan")), ("numeric(9,2)", Decimal("NaN"))])
def test_nan_is_equal_to_itself_and_above_all_others(type: str, nan: Value) -> None:
    order = order_of(type)
    assert order(nan) == order(nan) > order(float("inf")) > order(1)
