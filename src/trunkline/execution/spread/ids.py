"""Ids of one client: what is drawn for its statements, and what its currval() and lastval() are.

These are of the client's session, and none of the servers that it is given in turn knows them. What a server has
advanced by itself (a home table's default) it can be asked for while the client keeps it, in the same block; later
nobody can say, and the question is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from time import time_ns
from typing import TYPE_CHECKING
from uuid import UUID

from trunkline.errors import StatementRefused
from trunkline.execution.spread.binding import bind
from trunkline.execution.spread.id_blocks import OWN, Blocks, literal
from trunkline.routing.planning.ids import FORGOTTEN, READS, RESTARTED, SET, UNKNOWN
from trunkline.routing.spreading.drawing_slots import Drawing, Slot
from trunkline.shard_errors import NotYetDefined

if TYPE_CHECKING:
    from trunkline.execution.spread.calls import Statement
    from trunkline.execution.spread.participants import Participants
    from trunkline.pool.pool import Pool

Drawn = dict[str, list[int]]  # by sequence

MAX_PARAMETERS = 65535
_BIND_HEAD = 7  # its type, length, and two names that are empty
_RETURNING = "Use RETURNING, or ask in the transaction that has drawn it."
_EPOCH_MS = 1_704_067_200_000  # 2024, in UTC
_LOW_BITS = 22


class _Held(Enum):
    """What is known of a sequence's last value where it is no number."""

    SERVER = "the server of the client's block says it"
    LOST = "nobody can say it any more"


class Ids:
    """One client's."""

    __slots__ = ("_beginning", "_last", "_values", "blocks", "drawing")

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.drawing: Drawing | None = None  # by which ids were drawn for the statement that runs
        self._values: dict[str, int | _Held] | None = None
        self._last = ""  # the sequence that lastval() is of
        self._beginning: bytes | None = None  # of the block in which servers have said what is SERVER

    # --- what has happened ----------------------------------------------------------------------------------------

    def advanced(self, names: Iterable[str], beginning: bytes | None) -> None:
        """A statement with these `RoutePlan.ids` runs at a server, in the block that has begun so, or in none."""
        for name in names:
            if name == FORGOTTEN:
                self._values, self._last = None, ""
            elif name == RESTARTED:
                self.blocks.forget(None)
            elif name.startswith(SET):
                self.blocks.forget(name.removeprefix(SET))
                self._put(name.removeprefix(SET), _Held.LOST)
            else:
                self.blocks.forget(None if name == UNKNOWN else name)
                self._by_server(name, beginning)

    def released(self) -> None:
        """Its servers are given back: what they have known is another client's business."""
        self._lose(_Held.SERVER)
        self._beginning = None

    def doubt(self) -> None:
        """The statement has failed: how far one PostgreSQL would have come, if ids were drawn for it, is not known."""
        drawing = self.drawing
        copied = drawing.copied.slots if drawing is not None and drawing.copied is not None else ()
        for slot in (*drawing.slots, *copied) if drawing is not None else ():
            if slot.kind == "nextval":
                self._put(slot.sequence, _Held.LOST)

    def _by_server(self, name: str, beginning: bytes | None) -> None:
        if beginning is not self._beginning:
            self._lose(_Held.SERVER)
        if name == UNKNOWN:
            self._lose(int)
        self._put(name, _Held.SERVER if beginning is not None else _Held.LOST)
        self._last, self._beginning = name, beginning

    def _put(self, sequence: str, value: int | _Held) -> None:
        if self._values is None:
            self._values = {}
        self._values[sequence] = value

    def _lose(self, what: _Held | type[int]) -> None:
        for name, value in (self._values or {}).items():
            if value is what or (what is int and isinstance(value, int)):
                self._put(name, _Held.LOST)

    # --- what is written into a statement -------------------------------------------------------------------------

    async def filled(
        self, drawing: Drawing, statement: Statement, participants: Participants, home: int, rows: int
    ) -> Statement:
        """The statement with its ids as parameters behind the client's own; `rows` is what `drawing.count` has said."""
        _check(drawing, statement)
        drawn = {}
        for sequence, count in _needed(drawing.slots, rows).items():
            drawn[sequence] = await self.blocks.draw(participants.pools, home, sequence, count)
        last = [await self._last_of(slot, participants, home) for slot in drawing.slots if slot.kind in READS]
        values = _values_of(drawing.slots, drawn, last, rows)
        self.given(drawing.slots, drawn)
        return _with(drawing, statement, values)

    def filled_at_once(
        self, drawing: Drawing, statement: Statement, pools: Sequence[Pool], home: int
    ) -> tuple[Statement, Drawn] | None:
        """The same of ids that are here, and what it takes, which is `given` or taken back; None: they are not here."""
        _check(drawing, statement)
        drawn: Drawn = {}
        for sequence, count in _needed(drawing.slots, 0).items():
            taken = self.blocks.take(pools, home, sequence, count)
            if taken is None:
                self.take_back(pools, home, drawn)
                return None
            drawn[sequence] = taken
        return _with(drawing, statement, _values_of(drawing.slots, drawn, (), 0)), drawn

    def take_back(self, pools: Sequence[Pool], home: int, drawn: Drawn) -> None:
        """Nothing has been said of these."""
        for sequence, values in drawn.items():
            self.blocks.give_back(pools, home, sequence, values)

    async def of_rows(
        self, slots: Sequence[Slot], participants: Participants, home: int, rows: int
    ) -> list[list[bytes]]:
        """For each slot an id for each row."""
        drawn: Drawn = {}
        for sequence, count in (_needed(slots, 1) if rows else {}).items():
            drawn[sequence] = await self.blocks.draw(participants.pools, home, sequence, count * rows)
        self.given(slots, drawn)
        left = {sequence: iter(values) for sequence, values in drawn.items()}
        by_row = [[_value(slot, left) for slot in slots] for _ in range(rows)]
        return [[row[number] for row in by_row] for number in range(len(slots))]

    def given(self, slots: Iterable[Slot], drawn: Drawn) -> None:
        """These are the statement's: the last of each sequence is what currval() is."""
        for slot in slots:
            if slot.kind == "nextval" and drawn.get(slot.sequence):
                self._put(slot.sequence, drawn[slot.sequence][-1])
                self._last = slot.sequence

    async def _last_of(self, slot: Slot, participants: Participants, home: int) -> int:
        """currval() and lastval(); NotYetDefined as PostgreSQL has it."""
        sequence = slot.sequence if slot.kind == "currval" else self._last
        known = self._values or {}
        value = known.get(sequence, known.get(UNKNOWN) and _Held.LOST)
        if isinstance(value, int):
            return value
        if value is not None:
            return await self._ask(slot, sequence, value, participants, home)
        name = sequence.rpartition('."')[2].rstrip('"').replace('""', '"')
        subject = f'currval of sequence "{name}"' if slot.kind == "currval" else "lastval"
        raise NotYetDefined(f"{subject} is not yet defined in this session")

    async def _ask(self, slot: Slot, sequence: str, held: _Held, participants: Participants, home: int) -> int:
        """The server that has advanced it, if the client still has it."""
        same = participants.in_block and participants.beginning[0] is self._beginning and home in participants.here
        if held is _Held.LOST or not same:
            raise StatementRefused(f"what {slot.kind}() would be is not known any more", hint=_RETURNING)
        one = await participants.at(home)
        asked = f"currval({literal(sequence)})" if slot.kind == "currval" else "lastval()"
        ((text,),) = await one.ask(f"SELECT pg_catalog.{asked}".encode())
        return int(text or b"0")


