"""A statement and its values as messages of the extended protocol, for one shard (section 55.7).

A shard's text keeps the numbers of the client's parameters. One that it does not mention is declared text and bound
NULL: PostgreSQL would not know its type.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

from trunkline.protocol.messages import FLUSH, SYNC, TEXT, message

DESCRIBE_PORTAL = message(b"D", b"P\0")
DESCRIBE_STATEMENT = message(b"D", b"S\0")
EXECUTE = message(b"E", b"\0" + bytes(4))

REQUESTS = ("parse_unnamed", "bind", "describe", "execute", "sync")  # what `asked_of` sends, but for the Flush


def parse(sql: bytes, types: Sequence[int] = ()) -> bytes:
    """Parse of the unnamed statement."""
    return message(b"P", b"\0" + sql + b"\0" + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(formats: Sequence[int], values: Sequence[bytes | None], result_formats: Sequence[int]) -> bytes:
    """Bind of the unnamed statement to the unnamed portal."""
    parts = [b"\0\0", _formats(formats), struct.pack("!H", len(values))]
    for value in values:
        parts.append(struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value)
    parts.append(_formats(result_formats))
    return message(b"B", b"".join(parts))


def _formats(formats: Sequence[int]) -> bytes:
    return struct.pack(f"!H{len(formats)}h", len(formats), *formats)


def asked_of(
    sql: bytes,
    types: Sequence[int],
    formats: Sequence[int],
    values: Sequence[bytes | None],
    result_formats: Sequence[int],
    mentioned: Collection[int] | None = None,
    *,
    flushes: bool = False,
) -> bytes:
    """All messages of one call at one shard; `mentioned` are the numbers of the parameters in `sql`, None: all.

    `flushes`: that it is bound, which is when its snapshot was taken, is said before it runs.
    """
    if mentioned is not None:
        count = max(len(values), len(types))
        padded = (*types, *(0,) * (count - len(types)))
        types = [oid if number in mentioned else TEXT for number, oid in enumerate(padded, 1)]
        formats = [form if number in mentioned else 0 for number, form in enumerate(formats, 1)]
        values = [value if number in mentioned else None for number, value in enumerate(values, 1)]
    bound = parse(sql, types) + bind(formats, values, result_formats)
    return bound + (FLUSH if flushes else b"") + DESCRIBE_PORTAL + EXECUTE + SYNC


class Bound:
    """What a client's Bind says (section 55.7)."""

    __slots__ = ("formats", "portal", "rest", "result_formats", "statement", "values")

    def __init__(self, body: bytes) -> None:
        """ValueError, struct.error or IndexError if it is none."""
        end = body.index(b"\0")
        after = body.index(b"\0", end + 1)
        self.portal, self.statement = body[:end], body[end + 1 : after]
        self.rest = body[after + 1 :]
        formats, at = _read_formats(body, after + 1)
        (count,) = struct.unpack_from("!H", body, at)
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", body, at)
            at += 4
            if size > len(body) - at:
                raise ValueError("a value is longer than its message")
            values.append(None if size < 0 else body[at : at + size])
            at += max(size, 0)
        if len(formats) not in (0, 1, count):
            raise ValueError("as many formats as parameters")
        self.values = tuple(values)
        self.formats = tuple(formats) if len(formats) == count else (formats or (0,)) * count
        self.result_formats, at = _read_formats(body, at)
        if at != len(body):
            raise ValueError("a Bind is longer than what it says")


def _read_formats(body: bytes, at: int) -> tuple[tuple[int, ...], int]:
    (count,) = struct.unpack_from("!H", body, at)
    return struct.unpack_from(f"!{count}h", body, at + 2), at + 2 + 2 * count
