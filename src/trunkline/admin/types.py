"""The types of values in the console's SELECT: how a text becomes a value, and which of them can be compared. Pure.

Types are OIDs of pg_type. A literal without a type is UNKNOWN until something beside it says what it is, as in
PostgreSQL. All that is read here comes from a client.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Final

from trunkline.admin import catalog
from trunkline.admin.arrays import ARRAY_OF, ELEMENT, OID, items, unpacked
from trunkline.admin.arrays import shown as shown_array
from trunkline.admin.result import ConsoleError, Named, Value
from trunkline.protocol.messages import BOOL, BYTEA, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ

UNKNOWN = 705
INT2, VARCHAR, BPCHAR, NAME = 21, 1043, 1042, 19
NUMBERS: Final = (INT4, INT8, NUMERIC)  # each of them holds what those before it hold
_COMPARED: Final = (INT4, OID, INT8, NUMERIC)
NAMED: Final[dict[int, str]] = {2205: "regclass", 2206: "regtype", 24: "regproc"}  # an OID that is shown as a name

NAMES: dict[int, str] = {
    BOOL: "boolean", BYTEA: "bytea", INT4: "integer", INT8: "bigint", NUMERIC: "numeric", TEXT: "text",
    TIMESTAMPTZ: "timestamp with time zone", UNKNOWN: "unknown", OID: "oid", 2249: "record", **NAMED,
}  # fmt: skip
NAMES.update({array: f"{NAMES[element]}[]" for element, array in ARRAY_OF.items()})

CASTS: dict[str, int] = {
    "text": TEXT, "varchar": TEXT, "bpchar": TEXT, "name": TEXT, "int4": INT4, "int8": INT8, "numeric": NUMERIC,
    "bool": BOOL, "oid": OID, "char": TEXT, **{name: oid for oid, name in NAMED.items()},
}  # fmt: skip
"""What a type is called in a parse tree."""

_KNOWN_AS = {INT2: INT4, VARCHAR: TEXT, NAME: TEXT, BPCHAR: TEXT, 0: UNKNOWN}
_RANGES = {INT4: range(-1 << 31, 1 << 31), INT8: range(-1 << 63, 1 << 63), OID: range(1 << 32)}
_BOOLS = {"t": True, "true": True, "on": True, "1": True, "f": False, "false": False, "off": False, "0": False}
MAX_DIGITS: Final = 1000
_EXACT = Context(prec=10 * MAX_DIGITS)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def parameter_type(oid: int) -> int:
    """Our type for what a client declares a parameter to be."""
    known = _KNOWN_AS.get(oid, oid)
    if known not in NAMES or known in (BYTEA, 2249) or known in NAMED:
        raise ConsoleError("0A000", f"the console has no parameters of the type with OID {oid}")
    return known


def common(left: int, right: int) -> int | None:
    """The type in which two can be compared, if there is one."""
    if left == right:
        return left
    if left == UNKNOWN or right == UNKNOWN:
        return right if left == UNKNOWN else left
    left, right = (OID if oid in NAMED else oid for oid in (left, right))
    if left in _COMPARED and right in _COMPARED:
        return max(left, right, key=_COMPARED.index)
    return None


def from_text(text: str, oid: int) -> Value:
    """What a literal, or a parameter in text format, stands for."""
    try:
        if oid in _RANGES:
            return _ranged(int(text), oid)
        if oid in NAMED:
            return _named(text, oid)
        if oid in ELEMENT:
            return tuple(None if item is None else from_text(item, ELEMENT[oid]) for item in items(text))
        if oid == NUMERIC:
            return _number(text)
        if oid == BOOL:
            return _BOOLS[text.strip().lower()]
        if oid == TIMESTAMPTZ:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, KeyError, InvalidOperation):
        raise ConsoleError("22P02", f'invalid input syntax for type {NAMES[oid]}: "{text[:100]}"') from None
    return text


def _number(text: str) -> Decimal:
    number = Decimal(text.strip())
    if not number.is_finite() or number.adjusted() > MAX_DIGITS or -int(number.as_tuple().exponent) > MAX_DIGITS:
        raise InvalidOperation
    return number


def _ranged(number: int, oid: int) -> int:
    if number not in _RANGES[oid]:
        raise ConsoleError("22003", f"{NAMES[oid]} out of range")
    return number


def named_or_none(text: str, oid: int) -> Named | None:
    """As `to_regclass` and its like."""
    found = catalog.oid_of(NAMED[oid], text)
    return None if found is None else Named(found, catalog.name_of(NAMED[oid], found))


def _named(text: str, oid: int) -> Named:
    found = named_or_none(text, oid)
    if found is None:
        kind, state = {"regclass": ("relation", "42P01"), "regtype": ("type", "42704")}.get(
            NAMED[oid], ("function", "42883")
        )
        raise ConsoleError(state, f'{kind} "{text[:100]}" does not exist')
    return found


def cast(value: Value, oid: int) -> Value:
    """A value that is not NULL, as another type."""
    if oid == TEXT:
        return shown(value)
    if isinstance(value, str):
        return from_text(value, oid)
    if oid in NAMED and isinstance(value, int):
        return Named(value, catalog.name_of(NAMED[oid], value))
    if oid in _RANGES and isinstance(value, int | Decimal):
        return _ranged(int(round(value) if isinstance(value, Decimal) else value), oid)
    if oid == NUMERIC and isinstance(value, int):
        return value
    return bool(value) if oid == BOOL else value


def shown(value: Value) -> str:
    """A value as a cast to text gives it."""
    if isinstance(value, tuple):
        return shown_array([None if one is None else shown(one) for one in value])
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


# --- parameters ---------------------------------------------------------------------------------------------------


def parameter(data: bytes | None, oid: int, code: int) -> Value:
    """The value of a parameter in text (0) or binary (1) format."""
    if data is None:
        return None
    if code == 0 or oid == TEXT:
        try:
            return from_text(data.decode(), oid)
        except UnicodeDecodeError:
            raise ConsoleError("22021", 'invalid byte sequence for encoding "UTF8"') from None
    if code != 1:
        raise ConsoleError("08P01", f"unsupported format code: {code}")
    try:
        if oid in ELEMENT:
            return tuple(unpacked(data, _BINARY[ELEMENT[oid]]))
        return _BINARY[oid](data)
    except (struct.error, ValueError, OverflowError):
        raise ConsoleError("22P03", "incorrect binary data format in bind parameter") from None


def _integer(data: bytes) -> int:
    """Of any size: what a client declares as int2 is compared as int4."""
    if len(data) not in (2, 4, 8):
        raise ValueError
    return int.from_bytes(data, "big", signed=True)


def _numeric(data: bytes) -> Decimal:
    """As numeric_recv reads it: digits to the base 10000, weight, sign, scale (numeric.c)."""
    count, weight, sign, _ = struct.unpack_from("!hhHh", data)
    if (
        not 0 <= count <= MAX_DIGITS
        or abs(weight) > MAX_DIGITS
        or sign not in (0, 0x4000)
        or len(data) != 8 + 2 * count
    ):
        raise ValueError
    digits = struct.unpack_from(f"!{count}h", data, 8)
    if not all(0 <= digit < 10000 for digit in digits):
        raise ValueError
    total = int("".join(f"{digit:04}" for digit in digits) or "0")
    return Decimal(-total if sign else total).scaleb(4 * (weight - count + 1), _EXACT)


def _timestamp(data: bytes) -> datetime:
    (microseconds,) = struct.unpack("!q", data)
    return _EPOCH + timedelta(microseconds=microseconds)


_BINARY: dict[int, Callable[[bytes], Value]] = {
    TEXT: bytes.decode,
    OID: lambda data: _integer(data) & 0xFFFFFFFF,
    INT4: _integer,
    INT8: _integer,
    NUMERIC: _numeric,
    BOOL: lambda data: data != b"\0",
    TIMESTAMPTZ: _timestamp,
}
