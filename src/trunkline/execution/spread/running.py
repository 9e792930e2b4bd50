"""From a program to its run: one entry for each kind of program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from trunkline.errors import StatementRefused
from trunkline.execution.refusals import refused
from trunkline.execution.spread import write
from trunkline.execution.spread.asked import Answer, Asked, CopyIn
from trunkline.execution.spread.carried import carried
from trunkline.execution.spread.claim import claim, claimed_write
from trunkline.execution.spread.copy_in import copy_in
from trunkline.execution.spread.copy_out import copy_out
from trunkline.execution.spread.copy_query import copy_query
from trunkline.execution.spread.copy_to_all import copy_to_all
from trunkline.execution.spread.create_as import create_as
from trunkline.execution.spread.cursors import declare
from trunkline.execution.spread.declare import place
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.explain import explain
from trunkline.execution.spread.gather import gather
from trunkline.execution.spread.indexing import index
from trunkline.execution.spread.merged import merged
from trunkline.execution.spread.moved import moved
from trunkline.execution.spread.own_types import agree_by_name, anywhere, may_agree
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import Scatter, agree
from trunkline.execution.spread.selected import selected
from trunkline.execution.spread.shard_jobs import shard_jobs
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.claiming import Claim
from trunkline.routing.spreading.copied import CopyQuery
from trunkline.routing.spreading.creating import CreateAs
from trunkline.routing.spreading.cursors import Declared
from trunkline.routing.spreading.declaring import Placing
from trunkline.routing.spreading.explained import Explained
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.indexing import Indexing
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.planner import Program
from trunkline.routing.spreading.request import Concatenation
from trunkline.routing.spreading.shard_jobs import ShardJobs
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_carried import Carried
from trunkline.routing.spreading.writing_claimed import ClaimedWrite
from trunkline.routing.spreading.writing_copies import CopyToAll
from trunkline.routing.spreading.writing_copy import CopyAll, CopyRows
from trunkline.routing.spreading.writing_everywhere import Everywhere
from trunkline.routing.spreading.writing_insert import Rows
from trunkline.routing.spreading.writing_moved import Moved
from trunkline.routing.spreading.writing_selected import Selected

Runner = Callable[[Any, Asked, Participants], Awaitable[Answer | CopyIn]]


async def _concatenate(program: Concatenation, asked: Asked, participants: Participants) -> Answer | CopyIn:
    everyone = await participants.at_all(asked.mask or 1 << asked.home)
    others = await _of_other_types(asked, everyone)
    if others and program.otherwise is not None:
        return await run(program.otherwise, asked, participants)
    await agree_by_name(others, asked)
    async with participants.one_snapshot(asked.mask):
        if others:
            answer = Scatter(replace(asked, types=anywhere(asked.types)), program.sql, everyone, may_agree)
        else:
            answer = Scatter(asked, program.sql, everyone)
        await answer.bound()
    return answer


async def _of_other_types(asked: Asked, everyone: Sequence[Participant]) -> list[tuple[Participant, Sequence[Field]]]:
    """Those of these shards where types of users, in the answer, have other numbers; and the columns there."""
    fields = asked.described.fields or ()
    if asked.request is None or not asked.described.has_own_types:
        return []
    types = anywhere(asked.types)
    here = [(one, (await described(one, asked.request.sql, types)).fields or ()) for one in everyone]
    return [(one, found) for one, found in here if not agree(found, fields)]


async def _merge(program: Merging, asked: Asked, participants: Participants) -> Answer | CopyIn:
    everyone = await participants.at_all(asked.mask or 1 << asked.home)
    others = await _of_other_types(asked, everyone)
    if others and program.merge.locks:  # nobody else could do that
        await agree_by_name(others, asked)
        asked = replace(asked, types=anywhere(asked.types))
    answer = await merged(program, asked, everyone) if not others or program.merge.locks else None
    if answer is None:
        if isinstance(program.otherwise, Refusal):
            raise refused(program.otherwise)
        return await run(program.otherwise, asked, participants)
    answer.agrees = may_agree if others else None
    async with participants.one_snapshot(asked.mask):
        answer.ask()
        await answer.bound()
    return answer


async def _copy_query(program: CopyQuery, asked: Asked, participants: Participants) -> Answer | CopyIn:
    return await copy_query(run, program, asked, participants)


async def _create_as(program: CreateAs, asked: Asked, participants: Participants) -> Answer | CopyIn:
    return await create_as(run, program, asked, participants)


async def _declare(program: Declared, asked: Asked, participants: Participants) -> Answer | CopyIn:
    return await declare(run, program, asked, participants)


def _of_one_clock(program: Program) -> Gather:
    """Where one server reads the parameters; StatementRefused if each shard would."""
    otherwise = program.otherwise if isinstance(program, Concatenation | Merging) else None
    if isinstance(otherwise, Gather):
        return otherwise
    hint = "Give the time itself."
    raise StatementRefused("a parameter says 'now', which each of several shards would read for itself", hint=hint)


async def _select(program: Selected, asked: Asked, participants: Participants) -> Answer | CopyIn:
    return await selected(run, program, asked, participants)


RUNNERS: dict[type, Runner] = {
    Alone: write.alone,
    Carried: carried,
    Claim: claim,
    ClaimedWrite: claimed_write,
    Concatenation: _concatenate,
    CopyAll: copy_out,
    CopyQuery: _copy_query,
    CreateAs: _create_as,
    CopyRows: copy_in,
    CopyToAll: copy_to_all,
    Declared: _declare,
    Explained: explain,
    Placing: place,
    Everywhere: write.everywhere,
    Gather: gather,
    Indexing: index,
    Merging: _merge,
    Moved: moved,
    Rows: write.insert,
    Selected: _select,
    ShardJobs: shard_jobs,
}


STATES: dict[type, str] = {
    Claim: "lock",
    Concatenation: "scatter",
    CopyAll: "copy",
    CopyQuery: "copy",
    CopyRows: "copy",
    CopyToAll: "copy",
    Declared: "declare",
    Explained: "explain",
    Gather: "gather",
    Merging: "merge",
    ShardJobs: "jobs",
}
"""What SHOW QUERIES calls it."""


def locks(program: Program) -> bool:
    """Whether it locks rows for the rest of its transaction."""
    if isinstance(program, Merging):
        return program.merge.locks
    return isinstance(program, Claim) or (isinstance(program, Concatenation) and program.locks)


async def run(program: Program, asked: Asked, participants: Participants) -> Answer | CopyIn:
    """Begin to run it."""
    if asked.values and asked.says_now and not isinstance(program, Gather):
        program = _of_one_clock(program)
    if participants.doing is not None:
        participants.doing.state = STATES.get(type(program), "write")
    answer = await RUNNERS[type(program)](program, asked, participants)
    if isinstance(answer, write.Done) and answer.others:
        await agree_by_name(answer.others, asked)
    return answer
