"""The text form of values: what is read, what PostgreSQL refuses, and what only it can read. See also
`tests/integration/test_key_values.py`, which asks it.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from trunkline.routing.keys.hashing import KINDS
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.text_forms import READERS


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("int2", " -32768\n", -32768),
        ("int4", "+2147483647", 2147483647),
        ("int8", "1_000", 1000),
        ("int8", "-0x1_F", -31),
        ("int8", "0o17", 15),
        ("int8", "0B101", 5),
        ("numeric", " 1.50 ", Decimal("1.5")),
        ("numeric", "1_0.5e1_0", Decimal("1.05e11")),
        ("numeric", "-inf", Decimal("-Infinity")),
        ("numeric", "0x1f", Decimal(31)),
        ("float8", ".5e1", 5.0),
        ("float8", "-Infinity", float("-inf")),
        ("float4", "0.1", 0.10000000149011612),
        ("bool", " Of ", False),
        ("bool", "tru", True),
        ("text", " ä ", " ä "),
        ("varchar", "a  ", "a  "),
        ("bpchar", "a b  ", "a b"),
        ("bpchar", "a\t ", "a\t"),
        ("uuid", "{A0EEbc999c0b-4ef8bb6d6bb9bd380a11}", bytes.fromhex("a0eebc999c0b4ef8bb6d6bb9bd380a11")),
        ("bytea", "\\xDE ad", b"\xde\xad"),
        ("bytea", "a\\\\b\\001", b"a\\b\x01"),
        ("date", "2000-01-02", 1),
        ("timestamp", "2000-01-01 00:00:01", 1_000_000),
        ("timestamptz", "2000-01-01 00:00:01+00:00:01", 0),
    ],
)
def test_a_text_becomes_the_value_that_is_hashed(type: str, text: str, value: Value) -> None:
    assert READERS[type](text.encode()) == value


def test_nan_is_a_value() -> None:
    assert READERS["numeric"](b" nan ").is_nan()  # type: ignore[union-attr]
    assert READERS["float8"](b"NaN") != READERS["float8"](b"NaN")


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("int2", "32768"),
        ("int4", "1.0"),
        ("int8", ""),
        ("int8", "9223372036854775808"),
        ("int8", "1__0"),
        ("int8", "0x"),
        ("numeric", "1._5"),
        ("numeric", "+NaN"),
        ("float8", "1e400"),
        ("float8", "1e-400"),
        ("float8", "1_0"),
        ("float4", "3.5e38"),
        ("bool", "o"),
        ("bool", "truex"),
        ("text", "a\0"),
        ("uuid", " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("bytea", "\\xd e"),
        ("bytea", "a\\b"),
    ],
)
def test_what_postgresql_refuses_is_not_coercible(type: str, text: str) -> None:
    with pytest.raises(NotCoercible):
        READERS[type](text.encode())


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("int8", "\u00a05"),
        ("int8", "0" * 5000 + "7"),
        ("int8", "0x" + "f" * 5000),
        ("numeric", "1e1001"),
        ("numeric", "1" * 1001),
        ("float8", "0x1p3"),
        ("float8", "-nan"),
        ("float4", "16777217.0000000001"),
        ("float4", "1e-45"),
        ("bool", "\u00a0t"),
        ("timestamptz", "2024-01-01 00:00"),
    ],
)
def test_what_only_postgresql_can_read_is_unknown(type: str, text: str) -> None:
    with pytest.raises(KeyUnknown):
        READERS[type](text.encode())


def test_text_that_is_not_utf_8_is_unknown() -> None:
    with pytest.raises(KeyUnknown):
        READERS["text"](b"\xe4")


def test_every_type_that_can_be_hashed_can_be_read() -> None:
    assert set(READERS) == set(KINDS)
