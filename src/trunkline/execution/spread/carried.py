"""Writes that need rows of other shards: these rows are read first, and go to each shard that writes as arrays.

Theory of operation. What is read of one shard is read by one statement, and then all who write are asked at once; the
gate keeps commits over several shards away until they have their snapshots. A commit at a single shard may come between
the two. So where a shard writes that rows were read of, its text reads them once more, in the snapshot in which it
writes, and fails if they are not the same: then everything is done again, or, in a block, the client hears 40001. A
transaction that keeps its snapshot has no need of that.

Rule: who writes has locked its table, as it would anyway, before the gate is entered. A move (moved.py) keeps writers
away until it has committed, for which it needs the gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.bringing import HEADER_BYTES, array_of, in_their_encoding, shard_of
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.gather_copy import is_binary
from trunkline.execution.spread.gather_fill import plainly
from trunkline.execution.spread.gather_values import value_writer
from trunkline.execution.spread.own_types import anywhere
from trunkline.execution.spread.participant import Participant, values_of
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end, to_rows, until_bound
from trunkline.execution.spread.write import Done, Part, all_of, compare_copies, parameters_in, rows_in, time_of
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.spreading.gathering import Gathered
from trunkline.routing.spreading.gathering_filters import written
from trunkline.routing.spreading.moments import Moment, filled
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.writing_carried import Carried, Own, Piece, Slot, Split
from trunkline.shard_errors import RowsChanged, StatementFailed

TRIES = 5
_CHANGED = "trunkline: rows have changed"  # in what a shard says whose rows are not those that were read


@dataclass(slots=True)
class Read:
    """The rows of the tables, each as a text, and of each shard and table what its rows add up to."""

    rows: list[list[bytes]]
    sums: dict[tuple[int, int], int]  # by shard and place
    own: Mapping[int, Sequence[bytes | None]] | None = None  # of a split: by shard the keys, as texts


async def carried(program: Carried, asked: Asked, participants: Participants) -> Done:
    """Read, and write; once more if rows have changed between the two."""
    mine = not participants.in_transaction
    for _ in range(TRIES - 1):
        try:
            return await _Carrying(program, asked, participants).run()
        except RowsChanged:
            if not mine:
                raise
            await participants.rollback()
    return await _Carrying(program, asked, participants).run()


class _Carrying:
    """One try."""

    def __init__(self, program: Carried, asked: Asked, participants: Participants) -> None:
        settings = participants.pools[0].pools.config.settings
        self._program = program
        self._asked = asked
        self._participants = participants
        self._budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
        write = value_writer(asked, asked.described.parameters)
        self._arrays: Sequence[bytes] = ()
        self._conditions = [written(table.filter, write) for table in program.tables]

    async def run(self) -> Done:
        program, participants = self._program, self._participants
        other = next((table for table in program.tables if not is_binary(table.columns)), None)
        if other is not None:
            names = ".".join(other.name)
            raise StatementRefused(f"{names} has columns of a type that is not carried from shard to shard")
        await participants.begin()
        writers = self._mask_of_writers()
        if program.alone is not None and writers & (writers - 1):
            raise refused(program.alone)
        await participants.will_write(writers)
        sources = [self._mask(table) for table in program.tables]
        mask = writers
        for source in sources:
            mask |= source
        people = {one.shard: one for one in await participants.at_all(mask)}
        in_their_encoding(next(iter(people.values())))
        parts = [Part(one, b"") for shard, one in people.items() if writers >> shard & 1]
        for part in parts:
            await part.one.ask(f"LOCK TABLE {program.target} IN ROW EXCLUSIVE MODE".encode())
        time = await time_of(participants) if program.asks_time else b""
        try:
            if program.copies:
                return await self._at_copies(parts, people, sources, time)
            async with participants.one_snapshot(mask):
                read = await self._read(people, sources)
                if program.split is not None:
                    read.own = await self._own(program.split, parts[0].one, read, time)
                    parts = _concerned(program.split, parts, read.own)
                self._ask(parts, read, time)
                errors = await _bound(parts)
            done = Done()
            await self._taken(parts, done, errors)
            return done
        finally:
            self._budget.release()

    async def _at_copies(
        self, parts: Sequence[Part], people: Mapping[int, Participant], sources: Sequence[int], time: bytes
    ) -> Done:
        """One shard after another, the home shard first, as all writes to reference tables are."""
        async with self._participants.one_snapshot(sum(1 << shard for shard in people)):
            read = await self._read(people, sources)
        done = Done()
        for part in sorted(parts, key=lambda part: part.one.shard != self._asked.home):
            copy = Done() if done.tags else done
            self._ask([part], read, time)
            await self._taken([part], copy, {})
            if copy is not done:
                compare_copies(part.one, copy, done)
                part.one.notices.clear()
        return done

    # --- where ----------------------------------------------------------------------------------------------------

    def _mask_of_writers(self) -> int:
        if not self._program.writers:
            return self._program.every
        mask = 0
        for place in self._program.writers:
            mask |= self._asked.masks[place]
        return mask or 1 << self._asked.home

    def _mask(self, table: Gathered) -> int:
        if table.kind is Kind.REFERENCE:
            return 1 << self._asked.home
        if table.kind is Kind.HOME or not table.places:
            return table.every
        mask = 0
        for place in table.places:
            mask |= self._asked.masks[place]
        return mask

    # --- reading --------------------------------------------------------------------------------------------------

    async def _read(self, people: Mapping[int, Participant], sources: Sequence[int]) -> Read:
        """All rows of one shard by one statement, and so in one snapshot."""
        read = Read([[] for _ in sources], {})
        asked = {}
        for shard, one in people.items():
            selects = [
                self._select(place, table)
                for place, table in enumerate(self._program.tables)
                if sources[place] >> shard & 1
            ]
            if selects:
                asked[one] = " UNION ALL ".join(selects).encode()
        back = [await plainly(one) for one in asked]
        outcomes = await asyncio.gather(*[one.ask(sql) for one, sql in asked.items()], return_exceptions=True)
        for one, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            self._keep(one.shard, outcome, read)
        for one, settings in zip(asked, back, strict=True):
            await one.ask(settings)
        return read

    def _select(self, place: int, table: Gathered) -> str:
        needed = {column.name for column in table.columns}
        every = ", ".join(
            identifier(column.name) if column.name in needed else "NULL" for column in table.relation.columns
        )
        return f"SELECT {place}, ROW({every})::pg_catalog.text, {sum_of(table)} FROM {self._from(place, table)}"

    def _from(self, place: int, table: Gathered) -> str:
        condition = self._conditions[place]
        return table.source + (f" WHERE {condition}" if condition else "")

    def _keep(self, shard: int, rows: Sequence[tuple[bytes | None, ...]], read: Read) -> None:
        for place, table in enumerate(self._program.tables):
            if self._mask(table) >> shard & 1:
                read.sums[shard, place] = 0
        for number, row, part in rows:
            assert number is not None and row is not None and part is not None
            place = int(number)
            self._budget.take(len(row), ".".join(self._program.tables[place].name))
            read.rows[place].append(row)
            read.sums[shard, place] += int(part)

    async def _own(self, split: Split, one: Participant, read: Read, time: bytes) -> dict[int, list[bytes | None]]:
        """The keys that the source of a MERGE has, by the shards where they belong."""
        text = self._text(split.keys, -1, read, time)
        one.request(self._call(text, read, (), (1, 0)), REQUESTS)
        fields = await to_rows(one, (), agrees=lambda found, expected: True)
        found: dict[int, list[bytes | None]] = {}
        while run := await one.run_of_rows():
            for row in rows_in(run):
                key, said = values_of(row[HEADER_BYTES:])
                shard = shard_of(split.unmatched.function, split.unmatched.nowhere, [key], [fields[0].type])
                found.setdefault(shard, []).append(said)
        await to_end(one)
        return found

    # --- writing --------------------------------------------------------------------------------------------------

    def _ask(self, parts: Sequence[Part], read: Read, time: bytes) -> None:
        for part in parts:
            part.text = self._text(self._program.text, part.one.shard, read, time)
            keys = [] if read.own is None else [_texts(read.own.get(part.one.shard, ()))]
            part.one.request(self._call(part.text, read, keys, self._asked.result_formats), REQUESTS)

    def _call(self, text: bytes, read: Read, more: Sequence[bytes], result_formats: Sequence[int]) -> bytes:
        """The client's values, and behind them the rows."""
        asked = self._asked
        declared = anywhere(asked.described.parameters or asked.types)
        arrays = [*self._arrays_of(read), *more]
        types = (*declared, *(0,) * (self._first - len(declared) + len(arrays)))
        formats, values = (*asked.formats, *(0,) * len(arrays)), (*asked.values, *arrays)
        return asked_of(text, types, formats, values, result_formats, parameters_in(text), flushes=True)

    @property
    def _first(self) -> int:
        """How many parameters come before those with rows."""
        return max(len(self._asked.described.parameters or self._asked.types), len(self._asked.values))

    def _arrays_of(self, read: Read) -> Sequence[bytes]:
        if not self._arrays:
            self._arrays = [array_of(rows) for rows in read.rows]
        return self._arrays

    def _text(self, said: Sequence[Piece], shard: int, read: Read, time: bytes) -> bytes:
        pieces: list[bytes | Moment] = []
        for piece in said:
            if isinstance(piece, Own):
                pieces.append(self._owned(shard, read))
            else:
                pieces.append(self._slot(piece.place, shard, read) if isinstance(piece, Slot) else piece)
        return filled(tuple(pieces), time)

    def _owned(self, shard: int, read: Read) -> bytes:
        """Which rows of the source are this shard's."""
        assert self._program.split is not None and read.own is not None
        column = self._program.split.unmatched.column
        array = f"${self._first + len(read.rows) + 1}::pg_catalog.text[]"
        said = f'{column}::pg_catalog.text COLLATE "C" OPERATOR(pg_catalog.=) ANY ({array})'
        return f"({said} OR {column} IS NULL)".encode() if None in read.own.get(shard, ()) else said.encode()

    def _slot(self, place: int, shard: int, read: Read) -> bytes:
        """The rows of a table, as what can stand in FROM."""
        table = self._program.tables[place]
        rows = f"${self._first + place + 1}::{full(*table.name)}[]"
        total = read.sums.get((shard, place))
        if total is not None and not self._participants.keeps_snapshot:
            counted = f"SELECT pg_catalog.sum({sum_of(table)}) AS now FROM {self._from(place, table)}"
            same = f"COALESCE(now, 0) OPERATOR(pg_catalog.=) {total}::pg_catalog.numeric"
            fails = f"pg_catalog.concat('{_CHANGED}', now)::pg_catalog.bool"
            rows = (
                f"CASE WHEN (SELECT CASE WHEN {same} THEN true ELSE {fails} END FROM ({counted}) AS t) THEN {rows} END"
            )
        return f"pg_catalog.unnest({rows})".encode()

    async def _taken(self, parts: Sequence[Part], done: Done, errors: dict[int, TrunklineError]) -> None:
        """The answers; RowsChanged if that is what one of them is."""
        try:
            await all_of(self._asked, [part for part in parts if part.one.shard not in errors], done)
        except TrunklineError as error:
            errors[len(self._participants.pools)] = error
        for found in errors.values():
            if isinstance(found, StatementFailed) and _CHANGED in found.message:
                raise RowsChanged("rows of other shards have changed since they were read for this statement")
        if errors:
            raise errors[min(errors)]


def _texts(keys: Sequence[bytes | None]) -> bytes:
    return array_of([key for key in keys if key is not None])


def _concerned(split: Split, parts: Sequence[Part], own: Mapping[int, Sequence[bytes | None]]) -> list[Part]:
    """Who has rows of the source, or has to look for rows that none of it matches; at least one, for the tag."""
    found = [part for part in parts if part.one.shard in own or split.unmatched.by_source]
    return found or [parts[0]]


async def _bound(parts: Sequence[Part]) -> dict[int, TrunklineError]:
    """Until each shard has its snapshot; the errors of those that have failed before."""
    errors: dict[int, TrunklineError] = {}
    for part in parts:
        try:
            await until_bound(part.one)
            part.bound = True
        except TrunklineError as error:
            errors[part.one.shard] = error
    return errors


def sum_of(table: Gathered) -> str:
    """A number that depends on each value of a row, whatever the session's settings are."""
    row = f"pg_catalog.record_send(ROW({table.column_list}))"
    return f"pg_catalog.hashtextextended(pg_catalog.encode({row}, 'hex'), 0)"
