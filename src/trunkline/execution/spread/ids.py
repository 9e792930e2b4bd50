"""Ids of one client: what is drawn for its statements, and what its currval() and lastval() are.

These are of the client's session, and none of the servers that it is given in turn knows them. What a server has
advanced by itself (a home table's default) it can be asked for while the client keeps it, in the same block; later
nobody can say, and the question is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING
from uuid import UUID

from trunkline.errors import StatementRefused
from trunkline.execution.spread.binding import bind
from trunkline.execution.spread.id_blocks import OWN, Blocks, literal
from trunkline.routing.planning.ids import FORGOTTEN, RESTARTED, SET, UNKNOWN
from trunkline.routing.spreading.drawing_slots import Drawing, Slot
from trunkline.shard_errors import NotYetDefined

if TYPE_CHECKING:
    from trunkline.execution.spread.calls import Statement
    from trunkline.execution.spread.participants import Participants

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
        for slot in self.drawing.slots if self.drawing is not None else ():
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
        taken = max(len(statement.types), drawing.parameters)
        _check_count(statement, taken)
        slots = drawing.slots
        if taken + len(slots) > MAX_PARAMETERS:
            raise StatementRefused("too many ids are drawn for one statement", hint="Insert fewer rows at a time.")
        values = (*statement.values, *await self._values_of(slots, participants, home, rows))
        formats = (*statement.formats, *(0,) * len(slots))
        types = with_slots(drawing, statement.types)
        said = bind(formats, values, statement.result_formats)[_BIND_HEAD:]
        return type(statement)(drawing.text(taken), types, formats, values, statement.result_formats, said)

    async def _values_of(self, slots: Sequence[Slot], participants: Participants, home: int, rows: int) -> list[bytes]:
        """In their order; of each sequence all are drawn at once."""
        needed: Counter[str] = Counter()
        for slot in slots:
            if slot.kind == "nextval":
                needed[slot.sequence] += rows if slot.many else 1
        snowflakes = sum(slot.kind == "snowflake" for slot in slots)
        if snowflakes:
            needed[OWN] = snowflakes
        drawn = {}
        for sequence, count in needed.items():
            drawn[sequence] = iter(await self.blocks.draw(participants.pools, home, sequence, count))
        found: list[bytes] = []
        for slot in slots:
            if slot.many:
                found.append(self._array_of(slot, drawn[slot.sequence], rows))
                continue
            if slot.kind == "nextval":
                value = next(drawn[slot.sequence])
                self._put(slot.sequence, value)
                self._last = slot.sequence
            elif slot.kind == "snowflake":
                value = snowflake(next(drawn[OWN]))
            elif slot.kind == "uuid7":
                found.append(str(uuid7()).encode())
                continue
            else:
                value = await self._last_of(slot, participants, home)
            found.append(b"%d" % value)
        return found

    def _array_of(self, slot: Slot, drawn: Iterator[int], rows: int) -> bytes:
        values = list(islice(drawn, rows))
        if values:
            self._put(slot.sequence, values[-1])
            self._last = slot.sequence
        return b"{" + b",".join(b"%d" % one for one in values) + b"}"

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


def _check_count(statement: Statement, taken: int) -> None:
    """As PostgreSQL does, which would count ours as well."""
    given = len(statement.values)
    if given == taken:
        return
    if not statement.bind:
        error = StatementRefused("there is no parameter $1")
        error.sqlstate = "42P02"
    else:
        error = StatementRefused(f"bind message supplies {given} parameters, but prepared statement requires {taken}")
        error.sqlstate = "08P01"
    raise error


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