def _check(drawing: Drawing, statement: Statement) -> None:
    """As PostgreSQL does, which would count ours as well."""
    taken, given = max(len(statement.types), drawing.parameters), len(statement.values)
    if given != taken and not statement.bind:
        error = StatementRefused("there is no parameter $1")
        error.sqlstate = "42P02"
        raise error
    if given != taken:
        error = StatementRefused(f"bind message supplies {given} parameters, but prepared statement requires {taken}")
        error.sqlstate = "08P01"
        raise error
    if taken + len(drawing.slots) > MAX_PARAMETERS:
        raise StatementRefused("too many ids are drawn for one statement", hint="Insert fewer rows at a time.")


def _needed(slots: Sequence[Slot], rows: int) -> Counter[str]:
    """How many values of each sequence."""
    needed: Counter[str] = Counter()
    for slot in slots:
        if slot.kind in ("nextval", "snowflake"):
            needed[slot.sequence if slot.kind == "nextval" else OWN] += rows if slot.many else 1
    return needed


def _values_of(slots: Sequence[Slot], drawn: Drawn, last: Iterable[int], rows: int) -> list[bytes]:
    """In their order; `last` are those of currval() and lastval()."""
    left = {sequence: iter(values) for sequence, values in drawn.items()}
    known = iter(last)
    found = []
    for slot in slots:
        if slot.many:
            found.append(b"{" + b",".join([_value(slot, left) for _ in range(rows)]) + b"}")
        else:
            found.append(b"%d" % next(known) if slot.kind in READS else _value(slot, left))
    return found


def _value(slot: Slot, left: Mapping[str, Iterator[int]]) -> bytes:
    if slot.kind == "uuid7":
        return str(uuid7()).encode()
    return b"%d" % (next(left[slot.sequence]) if slot.kind == "nextval" else snowflake(next(left[OWN])))


def _with(drawing: Drawing, statement: Statement, ids: Sequence[bytes]) -> Statement:
    """The statement with these ids in its slots."""
    taken = max(len(statement.types), drawing.parameters)
    values, formats = (*statement.values, *ids), (*statement.formats, *(0,) * len(ids))
    said = bind(formats, values, statement.result_formats)[_BIND_HEAD:]
    types = with_slots(drawing, statement.types)
    return type(statement)(drawing.text(taken), types, formats, values, statement.result_formats, said)


def with_slots(drawing: Drawing, types: Sequence[int]) -> tuple[int, ...]:
    """The declared types of a statement's parameters, with those of its slots."""
    taken = max(len(types), drawing.parameters)
    return (*types, *(0,) * (taken - len(types)), *(slot.type for slot in drawing.slots))


# --- ids of our own ---------------------------------------------------------------------------------------------------

_last_ms = 0
_last_uuid_time = 0


def snowflake(number: int) -> int:
    """Milliseconds since 2024, and behind them the last bits of what a sequence gives: unique whatever clocks say."""
    global _last_ms
    _last_ms = max(_last_ms, time_ns() // 1_000_000)
    return (_last_ms - _EPOCH_MS) << _LOW_BITS | (number & ((1 << _LOW_BITS) - 1))


def uuid7() -> UUID:
    """Version 7 (RFC 9562, section 5.7): milliseconds, 12 bits of what is left of the time, 62 random bits."""
    global _last_uuid_time
    now = time_ns()
    fine = (now // 1_000_000) << 12 | (now % 1_000_000) * 4096 // 1_000_000
    _last_uuid_time = fine = max(_last_uuid_time + 1, fine)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(fine >> 12) << 80 | 7 << 76 | (fine & 0xFFF) << 64 | 2 << 62 | random)
