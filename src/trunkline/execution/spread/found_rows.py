"""Rows that are found by a global unique index: home is asked which shard can have them, and then that shard alone.

Theory of operation. The table of values at home is changed in the transaction of the rows, so within one view of both
shards it says of each row where it is. A read has such a view while it is in the commit gate: nobody who changes values
at home and rows elsewhere commits between its question at home and its snapshot at the other shard. So the answer is
exact, and that no value is there is as good an answer. Where a transaction keeps its snapshots all shards are asked.

What writes or locks rows waits for others within the shard, and by then a row may have moved. It takes what home says
for a guess: a row that it has found is the one that there can be, and where it finds none all shards are asked.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.execution.spread.asked import Answer, Asked, CopyIn
from trunkline.execution.spread.modes import CrossShardSnapshot
from trunkline.execution.spread.own_types import meant_at
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.running import locks, run
from trunkline.execution.spread.scatter import Scatter
from trunkline.execution.spread.write import whole
from trunkline.routing.plans.call import Call
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.planner import Program
from trunkline.routing.spreading.request import Concatenation
from trunkline.routing.spreading.unique_lookup import MIN_SHARDS, UniqueLookup
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.shard_errors import StatementFailed

_GONE = ("42883", "42P01", "3F000")  # the index has been dropped, which this process has not read yet
_OVER = "other shards are asked first"


async def run_where_found(
    lookup: UniqueLookup | None, program: Program, asked: Asked, participants: Participants
) -> Answer | CopyIn:
    """As `run` does it, at fewer shards where an index says so."""
    if lookup is None or asked.call is None or (asked.values and asked.says_now):
        return await run(program, asked, participants)
    question = question_of(lookup, asked.call, asked.mask, participants)
    if question is None or asked.described.has_own_types:
        return await run(program, asked, participants)
    search = _Search(lookup, question, program, asked, participants)
    if isinstance(program, Concatenation | Merging | Gather) and not locks(program):
        return await search.read()
    if lookup.alone and isinstance(program, Concatenation | Merging | Alone):
        return await search.write()
    return await run(program, asked, participants)


def question_of(lookup: UniqueLookup, call: Call, mask: int, participants: Participants) -> str | None:
    """What home is asked; None: all shards are. Without consistent snapshots a row that moves would be missed."""
    if mask.bit_count() < MIN_SHARDS or participants.modes.snapshot is not CrossShardSnapshot.CONSISTENT:
        return None
    return lookup.question(call)


class _Search:
    """One statement's."""

    def __init__(
        self, lookup: UniqueLookup, question: str, program: Program, asked: Asked, participants: Participants
    ) -> None:
        self._lookup = lookup
        self._question = question
        self._program = program
        self._asked = asked
        self._participants = participants
        self._alone = not any(participants) and not participants.in_transaction

    async def read(self) -> Answer | CopyIn:
        """Twice if a server had to be waited for: nobody who is in the gate waits for one."""
        participants, asked = self._participants, self._asked
        home = 1 << asked.home
        await participants.at(asked.home)
        for _ in range(2 if not participants.in_transaction or not participants.keeps_snapshot else 0):
            async with participants.one_snapshot(asked.mask | home):
                mask = await self._mask()
                if mask is None:
                    break
                if self._has_server((mask or home).bit_length() - 1):
                    return await self._at(mask or home)
            self._let_go()
            await participants.at_all(mask | home)
        return await run(self._program, asked, participants)

    async def write(self) -> Answer | CopyIn:
        """At the shard that home names, and if there is nothing, at all."""
        participants, asked = self._participants, self._asked
        await participants.at(asked.home)
        mask = await self._mask()
        self._let_go()
        if mask:
            found = await whole(await self._at(mask))
            if not found.tag().endswith(b" 0"):
                return found
            if self._alone:
                await participants.rollback()
                await participants.will_write(asked.mask)
        return await run(self._program, asked, participants)

    async def _mask(self) -> int | None:
        """The shard that home names, 0 if it has no such value; None: it does not say."""
        if not self._question:
            return 0
        keeper = await self._participants.at(self._asked.home)
        if keeper.translates:
            return None  # keys are not read in the encoding of a client
        try:
            found = self._lookup.mask_of(await keeper.ask(self._question.encode()))
        except StatementFailed as error:
            if error.sqlstate not in _GONE or self._participants.in_transaction:
                raise
            return None
        return found if found is None else found & self._asked.mask

    async def _at(self, mask: int) -> Answer | CopyIn:
        """At one shard: a read in the client's own words, for this shard has all that matters."""
        participants, asked = self._participants, self._asked
        narrow = replace(asked, mask=mask)
        if isinstance(self._program, Alone) or asked.request is None:
            return await run(self._program, narrow, participants)
        one = await participants.at(mask.bit_length() - 1)
        sql = asked.request.sql
        answer = Scatter(await meant_at(one, sql, narrow), sql, [one])
        await answer.bound()
        return answer

    def _has_server(self, shard: int) -> bool:
        """Whether this shard has one for it at once."""
        participants = self._participants
        if shard in participants.here:
            return True
        if shard in participants.leasing:
            return False
        one = participants.leasing[shard] = participants.another(shard)
        return one.ask_for_server()

    def _let_go(self) -> None:
        """Nobody waits for a server of one shard with that of another, unless in the order of shards, or in a block."""
        if not self._alone:
            return
        for place in (self._participants.here, self._participants.leasing):
            found = list(place.values())
            place.clear()
            for one in found:
                one.release(_OVER)
