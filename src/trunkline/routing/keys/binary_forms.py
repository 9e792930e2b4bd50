"""The binary form of values, as PostgreSQL's receive functions read it.

A length that is not the type's is `KeyUnknown`: the server may have given the parameter another type than we think.
Of a type that was declared, `SIZES` has the lengths that PostgreSQL takes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.text_forms import MAX_NUMERIC_DIGITS, NUMERIC_NAN, read_bpchar, read_text
from trunkline.routing.keys.time_forms import (
    DATE_INFINITY,
    DATE_MINUS_INFINITY,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MINUS_INFINITY,
    check_date,
    check_timestamp,
)

_NUMERIC_HEAD = struct.Struct(">HhHH")  # how many groups of digits, the power of 10000 of the first, sign, scale
_NUMERIC_SPECIAL = {0xC000: NUMERIC_NAN, 0xD000: Decimal("Infinity"), 0xF000: Decimal("-Infinity")}
_SIGNS = {0: 0, 0x4000: 1}
_GROUP_DIGITS = 4


def _fixed(format: str) -> Callable[[bytes], Value]:
    packed = struct.Struct(format)

    def read(data: bytes) -> Value:
        if len(data) != packed.size:
            raise KeyUnknown(f"{len(data)} bytes for a type of {packed.size}")
        value: Value = packed.unpack(data)[0]
        return value

    return read


_read_int4, _read_int8 = _fixed(">i"), _fixed(">q")


def read_date(data: bytes) -> int:
    days = _read_int4(data)
    assert isinstance(days, int)
    return days if days in (DATE_INFINITY, DATE_MINUS_INFINITY) else check_date(days)


def read_timestamp(data: bytes) -> int:
    microseconds = _read_int8(data)
    assert isinstance(microseconds, int)
    if microseconds in (TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY):
        return microseconds
    return check_timestamp(microseconds)


def read_bool(data: bytes) -> bool:
    if len(data) != 1:
        raise KeyUnknown("not one byte")
    return data != b"\0"


def read_uuid(data: bytes) -> bytes:
    if len(data) != 16:
        raise KeyUnknown("not 16 bytes")
    return data


def read_numeric(data: bytes) -> Decimal:
    """Groups of four digits; those behind the scale are cut off, as numeric_recv does."""
    if len(data) < _NUMERIC_HEAD.size:
        raise KeyUnknown("shorter than a numeric")
    count, weight, sign, scale = _NUMERIC_HEAD.unpack_from(data)
    if len(data) != _NUMERIC_HEAD.size + 2 * count:
        raise KeyUnknown("not a numeric")
    if sign in _NUMERIC_SPECIAL:
        return _NUMERIC_SPECIAL[sign]
    groups = struct.unpack_from(f">{count}H", data, _NUMERIC_HEAD.size)
    if sign not in _SIGNS or any(group > 9999 for group in groups):
        raise NotCoercible("not a numeric")
    if max(count, abs(weight)) * _GROUP_DIGITS > MAX_NUMERIC_DIGITS or scale > MAX_NUMERIC_DIGITS:
        raise KeyUnknown("a very long number")
    return _number(sign, groups, weight, scale)


def _number(sign: int, groups: tuple[int, ...], weight: int, scale: int) -> Decimal:
    digits = "".join(f"{group:04}" for group in groups)
    exponent = (weight + 1) * _GROUP_DIGITS - len(digits)
    surplus = -exponent - scale
    if surplus > 0:
        digits, exponent = digits[:-surplus], -scale
    return Decimal((_SIGNS[sign], tuple(map(int, digits)), exponent))


SIZES: Mapping[str, int] = {
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "float4": 4,
    "float8": 8,
    "bool": 1,
    "uuid": 16,
    "date": 4,
    "timestamp": 8,
    "timestamptz": 8,
}
READERS: Mapping[str, Callable[[bytes], Value]] = {
    "int2": _fixed(">h"),
    "int4": _read_int4,
    "int8": _read_int8,
    "numeric": read_numeric,
    "float4": _fixed(">f"),
    "float8": _fixed(">d"),
    "bool": read_bool,
    "text": read_text,
    "varchar": read_text,
    "bpchar": read_bpchar,
    "uuid": read_uuid,
    "bytea": bytes,
    "date": read_date,
    "timestamp": read_timestamp,
    "timestamptz": read_timestamp,
}
