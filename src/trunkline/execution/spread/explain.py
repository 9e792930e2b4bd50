"""EXPLAIN over several shards: what each shard explains, under the name of the shard.

Each shard is asked to explain just what the statement's program would ask it, so ANALYZE runs every part of it once.
Gathered rows are gathered for it, and the one shard that has them explains the statement over them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.execution.merge.merger import cells_of_row, rows_of
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.explain_forms import FORMS
from trunkline.execution.spread.gather import gather
from trunkline.execution.spread.merged import merged
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end, to_rows
from trunkline.execution.spread.write import parameters_in, time_of
from trunkline.protocol.messages import data_row
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.explained import Explained
from trunkline.routing.spreading.explaining import words_of
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.request import Concatenation
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_everywhere import Everywhere


class Plans:
    """The answer: rows that are known."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = rows

    async def rows(self) -> AsyncIterator[bytes]:
        """All of them."""
        yield b"".join([data_row([row]) for row in self._rows])

    def tag(self) -> bytes:
        return b"EXPLAIN"


@dataclass(frozen=True, slots=True)
class Work:
    """One call of it; `program` is what is explained, which may be what a merge is done by instead."""

    explained: Explained
    program: Any
    asked: Asked  # of the statement that is explained, but for its columns, which are EXPLAIN's
    types: tuple[int, ...]
    participants: Participants

    async def everyone(self) -> list[Participant]:
        return await self.participants.at_all(self.asked.mask or 1 << self.asked.home)


async def explain(program: Explained, asked: Asked, participants: Participants) -> Plans:
    """All of it."""
    assert asked.inner is not None
    inner = replace(asked.inner, described=asked.described, result_formats=())
    return await _explain(Work(program, program.program, inner, asked.inner.types, participants), asked.inner)


async def _explain(work: Work, inner: Asked) -> Plans:
    program = work.program
    if isinstance(program, Merging):
        answer = await merged(program, inner, await work.everyone())
        if answer is not None:
            return await _at_each(work, answer.sql, answer.mentioned)
        if isinstance(program.otherwise, Refusal):
            raise refused(program.otherwise)
        return await _explain(replace(work, program=program.otherwise), inner)
    if isinstance(program, Gather):
        gathering = await gather(program, work.asked, work.participants, work.explained.head)
        place = gathering.place
        runs = []
        async for run in gathering.rows():
            runs.append(run)
        return _said(work, {place: _texts(b"".join(runs))})
    if work.explained.runs and isinstance(program, Alone):
        await work.participants.begin()
    return await _at_each(work, await _text_of(program, work.participants), None)


async def _text_of(program: Concatenation | Alone | Everywhere, participants: Participants) -> bytes:
    if isinstance(program, Concatenation):
        return program.sql
    return filled(program.text, await time_of(participants) if program.asks_time else b"")


async def _at_each(work: Work, sql: bytes, mentioned: Collection[int] | None) -> Plans:
    asked, people = work.asked, await work.everyone()
    if asked.values and mentioned is None:
        mentioned = parameters_in(sql)
    types = asked.described.parameters or asked.types
    frames = asked_of(work.explained.head + sql, types, asked.formats, asked.values, (), mentioned)
    for one in people:
        one.request(frames, REQUESTS)
    found: dict[str, list[bytes]] = {}
    errors: list[TrunklineError] = []
    for one in people:
        try:
            await to_rows(one, asked.described.fields)
            runs = []
            while run := await one.run_of_rows():
                runs.append(run)
            await to_end(one)
            found[one.pool.database.rpartition("/")[2]] = _texts(b"".join(runs))
        except TrunklineError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return _said(work, found)


def _texts(rows: bytes) -> list[bytes]:
    """The one column of these DataRow messages."""
    return [cells_of_row(row)[0] or b"" for row in rows_of(rows)]


def _said(work: Work, found: dict[str, list[bytes]]) -> Plans:
    form: Callable[[str, dict[str, list[bytes]]], list[bytes]] = FORMS[work.explained.form]
    return Plans(form(words_of(work.program), found))
