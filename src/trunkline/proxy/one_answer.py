"""The answer of one server to a call that was asked in other messages than its client's: as the client is to hear it.

The server was sent Parse, Bind, Describe, Execute and Sync. Its client has asked by a simple query, or by messages of
its own, of which some may be missing.
"""

from __future__ import annotations

from trunkline.execution.spread.drawn_at_once import OneUnderWay
from trunkline.protocol.messages import message
from trunkline.proxy.batches import Batch

_PARSED, _BOUND, _COLUMNS, _NO_COLUMNS, _ERROR = b"1", b"2", b"T", b"n", b"E"
_UNTOLD = frozenset((b"Z", b"S", b"A"))  # said at the end, by who relays the client again
_ROWS_OR_END = frozenset((b"D", b"C"))
_HEADER = 5


def for_client(answer: bytes, batch: Batch, asked: OneUnderWay) -> tuple[bool, bytes, bool]:
    """Whether it was parsed, what the client hears of it but for ReadyForQuery, and whether it has failed."""
    said: list[bytes] = []
    parsed = failed = False
    columns = b""  # that are said before the first row, or the end
    at = 0
    while at < len(answer):
        end = at + 1 + int.from_bytes(answer[at + 1 : at + _HEADER], "big")
        kind, whole = answer[at : at + 1], answer[at:end]
        at = end
        parsed |= kind == _PARSED
        if kind == _ERROR:
            failed, columns = True, b""
            whole = message(_ERROR, asked.error(whole[_HEADER:]))
        elif kind == _COLUMNS and batch.bound is None and asked.stores_rows:
            columns = whole
            continue
        elif kind in _ROWS_OR_END:
            said.append(columns)
            columns = b""
        if _is_heard(kind, batch):
            said.append(whole)
    return parsed, b"".join(said), failed


def _is_heard(kind: bytes, batch: Batch) -> bool:
    is_simple = batch.bound is None
    if kind == _PARSED:
        return bool(batch.parse)
    if kind in (_BOUND, _NO_COLUMNS):
        return not is_simple and (kind == _BOUND or batch.describes)
    if kind == _COLUMNS:
        return is_simple or batch.describes
    return kind not in _UNTOLD
