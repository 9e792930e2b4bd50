"""A merge at work: what the shards send goes into a Merger, and what it gives is the answer.

Theory of operation. All shards are asked at once. Rows are taken from those of which the merger wants more, and only
where it lacks the next row of one is that one waited for; the others fill up meanwhile to where they stop their
servers. A row is therefore kept in at most two places, whatever the shards have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache, partial

from trunkline.execution.merge.beginning import Begun, NotMerged, Parameters, begin, is_exact
from trunkline.execution.merge.exact_types import TEXTS
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import FIRST_USER_OID, Field
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.scatter import Agrees, to_end, to_rows, until_bound
from trunkline.protocol.messages import TEXT
from trunkline.routing.spreading.merge import FromParameter, Merge, Merging
from trunkline.routing.text.tokens import tokens_of

_ROW = ord("D")


async def merged(program: Merging, asked: Asked, participants: Sequence[Participant]) -> Merged | None:
    """The merge, which begins with `bound`; None if it would not be exact with the types that it turns out to have."""
    merge = program.merge
    mentioned = _mentioned(merge)
    if asked.types not in program.known:
        fields = (await described(participants[0], merge.sql, _types(asked, mentioned))).fields or ()
        types = [one.type for one in fields]
        same = _of_all(types[: merge.visible]) == _of_all(one.type for one in asked.described.fields or ())
        program.known[asked.types] = fields if same and is_exact(merge, types) else None
    return merged_as_known(program, asked, participants)


def merged_as_known(program: Merging, asked: Asked, participants: Sequence[Participant]) -> Merged | None:
    """The same, where the types are known."""
    merge = program.merge
    mentioned = _mentioned(merge)
    fields = program.known[asked.types]
    if fields is None or (participants[0].translates and compares_texts(merge, fields)):
        return None
    parameters = Parameters(asked.described.parameters, asked.formats, asked.values)
    settings = participants[0].pool.pools.config.settings
    budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
    take = partial(budget.take, table="groups that are put in order")
    types = [one.type for one in fields]
    try:
        begun = begin(merge, types, len(participants), asked.result_formats, parameters, take)
    except NotMerged:
        return None
    return Merged(begun, asked, fields, mentioned, participants, budget)


def _of_all(types: Iterable[int]) -> list[int]:
    """As every shard knows them: types of users have other numbers at each."""
    return [min(one, FIRST_USER_OID) for one in types]


def compares_texts(merge: Merge, fields: Sequence[Field]) -> bool:
    """In the client's encoding they come in another order than shards have sorted them by."""
    return any(one.type in TEXTS for one in fields[merge.visible :])


def _mentioned(merge: Merge) -> frozenset[int] | None:
    """The parameters that the shards' text still has; None: all."""
    limits = merge.limits
    if not any(isinstance(one, FromParameter) for one in (limits.count, limits.offset)):
        return None
    return _parameters_in(merge.sql)


@lru_cache(maxsize=256)
def _parameters_in(sql: bytes) -> frozenset[int]:
    return frozenset(int(sql[start + 1 : end]) for kind, start, end in tokens_of(sql) if kind == "parameter")


def _types(asked: Asked, mentioned: frozenset[int] | None) -> tuple[int, ...]:
    if mentioned is None:
        return asked.types
    count = len(asked.described.parameters)
    padded = (*asked.types, *(0,) * (count - len(asked.types)))
    return tuple(oid if number in mentioned else TEXT for number, oid in enumerate(padded, 1))


class Merged:
    """One call of it."""

    def __init__(
        self,
        begun: Begun,
        asked: Asked,
        fields: Sequence[Field],
        mentioned: frozenset[int] | None,
        participants: Sequence[Participant],
        budget: Budget,
    ) -> None:
        self.sql, self.mentioned = begun.sql, mentioned
        self._merger = begun.merger
        self._budget = budget
        self._fields = fields
        self.agrees: Agrees | None = None  # where their columns are said to be the same in another way
        self._participants = participants
        self._over = [False] * len(participants)
        flushes = len(participants) > 1
        self._frames = asked_of(
            begun.sql, asked.types, asked.formats, asked.values, begun.formats, mentioned, flushes=flushes
        )

    def ask(self) -> None:
        """All shards at once."""
        for one in self._participants:
            one.request(self._frames, REQUESTS)

    def whole(self, parts: Sequence[bytes], tags: Sequence[bytes]) -> tuple[bytes, bytes]:
        """The rows and the tag, from the whole answers of the shards."""
        merger = self._merger
        for stream, rows in enumerate(parts):
            if rows:
                merger.feed(stream, rows)
            merger.end(stream)
        found = []
        try:
            while not merger.done:
                found.append(merger.take())
        finally:
            self._budget.release()
        return b"".join(found), self.tag()

    async def bound(self) -> None:
        """Until each shard has taken its snapshot, or failed before."""
        for one in self._participants:
            await until_bound(one)

    async def rows(self) -> AsyncIterator[bytes]:
        """In order, as far as they are known."""
        try:
            async for rows in self._rows():
                yield rows
        finally:
            self._budget.release()

    async def _rows(self) -> AsyncIterator[bytes]:
        for one in self._participants:
            await to_rows(one, self._fields, bound=True, agrees=self.agrees)
        merger = self._merger
        while not merger.done:
            for stream in range(len(self._participants)):
                await self._fill(stream)
            rows = merger.take()
            if rows:
                yield rows
        for stream, one in enumerate(self._participants):
            while not self._over[stream]:
                await self._feed(stream, await one.run_of_rows(), keep=False)

    async def _fill(self, stream: int) -> None:
        """Feed the merger what is here of a stream, and wait where it lacks more."""
        one, merger = self._participants[stream], self._merger
        while merger.wants(stream):
            run = one.run_here(_ROW)
            if run is None:
                if not merger.lacks(stream):
                    return
                run = await one.run_of_rows()
            await self._feed(stream, run)

    async def _feed(self, stream: int, run: bytes, *, keep: bool = True) -> None:
        if not run:
            self._over[stream] = True
            await to_end(self._participants[stream])
            self._merger.end(stream)
        elif keep:
            self._merger.feed(stream, run)

    def tag(self) -> bytes:
        return b"SELECT %d" % self._merger.rows
