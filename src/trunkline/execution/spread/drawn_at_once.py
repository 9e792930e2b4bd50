"""A statement for which ids are drawn, asked of its one shard at once: with ids that are here, in one round trip.

Theory of operation. Where the text of a call is known but for its literals, and its block has ids left, nothing has to
be waited for but the answer: the ids are written into it, it is judged like any other (by a plan that is known), and
goes to an idle server of its shard as a transaction of its own. In all other cases nothing was asked, the ids are taken
back, and a session of several shards begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.drawn import of_own_text
from trunkline.execution.spread.judging import NOWHERE, Judgement, count, judge_bind
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.routing.planning.ids import READS
from trunkline.routing.session.session_effects import stays
from trunkline.routing.spreading.drawing_slots import Drawing

if TYPE_CHECKING:
    from trunkline.execution.router import Context, Router


@dataclass(frozen=True, slots=True)
class Asker:
    """A client that asks: how its texts are read, and who takes part."""

    router: Router
    context: Context
    hint: object
    participants: Participants


class OneUnderWay:
    """A call that its shard has been asked."""

    __slots__ = ("_drawing", "_one", "_statement", "participants")

    def __init__(self, drawing: Drawing, statement: Statement, one: Participant, participants: Participants) -> None:
        self.participants = participants
        self._drawing = drawing
        self._statement = statement
        self._one = one

    def await_answers(self, on_more: Callable[[], None], on_answer: Callable[[], None]) -> None:
        """Whoever waits for it hears when something has come, and when nothing is owed any more."""
        self._one.tell(on_more, on_answer)

    @property
    def stores_rows(self) -> bool:
        """Whether PostgreSQL runs it to its end before a simple query hears of columns (FillPortalStore)."""
        return self._drawing.inserts

    @property
    def lost(self) -> BaseException | None:
        """Why no more will come; what is here is one call's answer, so it is read however much that is."""
        self._one.read_on()
        return self._one.lost

    def answer(self) -> bytes:
        """All that was said, as whole messages."""
        return self._one.all_here()

    def error(self, body: bytes) -> bytes:
        """The body of an ErrorResponse of that, as it is about the client's own text."""
        return of_own_text(body, self._drawing, self._statement)

    def hand_over(self) -> None:
        """Nobody waits for it any more."""
        self._one.tell(None, None)


def ask(drawing: Drawing, statement: Statement, asker: Asker) -> OneUnderWay | None:
    """Ask the shard now; None: something has to be waited for, or looked at."""
    participants, home = asker.participants, asker.router.home
    if drawing.count or drawing.copied or any(slot.kind in READS for slot in drawing.slots):
        return None
    ids = participants.ids
    ids.blocks.know(asker.router.generation)
    try:
        filled = ids.filled_at_once(drawing, statement, participants.pools, home)
    except TrunklineError:
        return None  # which a session says
    if filled is None:
        return None
    meant, drawn = filled
    one = _placed(meant, asker)
    if one is None:
        ids.take_back(participants.pools, home, drawn)
        return None
    ids.drawing = drawing
    ids.given(drawing.slots, drawn)
    one.request(asked_of(meant.sql, meant.types, meant.formats, meant.values, meant.result_formats), REQUESTS)
    return OneUnderWay(drawing, statement, one, participants)


def _placed(statement: Statement, asker: Asker) -> Participant | None:
    """The server that runs it, by itself and in a transaction of its own; None: that is not how it runs."""
    participants, router = asker.participants, asker.router
    try:
        judgement = judge_bind(router, statement.body, statement.bind, asker.context, asker.hint)
        if not _is_plain(judgement, statement.sql, asker):
            return None
    except TrunklineError:
        return None
    shard = judgement.shard if judgement.shard != NOWHERE else router.home
    one = participants.another(shard)
    if not one.ask_for_server():
        participants.leasing[shard] = one
        return None
    participants.here[shard] = one
    count(router, judgement, shard)
    return one


def _is_plain(judgement: Judgement, sql: bytes, asker: Asker) -> bool:
    """Whether a statement is for one shard, and needs nothing done before or after it."""
    reading = judgement.reading
    if reading is None or judgement.executes or (judgement.shard < 0 and judgement.shard != NOWHERE):
        return False
    plan = reading.plan
    if plan.draws is not None or plan.keeps is not None or plan.ids or plan.configures or reading.two_phases:
        return False
    asker.participants.coordination.placement.must_be_sure(plan)
    pool = asker.participants.pools[asker.router.home]
    return not pool.exact or not stays(pool.sessions.effects.of(sql), sql, asker.context.path)
