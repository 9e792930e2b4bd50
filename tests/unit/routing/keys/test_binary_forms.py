"""The binary form of values; whatever has the wrong size is not guessed at."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.binary_forms import READERS
from trunkline.routing.keys.hashing import KINDS
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value


def numeric(weight: int, sign: int, scale: int, *groups: int) -> bytes:
    return struct.pack(f">HhHH{len(groups)}H", len(groups), weight, sign, scale, *groups)


@pytest.mark.parametrize(
    ("type", "data", "value"),
    [
        ("int2", b"\xff\xfe", -2),
        ("int4", b"\x80\0\0\0", -(1 << 31)),
        ("int8", b"\0\0\0\0\0\0\0\x2a", 42),
        ("float4", struct.pack(">f", 1.5), 1.5),
        ("float8", struct.pack(">d", -0.1), -0.1),
        ("bool", b"\x01", True),
        ("bool", b"\0", False),
        ("text", "ä ".encode(), "ä "),
        ("bpchar", b"a  ", "a"),
        ("uuid", bytes(range(16)), bytes(range(16))),
        ("bytea", b"\0\xff", b"\0\xff"),
        ("date", b"\x7f\xff\xff\xff", (1 << 31) - 1),
        ("timestamptz", b"\x80\0\0\0\0\0\0\0", -(1 << 63)),
        ("numeric", numeric(0, 0, 2, 1, 5000), Decimal("1.5")),
        ("numeric", numeric(1, 0x4000, 0, 1), Decimal(-10000)),
        ("numeric", numeric(-2, 0, 8, 1), Decimal("0.00000001")),
        ("numeric", numeric(0, 0, 0), Decimal(0)),
        ("numeric", numeric(0, 0, 1, 1, 5600), Decimal("1.5")),
        ("numeric", numeric(0, 0, 0, 1, 5600), Decimal(1)),
        ("numeric", numeric(0, 0xF000, 0), Decimal("-Infinity")),
    ],
)
def test_a_binary_value_is_read(type: str, data: bytes, value: Value) -> None:
    assert READERS[type](data) == value


@pytest.mark.parametrize("type", ["int2", "int4", "int8", "float4", "float8", "bool", "uuid", "date", "timestamp"])
@pytest.mark.parametrize("size", [0, 3, 5, 9, 17])
def test_a_value_of_the_wrong_size_is_unknown(type: str, size: int) -> None:
    with pytest.raises(KeyUnknown):
        READERS[type](bytes(size))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        numeric(0, 0, 0, 1) + b"\0",
        numeric(0, 0, 0, 1)[:-1],
        numeric(9999, 0, 0, 1),
        numeric(0, 0, 9999),
    ],
)
def test_a_numeric_that_is_cut_or_very_long_is_unknown(data: bytes) -> None:
    with pytest.raises(KeyUnknown):
        READERS["numeric"](data)


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("numeric", numeric(0, 0, 0, 10000)),
        ("numeric", numeric(0, 0x1234, 0, 1)),
        ("text", b"a\0"),
        ("date", b"\x80\0\0\x01"),
        ("timestamp", b"\x80\0\0\0\0\0\0\x01"),
    ],
)
def test_what_postgresql_refuses_is_not_coercible(type: str, data: bytes) -> None:
    with pytest.raises(NotCoercible):
        READERS[type](data)


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_reason(type: str, data: bytes) -> None:
    try:
        READERS[type](data)
    except (NotCoercible, KeyUnknown) as reason:
        assert str(reason)


def test_every_type_that_can_be_hashed_can_be_read() -> None:
    assert set(READERS) == set(KINDS)
