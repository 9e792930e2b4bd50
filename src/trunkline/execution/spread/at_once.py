"""Reads over several shards that are asked at once, and answered when the last shard has answered.

Theory of operation. A read whose text has run before waits for nothing but its answers, where each shard has an idle
server and no commit is in the way of its snapshots. Such a call is asked while it is being judged (`ask`), with what is
the same in each call of its text kept ready (`Shape`); the answers are put together when all of them are here whole
(`UnderWay.answer`). Wherever that is not so, `begun` gives what `running.run` would have given, and a session goes on
from there: nothing of the answers has been taken by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trunkline.errors import TrunklineError
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.calls import Begun, Statement
from trunkline.execution.spread.description import Description, Field, fields_of
from trunkline.execution.spread.doing import Doing
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
    """A call that has been asked."""

    __slots__ = ("_answer", "_bound", "_everyone", "participants", "shape")

    def __init__(
        self, shape: Shape, participants: Participants, everyone: Sequence[Participant], answer: Merged | Scatter
    ) -> None:
        self.shape = shape
        self.participants = participants
        self._everyone = everyone
        self._answer = answer
        self._bound = False

    def await_answers(self, on_more: Callable[[], None], on_answer: Callable[[], None]) -> None:
        """Whoever waits for it hears when something has come, and when a shard owes nothing any more."""
        for one in self._everyone:
            one.tell(on_more, on_answer)

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
        """For who goes on with it, message by message."""
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
    asked = Asked(
        study.request, described, statement.types, statement.formats, statement.values, statement.result_formats, mask
    )  # fmt: skip
    if statement.values and asked.says_now:
        return None
    participants.ids.drawing = None
    everyone = servers_of(participants, mask)
    answer = _answer(program, asked, everyone) if everyone is not None else None
    if everyone is None or answer is None:
        participants.leave_gate()
        return None
    participants.doing = Doing(statement.sql, participants.now, mask, STATES[type(program)])
    return UnderWay(shape, participants, everyone, answer)


def servers_of(participants: Participants, mask: int) -> list[Participant] | None:
    """Of these shards, about to take their snapshots, if nobody is in the way; `leave_gate` when they have.

    None: there is. What is in line for a server by then is who `Participants.at` goes on with.
    """
    found = []
    for shard in range(len(participants.pools)):
        if mask >> shard & 1:
            one = participants.another(shard)
            if not one.ask_for_server():
                participants.leasing[shard] = one
                return None
            participants.here[shard] = one
            found.append(one)
    ticket = participants.reader(mask)
    if ticket is not None and not participants.coordination.gate.enter_at_once(ticket):
        return None
    participants.inside = ticket
    return found


def _answer(program: Concatenation | Merging, asked: Asked, everyone: Sequence[Participant]) -> Merged | Scatter | None:
    """The answer, which all have been asked for; None: that is not how it is answered, and nobody has been."""
    if not isinstance(program, Merging):
        return Scatter(asked, program.sql, everyone)
    answer = merged_as_known(program, asked, everyone)
    if answer is not None:
        answer.ask()
    return answer
