"""A cursor that only goes forward: a cursor at each shard, of which rows are fetched as they are wanted.

Theory of operation. DECLARE takes the snapshots of all shards. A FETCH asks the shards whose rows are lacking for a
batch; between two of them no shard owes anything, so the transaction goes on with other statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any, Protocol

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.merge.beginning import Merging as Merger
from trunkline.execution.merge.beginning import Parameters, begin
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.merged import merged
from trunkline.execution.spread.own_types import agree_by_name, anywhere, differ, may_agree
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.runs import cut
from trunkline.execution.spread.scatter import Agrees, to_end, to_rows
from trunkline.routing.spreading.cursors import Declared, Fetch, forward
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.quoting import identifier
from trunkline.routing.spreading.request import Concatenation
from trunkline.shard_errors import PortalSpent, ScansForward

BATCH_ROWS = 500  # that one shard is asked for at once


class Source(Protocol):
    """Where rows come from."""

    async def more(self, count: int, formats: Sequence[int]) -> bytes:
        """Some rows, about so many if there are; none: there are no more."""
        ...


async def flowing(program: Declared, inner: Asked, participants: Participants) -> Flowing | None:
    """Declare it at every shard; None if its rows do not flow."""
    if not isinstance(program.program, (Concatenation, Merging)):
        return None
    people = await participants.at_all(inner.mask or 1 << inner.home)
    source: Source
    if isinstance(program.program, Concatenation):
        sql, mentioned = program.program.sql, None
        source = Concatenated(inner, Shards(program.name, people, inner.described.fields or (), may_agree))
    else:
        merge = program.program.merge
        if merge.final_order or merge.having:
            return None  # all groups have to be here before the first is given
        answer = await merged(program.program, inner, people)
        fields = program.program.known.get(inner.types)
        if answer is None or fields is None:
            return None
        sql, mentioned = answer.sql, answer.mentioned
        source = Merged(program.program, inner, Shards(program.name, people, fields, may_agree))
    async with participants.one_snapshot(inner.mask):
        await declared_at(people, program.name, sql, inner, mentioned)
    return Flowing(program.name, inner.described.fields or (), source, people)


async def declared_at(
    people: Sequence[Participant], name: str, sql: bytes, inner: Asked, mentioned: Collection[int] | None
) -> None:
    """Declare a cursor of this name at each of them, which takes its snapshot."""
    text = f"DECLARE {identifier(name)} NO SCROLL CURSOR FOR ".encode() + sql
    frames = asked_of(text, anywhere(inner.types), inner.formats, inner.values, (), mentioned)
    for one in people:
        one.request(frames, REQUESTS)
    errors: list[TrunklineError] = []
    for one in people:
        try:
            await to_rows(one, None)
            await to_end(one)
        except TrunklineError as error:
            errors.append(error)
    if errors:
        raise errors[0]


class Flowing:
    """One cursor, and how far it has come."""

    def __init__(self, name: str, fields: Sequence[Field], source: Source, people: Sequence[Participant]) -> None:
        self.fields = fields
        self.forms: tuple[Any, ...] | None = None
        self._name = name
        self._source = source
        self._people = people
        self._here = b""  # rows that were fetched and not given
        self._position = 0
        self._at_end = False
        self._failed = False
        self._formats: tuple[int, ...] | None = None

    def must_do(self, fetch: Fetch, formats: Sequence[int]) -> None:
        """As Cursor's."""
        if self._failed:
            raise PortalSpent(f'portal "{self._name}" cannot be run')
        if forward(fetch, self._position, at_end=self._at_end) is None:
            self._failed = True
            raise ScansForward("cursor can only scan forward")
        self._must_agree(formats, moves=fetch.moves)

    async def rows(self, fetch: Fetch, formats: Sequence[int]) -> AsyncIterator[tuple[bytes, int]]:
        """As Cursor's."""
        self.must_do(fetch, formats)
        steps = forward(fetch, self._position, at_end=self._at_end)
        assert steps is not None
        async for _ in self._take(steps.skipped):
            pass
        async for found in self._take(steps.given):
            yield found

    def _must_agree(self, formats: Sequence[int], *, moves: bool) -> None:
        """Rows are fetched ahead, in one format."""
        wanted = tuple(formats) if any(formats) else ()
        if self._formats is None:
            self._formats = wanted
        elif self._formats != wanted and not moves:
            raise StatementRefused(
                "a cursor over several shards is fetched in one format", hint="Fetch all of it as texts, or in binary."
            )

    async def _take(self, count: int) -> AsyncIterator[tuple[bytes, int]]:
        left = count
        while left > 0:
            if not self._here and not self._at_end:
                self._here = await self._more(left)
            if not self._here:
                self._at_end = True
                return
            size, found = cut(self._here, left)
            run, self._here = self._here[:size], self._here[size:]
            self._position += found
            left -= found
            yield run, found

    async def _more(self, count: int) -> bytes:
        try:
            return await self._source.more(min(count, BATCH_ROWS), self._formats or ())
        except BaseException:
            self._failed = True
            raise

    async def close(self) -> None:
        """At its shards too."""
        for one in self._people:
            await one.ask(f"CLOSE {identifier(self._name)}".encode())


