"""Messages that Trunkline itself says or reads, as bytes (protocol documentation, section 55.7).

Builders return whole messages, header included. Nothing here is on the path of a forwarded message.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence

from trunkline.errors import TrunklineError

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
SYNC = b"S\x00\x00\x00\x04"
FLUSH = b"H\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"
PARSE_COMPLETE = b"1\x00\x00\x00\x04"
BIND_COMPLETE = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
NO_DATA = b"n\x00\x00\x00\x04"
EMPTY_QUERY_RESPONSE = b"I\x00\x00\x00\x04"
AUTHENTICATION_OK = b"R\x00\x00\x00\x08\x00\x00\x00\x00"

TEXT, INT4, INT8, NUMERIC, BYTEA, BOOL, TIMESTAMPTZ = 25, 23, 20, 1700, 17, 16, 1184  # pg_type.oid
_TYPE_BYTES = {INT4: 4, INT8: 8, BOOL: 1, TIMESTAMPTZ: 8, 26: 4}


def message(kind: bytes, body: bytes) -> bytes:
    """A message of type `kind` with its length."""
    return kind + struct.pack("!i", len(body) + 4) + body


def startup_message(parameters: Iterable[tuple[bytes, bytes]], minor: int = 0) -> bytes:
    """StartupMessage, protocol 3.`minor`."""
    body = struct.pack("!hh", 3, minor) + b"".join(n + b"\0" + v + b"\0" for n, v in parameters) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def cancel_request(pid: int, key: bytes) -> bytes:
    """CancelRequest; the key is 4 bytes in protocol 3.0, up to 256 in 3.2."""
    return struct.pack("!iiI", 12 + len(key), 80877102, pid & 0xFFFFFFFF) + key


def query(sql: bytes) -> bytes:
    """A simple Query."""
    return message(b"Q", sql + b"\0")


def ready_for_query(status: bytes = b"I") -> bytes:
    return message(b"Z", status)


IDLE_READY = ready_for_query()


def parameter_status(name: bytes, value: bytes) -> bytes:
    return message(b"S", name + b"\0" + value + b"\0")


def command_complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


errors_told: Counter[str] = Counter()
"""Of this process, by SQLSTATE: every error that is told is made here."""


def error_response(error: TrunklineError) -> bytes:
    """ErrorResponse with the error's severity, SQLSTATE, words, hint and position."""
    errors_told[error.sqlstate] += 1
    fields = _fields(error.severity, error.sqlstate, error.message, error.detail, error.hint)
    if error.position is not None:
        fields = fields[:-1] + b"P%d\0\0" % error.position
    return message(b"E", fields)


def notice_response(
    sqlstate: str, text: str, *, severity: str = "NOTICE", detail: str | None = None, hint: str | None = None
) -> bytes:
    """NoticeResponse."""
    return message(b"N", _fields(severity, sqlstate, text, detail, hint))


def _fields(severity: str, sqlstate: str, text: str, detail: str | None, hint: str | None) -> bytes:
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", text), ("D", detail), ("H", hint)]
    # names of users and databases are whatever bytes their client sent, and go back as such
    present = (f"{code}{value}".encode(errors="surrogateescape") + b"\0" for code, value in fields if value is not None)
    return b"".join(present) + b"\0"


def parse_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse (section 55.8); a missing SQLSTATE reads as XX000."""
    fields = {part[:1].decode("latin-1"): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    fields.setdefault("C", "XX000")
    fields.setdefault("M", "")
    fields.setdefault("S", "ERROR")
    return fields


def row_description(columns: Sequence[tuple[str, int]], formats: Sequence[int] = ()) -> bytes:
    """RowDescription of (name, type oid) columns that belong to no table."""
    body = struct.pack("!h", len(columns))
    for index, (name, oid) in enumerate(columns):
        size = _TYPE_BYTES.get(oid, -1)
        body += name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, oid, size, -1, format_of(formats, index))
    return message(b"T", body)


def data_row(values: Sequence[bytes | None]) -> bytes:
    """DataRow; None is NULL."""
    body = struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"D", body)


def format_of(formats: Sequence[int], index: int) -> int:
    """The format of one column: none given means text, one given means it for all (Bind, section 55.7)."""
    if not formats:
        return 0
    return formats[0] if len(formats) == 1 else formats[index]
