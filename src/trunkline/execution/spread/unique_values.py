"""Values of global unique indexes: what a statement has changed at its shards is applied at home before it is answered.

Theory of operation. Triggers at the shards have noted what came and went (routing/spreading/unique_index.py). The notes
of all shards are taken when the statement is over, and summed at home, where a primary key keeps the values: PostgreSQL
itself waits there for who writes an equal one, and finds the duplicate. Its error is then that of the statement. So the
check is that of a constraint which is DEFERRABLE INITIALLY IMMEDIATE: at the end of each statement, for all its rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import CopyIn
from trunkline.execution.spread.calls import Begun
from trunkline.execution.spread.modes import TransactionMode
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.write import whole
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.spreading.unique_index import TAKE, TRUNCATED, applied
from trunkline.shard_errors import StatementFailed

DUPLICATE = "23505"
_OURS = frozenset("WstpqP")  # fields of an error that speak of the table of values, and of what asked there


async def kept(begun: Begun, plan: RoutePlan, participants: Participants, home: int) -> Begun:
    """A statement that has begun, with what it means for global unique indexes."""
    if plan.keeps is None or plan.draws is not None:
        return begun
    answer = begun.answer
    if isinstance(answer, CopyIn):
        return Begun(begun.described, KeptCopy(answer, participants, home))
    answer = await whole(answer)
    await keep(participants, home)
    return Begun(begun.described, answer)


class KeptCopy(CopyIn):
    """A COPY whose rows are kept unique when they are all there."""

    def __init__(self, copy: CopyIn, participants: Participants, home: int) -> None:
        self._copy = copy
        self._participants = participants
        self._home = home

    async def response(self) -> bytes:
        return await self._copy.response()

    async def feed(self, messages: bytes) -> None:
        await self._copy.feed(messages)

    async def finish(self) -> bytes:
        tag = await self._copy.finish()
        await keep(self._participants, self._home)
        return tag

    async def give_up(self, reason: bytes) -> None:
        await self._copy.give_up(reason)


async def keep(participants: Participants, home: int) -> None:
    """Apply at home what the shards have noted; StatementFailed for a value that is there already."""
    found = await asyncio.gather(*[one.ask(TAKE.encode()) for one in participants], return_exceptions=True)
    notes: list[tuple[str, ...]] = []
    for rows in found:
        if isinstance(rows, BaseException):
            raise rows
        notes += [tuple((value or b"").decode() for value in row) for row in rows]
    if not notes:
        return
    if participants.modes.transaction is TransactionMode.BEST_EFFORT:
        hint = "Use transaction_mode two_phase."
        raise StatementRefused("values of a global unique index change at all shards or at none", hint=hint)
    await participants.will_write(1 << home)
    keeper = await participants.at(home)
    for index in sorted({name for name, *_ in notes}):
        _, schema, table, _ = next(note for note in notes if note[0] == index)
        changes = [note[3] for note in notes if note[0] == index]
        try:
            await _apply(keeper, index, changes, len(participants.pools))
        except StatementFailed as error:
            raise _of_table(error, schema, table) from None


async def _apply(keeper: Participant, index: str, changes: Sequence[str], shards: int) -> None:
    truncated = changes.count(TRUNCATED)
    if truncated and truncated % shards:
        hint = "TRUNCATE it on all shards, or DELETE the rows of one."
        raise StatementRefused(f"a table with the global unique index {index} is truncated as a whole", hint=hint)
    if truncated:
        await keeper.ask(applied(index, None).encode())
    rest = [change for change in changes if change != TRUNCATED]
    if rest:
        await keeper.ask(applied(index, rest).encode())


def _of_table(error: StatementFailed, schema: str, table: str) -> StatementFailed:
    """As the table itself would say it."""
    said = [part for part in error.said.split(b"\0") if part]
    fields = [part for part in said if chr(part[0]) not in _OURS]
    place = next((at for at, part in enumerate(fields) if part[:1] in b"cdnFLR"), len(fields))
    names = [b"s" + schema.encode(), b"t" + table.encode()] if any(part[:1] == b"s" for part in said) else []
    error.said = b"\0".join([*fields[:place], *names, *fields[place:], b"", b""])
    return error