@dataclass(slots=True)
class Shards:
    """The shards' own cursors; `fields` are the columns that they have."""

    name: str
    people: Sequence[Participant]
    fields: Sequence[Field]
    agrees: Agrees | None = None  # whether those of a shard are the same; `others` are those that are not quite
    others: dict[int, Sequence[Field]] = dataclass_field(default_factory=dict)
    _agreed: set[int] = dataclass_field(default_factory=set)

    async def fetch(self, places: Sequence[int], count: int, formats: Sequence[int]) -> dict[int, tuple[bytes, bool]]:
        """From these, at once: rows, and whether there may be more."""
        frames = asked_of(f"FETCH FORWARD {count} FROM {identifier(self.name)}".encode(), (), (), (), formats)
        for place in places:
            self.people[place].request(frames, REQUESTS)
        found: dict[int, tuple[bytes, bool]] = {}
        errors: list[TrunklineError] = []
        for place in places:
            try:
                found[place] = await self._taken(place, count)
            except TrunklineError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return found

    async def agree(self, asked: Asked, formats: Sequence[int], visible: int | None = None) -> None:
        """StatementRefused if columns that have come, so many of them, are of other types than the client was told."""
        for place in self.others.keys() - self._agreed:
            columns = self.others[place][:visible]
            await agree_by_name([(self.people[place], columns)], replace(asked, result_formats=tuple(formats)))
            self._agreed.add(place)

    async def _taken(self, place: int, count: int) -> tuple[bytes, bool]:
        one = self.people[place]
        fields = await to_rows(one, self.fields, agrees=self.agrees)
        if differ(fields, self.fields):
            self.others[place] = fields
        runs = []
        while run := await one.run_of_rows():
            runs.append(run)
        tag = await to_end(one)
        return b"".join(runs), int(tag.split()[-1]) == count


class Concatenated:
    """The rows of one shard behind those of another."""

    def __init__(self, inner: Asked, shards: Shards) -> None:
        self._inner = inner
        self._shards = shards
        self._place = 0

    async def more(self, count: int, formats: Sequence[int]) -> bytes:
        """As Source's."""
        while self._place < len(self._shards.people):
            place = self._place
            rows, goes_on = (await self._shards.fetch([place], count, formats))[place]
            await self._shards.agree(self._inner, formats)
            self._place += 0 if goes_on else 1
            if rows:
                return rows
        return b""


class Merged:
    """The rows of all shards in one order, or put together."""

    def __init__(self, program: Merging, inner: Asked, shards: Shards) -> None:
        self._program = program
        self._inner = inner
        self._shards = shards
        self._merger: Merger | None = None
        self._formats: tuple[int, ...] = ()

    def _begin(self, formats: Sequence[int]) -> Merger:
        types = [one.type for one in self._shards.fields]
        parameters = Parameters(self._inner.described.parameters, self._inner.formats, self._inner.values)
        begun = begin(self._program.merge, types, len(self._shards.people), formats, parameters)
        self._formats = begun.formats
        return begun.merger

    async def more(self, count: int, formats: Sequence[int]) -> bytes:
        """As Source's."""
        merger = self._merger = self._merger or self._begin(formats)
        while not merger.done:
            lacking = [place for place in range(len(self._shards.people)) if merger.lacks(place)]
            found = await self._shards.fetch(lacking, count, self._formats)
            await self._shards.agree(self._inner, formats, self._program.merge.visible)
            for place, (rows, goes_on) in found.items():
                if rows:
                    merger.feed(place, rows)
                if not goes_on:
                    merger.end(place)
            if rows := merger.take():
                return rows
        return b""
