"""SELECT ... LIMIT n FOR UPDATE over several shards: just the rows that are given are locked (spreading/claiming.py).

Theory of operation. A cursor at each shard has the rows in order, of snapshots that belong together. The first n of all
are locked where they lie, at all shards at once; for each that somebody else has, the next one is tried, until there
are n or none is left. What waits for locks does so at one shard after the other, so that two who want the same rows do
not wait for each other, and behind a savepoint: where a row has changed since it was read, all of that is undone and
begins anew, as if it had been said later. In REPEATABLE READ PostgreSQL says by itself that a row has changed.

Without an order the cursors themselves lock what they give, and are asked one shard after the other.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trunkline.errors import StatementRefused
from trunkline.execution.merge.beginning import NotMerged, Parameters, formats_of, is_exact, negative, orders_of
from trunkline.execution.merge.merger import cells_of_row, rows_of
from trunkline.execution.merge.sort_keys import sort_key
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.flowing import Shards, declared_at
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.merged import compares_texts
from trunkline.execution.spread.own_types import anywhere, may_agree
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.write import Done, Part, all_of, ask, parameters_in, time_of
from trunkline.protocol.messages import TEXT, data_row
from trunkline.routing.spreading.claiming import TIME, Claim, Waits
from trunkline.routing.spreading.writing_claimed import ClaimedWrite
from trunkline.shard_errors import RowsChanged, StatementFailed

TRIES = 20
LEAST_ROWS, MOST_ROWS = 30, 500  # that a cursor is asked for at once
_MOST = 2**62
_AT_BIND = ("25006", "42501")  # which come before anything is locked: reading only, no right to it
_SAVEPOINT = b"trunkline_claim"
_PLACE = struct.Struct("!IH")  # of a tid in binary form
_numbers = itertools.count(1)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Row:
    """One that may be locked, or is."""

    cells: Sequence[bytes | None]  # the client's columns
    shard: int
    place: bytes  # its ctid, as a text


class Claimed:
    """The answer to a SELECT: its rows are locked when the first of them is wanted."""

    def __init__(self, claiming: Claiming) -> None:
        self._claiming = claiming
        self._count = 0

    async def rows(self) -> AsyncIterator[bytes]:
        """All but those that OFFSET leaves out, which are locked as well."""
        given = (await self._claiming.run())[self._claiming.offset :]
        await self._claiming.agree()
        self._count = len(given)
        yield b"".join([data_row(row.cells) for row in given])

    def tag(self) -> bytes:
        return b"SELECT %d" % self._count


async def claim(program: Claim, asked: Asked, participants: Participants) -> Claimed:
    """A SELECT, begun."""
    return Claimed(await begun(program, asked, participants))


async def claimed_write(program: ClaimedWrite, asked: Asked, participants: Participants) -> Done:
    """Lock the rows, then write them where they are."""
    await participants.begin()
    inner = replace(asked, request=program.source, result_formats=())
    claiming = await begun(program.claim, inner, participants)
    people = await participants.at_all(asked.mask or 1 << asked.home)
    locked: dict[int, list[bytes]] = {}
    for row in (await claiming.run())[claiming.offset :]:
        locked.setdefault(row.shard, []).append(row.place)
    time = await time_of(participants) if program.asks_time else b""
    parts = [Part(one, program.said(locked[one.shard], time)) for one in people if one.shard in locked]
    parts = parts or [Part(people[0], program.said((), time))]
    done = Done()
    for part in parts:
        ask(asked, part)
    await all_of(asked, parts, done)
    return done


async def begun(program: Claim, asked: Asked, participants: Participants) -> Claiming:
    """One call of it, of which nothing is asked yet; StatementRefused if it would not be exact."""
    people = await participants.at_all(asked.mask or 1 << asked.home)
    types = anywhere(asked.described.parameters or asked.types)
    if types not in program.known:
        mentioned = parameters_in(program.merge.sql)
        padded = [oid if number in mentioned else TEXT for number, oid in enumerate(types, 1)]
        program.known[types] = (await described(people[0], program.merge.sql, padded)).fields or ()
    fields = program.known[types]
    of_texts = people[0].translates and compares_texts(program.merge, fields)
    if not is_exact(program.merge, [one.type for one in fields]) or of_texts:
        hint = "Order by numbers, times or what is compared by its bytes, or name the key of the table."
        raise StatementRefused("it locks the first rows in an order that no two shards have in common", hint=hint)
    time = await time_of(participants) if program.asks_time else TIME
    return Claiming(program, replace(asked, types=types), participants, people, fields, program.sql(time))


class Claiming:
    """One call; `run` locks, and `offset` of the rows are not for the client."""

    def __init__(
        self,
        program: Claim,
        asked: Asked,
        participants: Participants,
        people: Sequence[Participant],
        fields: Sequence[Field],
        sql: bytes,
    ) -> None:
        self._program = program
        self._asked = asked
        self._participants = participants
        self._people = people
        self._fields = fields
        self._sql = sql
        self._saved: set[int] = set()  # who has a savepoint
        settings = participants.pools[0].pools.config.settings
        self._budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
        self._shards = Shards("", people, fields)
        merge, parameters = program.merge, Parameters(asked.described.parameters, asked.formats, asked.values)
        try:
            count, offset = parameters.number(merge.limits.count), parameters.number(merge.limits.offset)
            self._formats = formats_of(merge, asked.result_formats)
        except NotMerged as reason:
            raise StatementRefused(f"it locks rows, and its limit is {reason}", hint="Give a number.") from None
        if min(count or 0, offset or 0) < 0:
            self._sql += negative(count, offset)  # for PostgreSQL to refuse in its own words
            count, offset = 1, 0
        self.offset = offset or 0
        self._wanted = self.offset + (_MOST if count is None else count) if count != 0 else 0

    async def run(self) -> list[Row]:
        """The rows, in order, locked; a TrunklineError if that cannot be."""
        for _ in range(TRIES):
            await self._declare()
            try:
                found = await (self._in_order() if self._program.merge.keys else self._in_turn())
            except RowsChanged:
                await self._end(b"ROLLBACK TO SAVEPOINT %b; " % _SAVEPOINT)
                continue
            await self._end(b"")
            self._budget.release()
            return found
        raise RowsChanged("the rows that were to be locked have changed each time")

    async def agree(self) -> None:
        """StatementRefused if the columns of a shard are of other types than the client was told."""
        await self._shards.agree(self._asked, self._asked.result_formats, self._program.merge.visible)

    # --- cursors --------------------------------------------------------------------------------------------------

    async def _declare(self) -> None:
        name = f"trunkline_claim_{next(_numbers)}"
        self._shards = Shards(name, self._people, self._fields, may_agree)
        async with self._participants.one_snapshot(self._asked.mask):
            try:
                await declared_at(self._people, name, self._sql, self._asked, parameters_in(self._sql))
            except StatementFailed as error:
                error.at_bind = True
                raise

    async def _end(self, undo: bytes) -> None:
        """The cursors are closed, and the savepoints are over."""
        close = f"CLOSE {self._shards.name}".encode()
        saved = undo + b"RELEASE SAVEPOINT %b; " % _SAVEPOINT
        await _all([one.ask((saved if one.shard in self._saved else b"") + close) for one in self._people])
        self._saved.clear()

    def _row(self, place: int, row: bytes) -> tuple[list[bytes | None], Row]:
        """The hidden columns of a row, and what it is."""
        cells = cells_of_row(row)
        visible = self._program.merge.visible
        where = _PLACE.unpack(cells[-1] or b"")
        return cells[visible:-1], Row(cells[:visible], self._people[place].shard, b"(%d,%d)" % where)

    # --- without an order -----------------------------------------------------------------------------------------

    async def _in_turn(self) -> list[Row]:
        """Of one shard behind those of another; who does not wait begins at any of them."""
        count, found = len(self._people), list[Row]()
        first = 0 if self._program.waits is Waits.BLOCK else self._participants.number
        for place in [(first + step) % count for step in range(count)]:
            goes_on = True
            while goes_on and len(found) < self._wanted:
                size = min(self._wanted - len(found), MOST_ROWS)
                rows, goes_on = (await self._shards.fetch([place], size, self._formats))[place]
                self._budget.take(len(rows), "rows that are locked")
                found += [self._row(place, row)[1] for row in rows_of(rows)]
        return found

    # --- in order -------------------------------------------------------------------------------------------------

    async def _in_order(self) -> list[Row]:
        candidates = Candidates(self._fetched, len(self._people))
        found: list[Row] = []
        tried = await candidates.next(self._wanted)
        if not tried:
            await self._lock(self._people[0], [])  # PostgreSQL looks whether it may
        while tried:
            found += await self._locked(tried)
            tried = await candidates.next(self._wanted - len(found))
        return found

    async def _fetched(self, places: Sequence[int], count: int) -> Found:
        merge = self._program.merge
        orders = orders_of(merge.keys, [one.type for one in self._fields[merge.made :]])
        found: Found = {}
        for place, (rows, goes_on) in (await self._shards.fetch(places, count, self._formats)).items():
            self._budget.take(len(rows), "rows that are to be locked")
            read = [self._row(place, row) for row in rows_of(rows)]
            found[place] = [(_key(orders, cells), row) for cells, row in read], goes_on
        return found

    async def _locked(self, tried: Sequence[Row]) -> list[Row]:
        """Those of these rows that could be locked."""
        asked = [(one, [row.place for row in tried if row.shard == one.shard]) for one in self._people]
        asked = [(one, places) for one, places in asked if places]
        if self._program.waits is Waits.BLOCK:
            answers = [await self._lock(one, places) for one, places in asked]
        else:
            answers = await _all([self._lock(one, places) for one, places in asked])
        got = {(one.shard, place) for (one, _), places in zip(asked, answers, strict=True) for place in places}
        found = [row for row in tried if (row.shard, row.place) in got]
        if len(found) < len(tried) and self._program.waits is not Waits.SKIP:
            raise RowsChanged("rows that are to be locked have changed")
        return found

    async def _lock(self, one: Participant, places: Sequence[bytes]) -> list[bytes]:
        text = self._program.locking(places)
        if self._program.waits is not Waits.SKIP and one.shard not in self._saved:
            self._saved.add(one.shard)
            text = b"SAVEPOINT %b; " % _SAVEPOINT + text
        try:
            return [place for (place,) in await one.ask(text) if place is not None]
        except StatementFailed as error:
            error.at_bind = error.sqlstate in _AT_BIND
            raise


Found = dict[int, tuple[list[tuple[bytes, Row]], bool]]
"""By the places of shards: rows with their keys, and whether there may be more."""


class Candidates:
    """The rows of several cursors in the order of all, as far as they are wanted."""

    def __init__(self, fetch: Callable[[Sequence[int], int], Awaitable[Found]], cursors: int) -> None:
        self._fetch = fetch
        self._here: list[deque[tuple[bytes, Row]]] = [deque() for _ in range(cursors)]
        self._goes_on = [True] * cursors

    async def next(self, count: int) -> list[Row]:
        """The next so many; fewer if there are no more."""
        found: list[Row] = []
        while len(found) < count:
            lacking = [place for place, rows in enumerate(self._here) if not rows and self._goes_on[place]]
            if lacking:
                asked = max(min(count - len(found), MOST_ROWS), LEAST_ROWS)
                for place, (rows, goes_on) in (await self._fetch(lacking, asked)).items():
                    self._here[place].extend(rows)
                    self._goes_on[place] = goes_on
            heads = [rows for rows in self._here if rows]
            if not heads:
                break
            found.append(min(heads, key=lambda rows: rows[0][0]).popleft()[1])
        return found


def _key(orders: Sequence[tuple[int, bool, bool]], cells: Sequence[bytes | None]) -> bytes:
    """What puts rows in order: PostgreSQL's own, as bytes."""
    return b"".join([sort_key(kind, cell, *how) for (kind, *how), cell in zip(orders, cells, strict=True)])


async def _all(waited: Iterable[Awaitable[Answer]]) -> list[Answer]:
    """What all of them give; the first error is raised when all have answered."""
    outcomes = await asyncio.gather(*waited, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
