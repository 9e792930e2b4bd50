"""Reads over several shards that are asked at once, and answered when the last shard has answered.

Theory of operation. A read whose text has run before waits for nothing but its answers, where each shard has an idle
server; and for its turn at the gate, where a commit is in the way of its snapshots or another process keeps the gate.
Such a call is asked while it is being judged (`ask`), with what is the same in each call of its text kept ready
(`Shape`); the answers are put together when all of them are here whole (`UnderWay.answer`). Wherever that is not so,
`begun` gives what `running.run` would have given, and a session goes on from there: nothing of the answers has been
taken by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from trunkline.errors import TrunklineError
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.calls import Begun, Statement
from trunkline.execution.spread.description import Description, Field, fields_of
from trunkline.execution.spread.doing import Doing
from trunkline.execution.spread.found_rows import question_of
from trunkline.execution.spread.gate import has_waited
from trunkline.execution.spread.merged import Merged, merged_as_known
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.running import STATES, locks
from trunkline.execution.spread.scatter import Scatter, agree
from trunkline.execution.spread.studies import Study
from trunkline.routing.keys.sharding import KeyMissing
from trunkline.routing.plans.call import Call
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.request import Concatenation

Begin = Callable[[], Merged | Scatter]
_SHAPES = 8  # of one text
FINISHED_BYTES = 32768  # of groups on which HAVING and their order are decided without a pause for others


@dataclass(eq=False, slots=True)
class Shape:
    """What is the same in each call of a text with these types and result formats."""

    program: Concatenation | Merging
    described: Description
    columns: bytes  # its RowDescription
    fields: Sequence[Field]  # of the shards' answers
    finishes: bool = False  # groups are looked at one by one when they are put together
    agreed: set[bytes] = field(default_factory=set)  # bodies of RowDescriptions that are of these fields

    def agrees(self, columns: bytes | None) -> bool:
        """Whether a shard's columns are those that are meant."""
        if columns in self.agreed:
            return True
        if columns is None or not agree(fields_of(columns), self.fields):
            return False
        self.agreed.add(columns)
        return True


class UnderWay:
    """A call that has been asked, or is asked by `ask` when its turn at the gate has come."""

    __slots__ = ("_answer", "_begin", "_bound", "_everyone", "participants", "shape", "turn")

    def __init__(self, shape: Shape, participants: Participants, everyone: Sequence[Participant], begin: Begin) -> None:
        self.shape = shape
        self.participants = participants
        self.turn: asyncio.Future[None] | None = None  # is done when that has come, or will not come
        self._everyone = everyone
        self._begin = begin
        self._answer: Merged | Scatter | None = None
        self._bound = False

    def enter(self, mask: int) -> None:
        """Go to the gate of these shards' snapshots, and ask if nobody is in the way; TrunklineError if it is lost."""
        ticket = self.participants.reader(mask)
        if ticket is not None:
            self.turn = self.participants.coordination.gate.line_up(ticket)
            self.participants.inside = ticket
        if self.turn is None:
            self.ask()

    def give_up(self) -> None:
        """It has been in line for as long as anybody is."""
        if self.turn is not None and not self.turn.done():
            self.turn.set_exception(has_waited())

    def ask(self) -> None:
        self._answer = self._begin()

    @property
    def is_asked(self) -> bool:
        return self._answer is not None

    def await_answers(self, on_more: Callable[[], None], on_answer: Callable[[], None]) -> None:
        """Whoever waits for it hears when something has come and, of what is asked, when a shard owes nothing more."""
        for one in self._everyone:
            one.tell(on_more, on_answer if self.is_asked else None)

    @property
    def is_answered(self) -> bool:
        """Nothing is owed any more."""
        return not any(one.awaits for one in self._everyone)

    def note_more(self) -> bool:
        """Something has come; True if it cannot be answered at once any more."""
        if not self._bound and all(one.bound for one in self._everyone):
            self._bound = True
            self.participants.leave_gate()
        return any(one.lost is not None or one.full for one in self._everyone)

    def answer(self) -> tuple[bytes, bytes] | None:
        """Its rows and its tag; None: somebody has to look at what the shards say."""
        assert self._answer is not None
        rows: list[bytes] = []
        tags = []
        for one in self._everyone:
            found = one.whole_answer()
            if found is None or not self.shape.agrees(found[0]):
                return None
            rows.append(found[1])
            tags.append(found[2])
        if self.shape.finishes and sum(map(len, rows)) > FINISHED_BYTES:
            return None
        return self._answer.whole(rows, tags)

    def hand_over(self) -> None:
        """Whoever goes on with it waits for what comes by himself."""
        for one in self._everyone:
            one.tell(None, None)

    async def begun(self) -> Begun:
        """For who goes on with what is asked, message by message."""
        assert self._answer is not None
        try:
            await self._answer.bound()
        finally:
            self.participants.leave_gate()
        return Begun(self.shape.described, self._answer)


