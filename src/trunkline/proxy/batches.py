"""What a client asks in one go: a simple query of one statement, or a batch that binds one, runs it and ends.

Pure, and by the bytes alone, so that what comes again is read once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from trunkline.errors import ProtocolViolation
from trunkline.execution.spread.binding import DESCRIBE_PORTAL, Bound
from trunkline.protocol.messages import SYNC, message
from trunkline.proxy.statements import Prepared
from trunkline.routing.sql import pieces

MOST_BYTES = 2048  # of one that is read here
_HEADER = 5
_EXECUTE = message(b"E", b"\0" + bytes(4))[: _HEADER + 1]  # of the unnamed portal; how many rows it may give follows
_EXECUTE_BYTES = len(_EXECUTE) + 4


@dataclass(frozen=True, slots=True)
class Batch:
    """`sql` is None of a statement that was prepared before, by the client's `name` for it."""

    size: int
    sql: bytes | None
    types: tuple[int, ...] = ()
    name: bytes = b""
    parse: bytes = b""  # the whole message, of the unnamed statement
    bound: Bound | None = None  # None: a simple query
    describes: bool = False
    most_rows: int = 0  # that it gives at a time; 0 or less: all


@lru_cache(maxsize=512)
def batch_of(said: bytes) -> Batch | None:
    """The one at the beginning of what a client has said; None if it is none, or not here whole."""
    frame = _frame(said, 0)
    if frame[:1] == b"Q":
        sql, _, rest = frame[_HEADER:].partition(b"\0")
        texts = (pieces(sql) or [sql]) if b";" in sql else [sql]
        return Batch(len(frame), texts[0]) if not rest and len(texts) == 1 else None
    parse = frame if frame[:1] == b"P" else b""
    try:
        return _extended(said, parse)
    except (ProtocolViolation, ValueError, IndexError, struct.error):
        return None


def _extended(said: bytes, parse: bytes) -> Batch | None:
    prepared = _prepared(parse) if parse else None
    if prepared is not None and prepared.name:
        return None
    frame = _frame(said, len(parse))
    if frame[:1] != b"B":
        return None
    bound = Bound(frame[_HEADER:])
    if bound.portal or (prepared is not None and bound.statement):
        return None
    at = len(parse) + len(frame)
    describes = said.startswith(DESCRIBE_PORTAL, at)
    at += len(DESCRIBE_PORTAL) if describes else 0
    behind = at + _EXECUTE_BYTES
    if not said.startswith(_EXECUTE, at) or not said.startswith(SYNC, behind):
        return None
    most_rows = int.from_bytes(said[at + len(_EXECUTE) : behind], "big", signed=True)
    size = behind + len(SYNC)
    if prepared is None:
        return Batch(size, None, name=bound.statement, bound=bound, describes=describes, most_rows=most_rows)
    return Batch(size, prepared.sql, prepared.types, b"", parse, bound, describes, most_rows)


@lru_cache(maxsize=256)
def _prepared(parse: bytes) -> Prepared:
    """What a Parse says, which comes again with other values; ProtocolViolation if it is none."""
    return Prepared(parse[_HEADER:])


def _frame(said: bytes, at: int) -> bytes:
    """The message that begins here; nothing if it is not here whole."""
    end = at + 1 + int.from_bytes(said[at + 1 : at + _HEADER], "big")
    return said[at:end] if len(said) >= max(end, at + _HEADER) else b""
