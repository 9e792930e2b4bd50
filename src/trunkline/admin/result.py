"""Rows as messages: each value in the format that the client asked for. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, TypeAlias

from trunkline.admin.arrays import ELEMENT, OID, packed
from trunkline.admin.arrays import shown as shown_array
from trunkline.admin.columns import Columns
from trunkline.errors import TrunklineError
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TIMESTAMPTZ, data_row, format_of


class Named(int):
    """An OID that is shown as the name of what has it."""

    name: str

    def __new__(cls, oid: int, name: str) -> Named:
        made = super().__new__(cls, oid)
        made.name = name
        return made

    def __str__(self) -> str:
        return self.name


Value: TypeAlias = str | int | Decimal | datetime | tuple[Any, ...] | None
Row: TypeAlias = Sequence[Value]

_INT4_MAX = 2**31 - 1


class ConsoleError(TrunklineError):
    """What the console refuses, by the SQLSTATE that PostgreSQL has for it."""

    def __init__(self, sqlstate: str, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.sqlstate = sqlstate


def check_formats(formats: Sequence[int], columns: Columns) -> None:
    """Bind's result formats: none, one for all, or one for each column (protocol documentation, section 55.7)."""
    if len(formats) > 1 and len(formats) != len(columns):
        raise ConsoleError(
            "08P01", f"bind message has {len(formats)} result formats but query has {len(columns)} columns"
        )
    for code in formats:
        if code not in (0, 1):
            raise ConsoleError("08P01", f"unsupported format code: {code}")


def rows_as_messages(rows: Iterable[Row], columns: Columns, formats: Sequence[int] = ()) -> bytes:
    """DataRow messages."""
    encoders = [_encoder(oid, format_of(formats, index)) for index, (_, oid) in enumerate(columns)]
    return b"".join(
        data_row([None if value is None else encode(value) for encode, value in zip(encoders, row, strict=True)])
        for row in rows
    )


def _encoder(oid: int, code: int) -> Callable[[Value], bytes]:
    element = ELEMENT.get(oid)
    if code and element is not None:
        encode = _BINARY.get(element, _as_text)
        return lambda value: packed([None if one is None else encode(one) for one in _elements(value)], element)
    return _BINARY.get(oid, _as_text) if code else _as_text


def _elements(value: Value) -> tuple[Any, ...]:
    assert isinstance(value, tuple)
    return value


def _as_text(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f+00").encode()
    if isinstance(value, Decimal):
        return f"{value:f}".encode()
    if isinstance(value, tuple):
        texts = (None if one is None else _as_text(one).decode(errors="replace") for one in value)
        return shown_array(list(texts)).encode()
    # A name from the network may hold bytes that are no UTF-8; the console promises UTF-8.
    return str(value).encode(errors="replace")


def _as_int4(value: Value) -> bytes:
    return struct.pack("!i", min(_whole(value), _INT4_MAX))


def _as_int8(value: Value) -> bytes:
    return struct.pack("!q", _whole(value))


def _as_oid(value: Value) -> bytes:
    return struct.pack("!I", _whole(value))


def _whole(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _as_bool(value: Value) -> bytes:
    return b"\1" if value else b"\0"


def _as_timestamp(value: Value) -> bytes:
    assert isinstance(value, datetime)
    since = value - _EPOCH
    return struct.pack("!q", (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds)


def _as_numeric(value: Value) -> bytes:
    """A number as numeric_send writes it: digits to the base 10000, weight, sign, scale (numeric.c)."""
    number = value if isinstance(value, Decimal) else Decimal(_whole(value))
    scale = max(0, -int(number.as_tuple().exponent))
    groups = -(-scale // 4)  # behind the point
    rest = int(number.copy_abs().scaleb(4 * groups, _EXACT))
    digits: list[int] = []
    while rest:
        rest, digit = divmod(rest, 10000)
        digits.insert(0, digit)
    weight = len(digits) - groups - 1 if digits else 0
    sign = 0x4000 if number < 0 else 0
    return struct.pack(f"!hhHh{len(digits)}h", len(digits), weight, sign, scale, *digits)


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=10_000)
_BINARY: dict[int, Callable[[Value], bytes]] = {
    INT4: _as_int4,
    INT8: _as_int8,
    NUMERIC: _as_numeric,
    BOOL: _as_bool,
    TIMESTAMPTZ: _as_timestamp,
    **dict.fromkeys((OID, 24, 2205, 2206), _as_oid),  # and regproc, regclass, regtype
}