def shape_of(study: Study, types: tuple[int, ...], formats: tuple[int, ...]) -> Shape | None:
    """What is known of such calls; None: they are not asked at once, or not before one has run."""
    key = (types, formats)
    found = study.shapes.get(key)
    if found is None:
        found = _shape(study, types, formats)
        if found is not None:
            if len(study.shapes) >= _SHAPES:
                study.shapes.clear()
            study.shapes[key] = found
    return found


def _shape(study: Study, types: tuple[int, ...], formats: tuple[int, ...]) -> Shape | None:
    plan, described = study.ready.plan, study.descriptions.get(types)
    if study.request is None or described is None or described.fields is None:
        return None
    if plan.writes or plan.configures or plan.ids or plan.draws is not None:
        return None
    program = study.program
    if not isinstance(program, Concatenation | Merging) or locks(program):
        return None
    if described.has_own_types:
        return None
    fields: Sequence[Field] | None = described.fields
    finishes = False
    if isinstance(program, Merging):
        fields = program.known.get(types)
        finishes = bool(program.merge.final_order or program.merge.having)
    if fields is None:
        return None
    return Shape(program, described, described.row_description(formats), fields, finishes)


def ask(study: Study, shape: Shape, statement: Statement, call: Call, participants: Participants) -> UnderWay | None:
    """Ask the shards now; None: something has to be waited for, or looked at. What was leased by then stays leased."""
    try:
        mask = study.mask(call)
    except (KeyMissing, TrunklineError):
        return None
    described, program = shape.described, shape.program
    if not mask & (mask - 1) or len(statement.values) != len(described.parameters):
        return None
    if study.lookup is not None and question_of(study.lookup, call, mask, participants) is not None:
        return None
    asked = Asked(
        study.request, described, statement.types, statement.formats, statement.values, statement.result_formats, mask
    )  # fmt: skip
    if statement.values and asked.says_now:
        return None
    participants.ids.drawing = None
    everyone = servers_of(participants, mask)
    begin = _beginning(program, asked, everyone) if everyone is not None else None
    if everyone is None or begin is None:
        return None
    under_way = UnderWay(shape, participants, everyone, begin)
    try:
        under_way.enter(mask)
    except TrunklineError:
        return None
    participants.doing = Doing(statement.sql, participants.now, mask, STATES[type(program)])
    return under_way


def servers_of(participants: Participants, mask: int) -> list[Participant] | None:
    """Of these shards, if each has an idle one; else what is in line for one is who `Participants.at` goes on with."""
    found = []
    for shard in range(len(participants.pools)):
        if mask >> shard & 1:
            one = participants.another(shard)
            if not one.ask_for_server():
                participants.leasing[shard] = one
                return None
            participants.here[shard] = one
            found.append(one)
    return found


def _beginning(program: Concatenation | Merging, asked: Asked, everyone: Sequence[Participant]) -> Begin | None:
    """What asks all of them, and gives the answer; None: that is not how it is answered."""
    if not isinstance(program, Merging):
        return partial(Scatter, asked, program.sql, everyone)
    answer = merged_as_known(program, asked, everyone)
    return partial(_asked_all, answer) if answer is not None else None


def _asked_all(answer: Merged) -> Merged:
    answer.ask()
    return answer
