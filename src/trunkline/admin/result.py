"""Rows as messages: each value in the format that the client asked for. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from trunkline.admin.columns import Columns
from trunkline.errors import TrunklineError
from trunkline.protocol.messages import INT4, INT8, NUMERIC, data_row, format_of

Value: TypeAlias = str | int | None
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
    return _BINARY.get(oid, _as_text) if code else _as_text


def _as_text(value: Value) -> bytes:
    # A name from the network may hold bytes that are no UTF-8; the console promises UTF-8.
    return str(value).encode(errors="replace")


def _as_int4(value: Value) -> bytes:
    return struct.pack("!i", min(int(value or 0), _INT4_MAX))


def _as_int8(value: Value) -> bytes:
    return struct.pack("!q", int(value or 0))


def _as_numeric(value: Value) -> bytes:
    """An integer as numeric_send writes it: digits to the base 10000, weight, sign, scale (numeric.c)."""
    number = int(value or 0)
    rest = abs(number)
    digits: list[int] = []
    while rest:
        rest, digit = divmod(rest, 10000)
        digits.insert(0, digit)
    sign = 0x4000 if number < 0 else 0
    return struct.pack(f"!hhHh{len(digits)}h", len(digits), max(len(digits) - 1, 0), sign, 0, *digits)


_BINARY: dict[int, Callable[[Value], bytes]] = {INT4: _as_int4, INT8: _as_int8, NUMERIC: _as_numeric}
