"""COPY FROM STDIN whose rows get ids: what the client sends, with ids in front of each row, to whoever runs the COPY.

Theory of operation. Rows are cut as they are for shards (copy_split.pyx), for one that gets them all; for the rows of a
piece ids are drawn, and written in front of them as the data's form has it. What is added is taken out again of what
the client hears: of the number of columns, and of the text of a line that an error quotes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from uuid import UUID

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import CopyIn
from trunkline.execution.spread.copy_binary import BinarySplitter
from trunkline.execution.spread.copy_in import FORMS, PIECE_BYTES, bodies
from trunkline.execution.spread.copy_split import Splitter, Unsplit
from trunkline.execution.spread.participant import as_error
from trunkline.execution.spread.participants import Participants
from trunkline.protocol.messages import message
from trunkline.routing.keys.values import base_of
from trunkline.routing.spreading.drawing_slots import CopyIds
from trunkline.shard_errors import StatementFailed

_DATA_AT = 5  # in a message
_SIZES = {"int2": "!h", "int4": "!i", "int8": "!q"}
_COUNTS = re.compile(rb"row field count is (\d+), expected (\d+)")


class NumberedCopy(CopyIn):
    """One COPY; `home` is the shard of its sequences."""

    def __init__(self, copy: CopyIn, copied: CopyIds, participants: Participants, home: int) -> None:
        self._copy = copy
        self._copied = copied
        self._participants = participants
        self._home = home
        make = BinarySplitter if copied.form == "binary" else Splitter
        self._rows = make(
            1, 0, FORMS[copied.form], (0,), _anywhere, delimiter=copied.delimiter, quote=copied.quote,
            escape=copied.escape, header=copied.header, csv_marker=copied.csv_marker,
        )  # fmt: skip
        self._rows.starts = []
        self._gathered: list[bytes] = []
        self._size = 0

    async def response(self) -> bytes:
        """With the columns that the client has named."""
        said = await self._copy.response()
        form, columns = struct.unpack_from("!bh", said, _DATA_AT)
        count = columns - len(self._copied.slots)
        return message(said[:1], struct.pack(f"!bh{count}h", form, count, *(form,) * count))

    async def feed(self, messages: bytes) -> None:
        for body in bodies(messages):
            self._gathered.append(body)
            self._size += len(body)
        if self._size >= PIECE_BYTES:
            await self._pass_on()

    async def finish(self) -> bytes:
        await self._pass_on(last=True)
        return await self._end()

    async def give_up(self, reason: bytes) -> None:
        await self._pass_on()
        await self._copy.give_up(reason)

    async def _pass_on(self, *, last: bool = False) -> None:
        """All whole rows that are here, with their ids; StatementFailed about a row as the client has sent it."""
        data = b"".join(self._gathered)
        self._gathered, self._size = [], 0
        problem = None
        try:
            self._rows.feed(data)
            if last:
                self._rows.end()
        except Unsplit as found:
            problem = StatementRefused(f"COPY over several shards does not read {found}")
        starts, self._rows.starts = self._rows.starts or [], []
        rows = self._rows.take(0)[_DATA_AT:]
        ids = self._participants.ids
        drawn = await ids.of_rows(self._copied.slots, self._participants, self._home, len(starts))
        numbered = with_ids(rows, starts, self._copied, drawn)
        try:
            if numbered:
                await self._copy.feed(message(b"d", numbered))
        except StatementFailed as error:
            raise in_clients_words(error, self._copied) from None
        if problem is not None:
            await self._end()  # unless a line before that is wrong
            raise problem

    async def _end(self) -> bytes:
        try:
            return await self._copy.finish()
        except StatementFailed as error:
            raise in_clients_words(error, self._copied) from None


def _anywhere(key: tuple[bytes | None, ...]) -> int:
    return 1


def with_ids(rows: bytes, starts: Sequence[int], copied: CopyIds, drawn: Sequence[Sequence[bytes]]) -> bytes:
    """Rows that begin at `starts`, each with its id of each column in front."""
    parts = []
    at = 0
    binary = copied.form == "binary"
    for start, *ids in zip(starts, *drawn, strict=True):
        parts.append(rows[at:start])
        at = start
        if binary:
            count = int.from_bytes(rows[start : start + 2], "big") + len(ids)
            parts.append(count.to_bytes(2, "big"))
            parts += [in_binary(value, type) for value, type in zip(ids, copied.types, strict=True)]
            at += 2
        else:
            parts += [value + copied.delimiter for value in ids]
    return b"".join([*parts, rows[at:]])


def in_binary(value: bytes, type: str) -> bytes:
    """A field of a row in binary format."""
    base = base_of(type)
    try:
        raw = UUID(value.decode()).bytes if base == "uuid" else struct.pack(_SIZES[base], int(value))
    except KeyError:
        hint = "Copy in text or CSV format, or the column of the ids as well."
        raise StatementRefused(f"an id is not written in binary for the type {type}", hint=hint) from None
    except struct.error:
        error = StatementRefused(f'value "{value.decode()}" is out of range for type {_NAMES[base]}')
        error.sqlstate = "22003"
        raise error from None
    return struct.pack("!i", len(raw)) + raw


_NAMES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


def in_clients_words(error: StatementFailed, copied: CopyIds) -> StatementFailed:
    """An error about a row, without the ids in front of it."""
    count = len(copied.slots)
    line = re.compile(rb'(COPY .+?, line \d+: ")(?:[-0-9a-f]+%b){%d}' % (re.escape(copied.delimiter), count))
    fields = error.said.split(b"\0")
    for place, field in enumerate(fields):
        if field[:1] == b"W":
            fields[place] = line.sub(rb"\1", field, count=1)
        elif field[:1] == b"M":
            fields[place] = _COUNTS.sub(
                lambda said: b"row field count is %d, expected %d" % (int(said[1]) - count, int(said[2]) - count), field
            )
    return as_error(b"\0".join(fields))
