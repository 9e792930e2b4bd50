"""What one message of an answer must be: its type, and as much of its body as is known beforehand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

READY = ord("Z")
ERROR = ord("E")
NOTICE = ord("N")
STATUS = ord("S")
NOTIFICATION = ord("A")
COMPLETE = ord("C")


class Reply(NamedTuple):
    """One message. ``body`` is all of it; where that is None, it begins with ``starts`` and holds ``holds``."""

    kind: int
    body: bytes | None = None
    starts: bytes = b""
    holds: tuple[bytes, ...] = ()

    def allows(self, body: bytes) -> bool:
        if self.body is not None:
            return self.body == body
        return body.startswith(self.starts) and all(part in body for part in self.holds)


def reply(kind: str, body: bytes | None = None) -> Reply:
    return Reply(ord(kind), body)


def row(*values: str | None) -> Reply:
    """A DataRow of exactly these values."""
    return Reply(ord("D"), struct.pack("!h", len(values)) + b"".join(map(_field, values)))


def row_starting(*values: str, columns: int) -> Reply:
    """A DataRow of so many columns, of which the first are known."""
    return Reply(ord("D"), None, struct.pack("!h", columns) + b"".join(map(_field, values)))


def _field(value: str | None) -> bytes:
    if value is None:
        return struct.pack("!i", -1)
    data = value.encode()
    return struct.pack("!i", len(data)) + data


def complete(tag: str) -> Reply:
    return Reply(COMPLETE, tag.encode() + b"\0")


def ready(status: str) -> Reply:
    """ReadyForQuery; ``status`` is I, T or E."""
    return Reply(READY, status.encode())


def error(sqlstate: str, *texts: str) -> Reply:
    """An ErrorResponse with this SQLSTATE, in whose fields these texts stand."""
    return Reply(ERROR, None, b"", (b"\0C%b\0" % sqlstate.encode(), *(text.encode() for text in texts)))


def notice(text: str) -> Reply:
    return Reply(NOTICE, None, b"", (text.encode(),))


def columns(body: bytes) -> list[bytes | None]:
    """The values of a DataRow."""
    (count,) = struct.unpack_from("!h", body)
    values: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return values


def fields(body: bytes) -> dict[str, str]:
    """Fields of an ErrorResponse or NoticeResponse by letter."""
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


DESCRIBED = reply("T")
PARSED = reply("1", b"")
BOUND = reply("2", b"")
CLOSED = reply("3", b"")
SUSPENDED = reply("s", b"")
NO_DATA = reply("n", b"")
COPY_IN = reply("G")
COPY_OUT = reply("H")
COPY_DONE = reply("c", b"")


def kinds(expected: Sequence[Reply]) -> str:
    return "".join(chr(one.kind) for one in expected)
