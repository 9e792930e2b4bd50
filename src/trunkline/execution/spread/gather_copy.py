"""Rows of a table from the shards where they are into a temporary table at another, through the proxy, as they come.

All sources are asked at once and read one after the other: one that is not read yet stops by itself. Nothing is looked
into but where it begins and ends: a binary copy has a head before its first row and a tail in a message of its own
behind the last (PostgreSQL's documentation of COPY), and the copy that is written has one of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.protocol.messages import message, query
from trunkline.routing.schema.catalog import Column

_COPY_DATA = ord("d")
_HEADER_BYTES = 5  # of a message
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = message(b"d", b"\xff\xff")
_DONE = message(b"c", b"")
UNSENT_BYTES = 1 << 20  # that the target has not taken, above which no more is read

# Types whose binary form is the same on every shard; arrays of them are too. Of others the text is.
SAME = [
    *("bool", "bytea", "char", "name", "int2", "int4", "int8", "text", "oid", "float4", "float8", "money", "bpchar"),
    *("varchar", "date", "time", "timestamp", "timestamptz", "interval", "timetz", "bit", "varbit", "numeric", "uuid"),
    *("json", "jsonb", "jsonpath", "xml", "inet", "cidr", "macaddr", "macaddr8", "point", "lseg", "path", "box"),
    *("polygon", "line", "circle", "tsvector", "tsquery", "pg_lsn", "int4range", "int8range", "numrange", "daterange"),
    *("tsrange", "tstzrange", "int4multirange", "int8multirange", "nummultirange", "datemultirange"),
    *("tsmultirange", "tstzmultirange"),
]
_BINARY = frozenset(SAME) | {f"_{name}" for name in SAME}

PLAIN = (  # forms of text that are read as the same value whatever the settings are
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
)


Snapshot = AbstractAsyncContextManager[None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What is copied: to which table and columns at the target, what that is called, and in which form."""

    into: str
    name: str
    binary: bool


def is_binary(columns: Sequence[Column]) -> bool:
    """Whether the rows can be copied in binary form."""
    return all(column.type in _BINARY or column.is_enum for column in columns)


async def copy(
    what: Copied, rows: Mapping[Participant, str], target: Participant, budget: Budget, snapshot: Snapshot
) -> int:
    """Copy what these SELECTs give at each source; how many rows. All snapshots are taken within `snapshot`."""
    text = "(FORMAT text, ENCODING 'UTF8')" if target.translates else "(FORMAT text)"
    options = "(FORMAT binary)" if what.binary else text
    target.request(query(f"COPY {what.into} FROM STDIN {options}".encode()), ("query",))
    await _until(target, "G")
    async with snapshot:
        for source, select in rows.items():
            source.request(query(f"COPY ({select}) TO STDOUT {options}".encode()), ("query",))
        for source in rows:
            await _until(source, "H")
    if what.binary:
        target.send_copy(message(b"d", _HEAD))
    for source in rows:
        await _pour(source, target, what, budget)
    target.send_copy((_TAIL if what.binary else b"") + _DONE, True)
    return await _count(target)


async def _pour(source: Participant, target: Participant, what: Copied, budget: Budget) -> None:
    """All rows of one source; the last run is kept back until it is known to be the last."""
    kept = b""
    is_first = True
    while run := await source.run_of(_COPY_DATA):
        budget.take(len(run), what.name)
        if kept:
            target.send_copy(kept)
            await target.drained(UNSENT_BYTES)
        kept = without_head(run) if what.binary and is_first else run
        is_first = False
    await _until(source, "Z")
    if what.binary:
        if not kept.endswith(_TAIL):
            raise ValueError("a binary copy without its end")
        kept = kept[: -len(_TAIL)]
    if kept:
        target.send_copy(kept)


def without_head(run: bytes) -> bytes:
    """The first messages of a binary copy, without what stands before the first row."""
    size = int.from_bytes(run[1:_HEADER_BYTES], "big")
    if run[_HEADER_BYTES : _HEADER_BYTES + len(_HEAD)] != _HEAD:
        raise ValueError("a binary copy without its head")
    return run[:1] + (size - len(_HEAD)).to_bytes(4, "big") + run[_HEADER_BYTES + len(_HEAD) :]


async def _until(one: Participant, wanted: str) -> None:
    """Up to a message of this type; an error that comes in its place is raised."""
    while True:
        kind, body = await one.message()
        if kind == ord(wanted):
            return
        if kind == ord("E"):
            raise as_error(body)


async def _count(target: Participant) -> int:
    count = 0
    while True:
        kind, body = await target.message()
        if kind == ord("C"):
            count = int(body.rstrip(b"\0").split()[-1])
        elif kind == ord("E"):
            raise as_error(body)
        elif kind == ord("Z"):
            return count
