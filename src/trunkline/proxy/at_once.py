"""AtOnce: a client whose statement concerns several shards and is asked at once, without a session for it.

Theory of operation. The relay hands its client over as it does to `Several`, with the frames that ask still to be read.
What a client asks in one go (batches.py), and can be asked at once (execution/spread/at_once.py), is sent to the shards
before the relay goes on; its answer is written, and the client relayed again, when the last shard has answered. In all
other cases a session of several shards begins: with what has been asked, if something was, under way.

Rule: nothing of the answers, and of what the client has said, is taken before all of the answers are here and in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.errors import InternalError, ServerLost, TrunklineError, UnknownStatement
from trunkline.execution.spread.at_once import UnderWay, ask, shape_of
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.coordination import Coordination
from trunkline.execution.spread.drawn_at_once import Asker, OneUnderWay
from trunkline.execution.spread.drawn_at_once import ask as ask_one
from trunkline.execution.spread.gate import PATIENCE_S
from trunkline.execution.spread.judging import count_last
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.runs import cut
from trunkline.execution.spread.studies import Studies
from trunkline.net.inbox import Inbox
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, ready_for_query
from trunkline.proxy.batches import Batch, batch_of
from trunkline.proxy.handing import hand_back
from trunkline.proxy.losses import loss
from trunkline.proxy.one_answer import for_client
from trunkline.proxy.portals import SUSPENDED
from trunkline.proxy.several import Several
from trunkline.proxy.statements import body_of
from trunkline.proxy.telling import news, told
from trunkline.proxy.timers import left_of_work
from trunkline.routing.plans.call import Call

if TYPE_CHECKING:
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.routed import Route

log = logging.getLogger("trunkline.proxy")

_READY = ready_for_query(b"I")
_OVER = "its client has what it asked for"


def go_on(
    studies: Studies,
    coordination: Coordination,
    link: ClientLink,
    route: Route,
    beginning: Sequence[bytes],
    unsynced: bool,
    said: bytes,
) -> None:
    """The client's statements concern several shards from now on: `said` is what it says next, as far as it is here."""
    outside, link.before_block = link.before_block or link.params, None
    participants = Participants(route.pools, route.pools[0].pools.engine, outside, coordination, route.ids)
    if link.server is None and not beginning and not route.cursors:
        batch = batch_of(said) if said else None
        if batch is not None and _goes_at_once(studies, link, route, participants, batch):
            return
    Several(studies, participants, link, route, beginning, unsynced)


def _statement_of(batch: Batch, link: ClientLink, route: Route, participants: Participants) -> Statement | None:
    """What the batch asks; None: that is for a session to ask, whatever it is."""
    home, placement = route.pools[0], participants.coordination.placement
    if not placement.is_open:
        return None
    sql, types, bound = batch.sql, batch.types, batch.bound
    if bound is None:
        if home.pools.config.settings.disable_pqexec:
            return None
        assert sql is not None
        return Statement(sql, result_formats=(0,))
    if sql is None:
        try:
            sql, types = body_of(link, batch.name)
        except UnknownStatement:
            return None
    return Statement(sql, types, bound.formats, bound.values, bound.result_formats, bound.rest)


def _goes_at_once(studies: Studies, link: ClientLink, route: Route, participants: Participants, batch: Batch) -> bool:
    """Whether it is asked by now."""
    statement = _statement_of(batch, link, route, participants)
    if statement is None:
        return False
    drawing = studies.drawing_of(statement.sql, route.router, route.context)
    if drawing is not None:
        limits = route.pools[0].settings
        if limits.query_timeout or limits.transaction_timeout or batch.most_rows > 0:
            return False
        one = ask_one(drawing, statement, Asker(route.router, route.context, route.hint, participants))
        if one is not None:
            OneAtOnce(link, batch, one)
        return one is not None
    under_way = _asked(studies, route, participants, statement)
    if under_way is not None:
        AtOnce(studies, link, route, batch, under_way)
    return under_way is not None


def _asked(studies: Studies, route: Route, participants: Participants, statement: Statement) -> UnderWay | None:
    """A read of several shards, asked; None: that is for a session to do."""
    router, context = route.router, route.context
    study = studies.of(statement.sql, router, context)
    shape = shape_of(study, statement.types, statement.result_formats)
    if shape is None or study.leaves_something(route.pools[router.home], context):
        return None
    call = Call(statement.sql, statement.bind or None, statement.types, context.standard)
    under_way = ask(study, shape, statement, call, participants)
    if under_way is not None:
        count_last(router, -1)
    return under_way


class Waiting:
    """A client while its answer is awaited."""

    __slots__ = ("_batch", "_inbox", "_link", "_under_way", "participants")

    def __init__(self, link: ClientLink, batch: Batch, under_way: UnderWay | OneUnderWay) -> None:
        self._link = link
        self._batch = batch
        self._under_way = under_way
        self.participants = under_way.participants
        link.several = self
        link.session.on_cancel = self.participants.stop
        self.participants.coordination.placement.enter_at_once(self.participants)
        self._inbox = Inbox(link)
        self._inbox.on_end = self._on_gone
        under_way.await_answers(self._on_more, self._on_answer)
        self._on_more()  # a server may be lost by now

    def drained(self) -> None:
        """The client has taken all that was sent: nothing waits for that."""

    def _on_gone(self) -> None:
        self._leave("its client has left")

    def _on_more(self) -> None:
        raise NotImplementedError

    def _on_answer(self) -> None:
        raise NotImplementedError

    def _over(self, answer: bytes) -> None:
        """The end of it: what the client asked is answered, and it is relayed again."""
        link = self._link
        link.write(answer)
        if link.opened:
            self._leave(_OVER)
            hand_back(link, (link.take_kept() + self._inbox.rest())[self._batch.size :])

    def _leave(self, reason: str) -> None:
        self._inbox.on_end = self._link.session.on_cancel = self._link.several = None
        self.participants.coordination.placement.leave(self.participants)
        self._under_way.hand_over()
        self.participants.release(reason)


class AtOnce(Waiting):
    """One client's, whose statement several shards have been asked."""

    __slots__ = ("_reading", "_route", "_studies", "_timers")

    def __init__(self, studies: Studies, link: ClientLink, route: Route, batch: Batch, under_way: UnderWay) -> None:
        self._studies = studies
        self._route = route
        self._reading = under_way
        left_s, error = left_of_work(route.pools[0].settings, 0.0)
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(left_s, self._on_late, error)] if left_s is not None else []
        if under_way.turn is not None:
            self._timers.append(loop.call_later(PATIENCE_S, under_way.give_up))
            under_way.turn.add_done_callback(self._on_turn)
        super().__init__(link, batch, under_way)

    def _on_late(self, error: TrunklineError | None) -> None:
        self._leave("its client was closed")
        self._link.end(error)

    def _on_turn(self, turn: asyncio.Future[None]) -> None:
        """Its turn at the gate has come, or will not come; nothing, if that does not concern it any more."""
        error = turn.exception()
        if self._link.several is not self:
            return
        if isinstance(error, TrunklineError):
            self._say(told(error))
            return
        self._reading.ask()
        self._reading.await_answers(self._on_more, self._on_answer)

    def _on_more(self) -> None:
        if self._reading.note_more():
            self._go_over()

    def _on_answer(self) -> None:
        """A server owes nothing any more."""
        if not self._reading.is_answered:
            return
        try:
            answer = self._reading.answer()
        except TrunklineError as error:
            self._say(told(error))
        except Exception:
            log.exception("internal error at %r", self._link)
            self._leave("internal error")
            self._link.end(InternalError.incident())
        else:
            if answer is None:
                self._go_over()
            else:
                self._say(self._given(*answer))

    def _given(self, rows: bytes, tag: bytes) -> bytes:
        """As much of it as the client wants at a time, and that it is over or not."""
        most = self._batch.most_rows
        if most > 0:
            size, count = cut(rows, most)
            if count == most:
                return rows[:size] + SUSPENDED
        return rows + command_complete(tag.decode())

    def _say(self, answer: bytes) -> None:
        link, batch, columns = self._link, self._batch, self._reading.shape.columns
        if batch.bound is None:
            link.unnamed = None  # a simple query ends the unnamed statement
            self._over(b"".join((columns, answer, _READY)))
        else:
            if batch.parse:
                link.unnamed = batch.parse
            parsed = PARSE_COMPLETE if batch.parse else b""
            self._over(b"".join((parsed, BIND_COMPLETE, columns if batch.describes else b"", answer, _READY)))

    def _leave(self, reason: str) -> None:
        self._stop_timers()
        super()._leave(reason)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _go_over(self) -> None:
        """A session looks at what comes, message by message."""
        self._stop_timers()
        under_way: UnderWay | None = self._reading
        self._reading.hand_over()
        if not self._reading.is_asked:
            self.participants.leave_gate()
            under_way = None
        Several(self._studies, self.participants, self._link, self._route, (), False, under_way, self._inbox)


class OneAtOnce(Waiting):
    """One client's, whose statement one shard has been asked with its ids: what that says is what the client hears."""

    __slots__ = ("_asked",)

    def __init__(self, link: ClientLink, batch: Batch, under_way: OneUnderWay) -> None:
        self._asked = under_way
        super().__init__(link, batch, under_way)

    def _on_more(self) -> None:
        lost = self._asked.lost
        if isinstance(lost, TrunklineError):
            self.participants.ids.doubt()
            words = {"C": lost.sqlstate, "M": lost.message} if not isinstance(lost, ServerLost) else None
            self._over(told(loss(words, unknown=self._asked.stores_rows)) + _READY)

    def _on_answer(self) -> None:
        """The server owes nothing any more."""
        answer = self._asked.answer()
        link, batch = self._link, self._batch
        parsed, said, failed = for_client(answer, batch, self._asked)
        if failed:
            self.participants.ids.doubt()
        if batch.bound is None:
            link.unnamed = None  # a simple query ends the unnamed statement
        elif batch.parse and parsed:
            link.unnamed = batch.parse
        self._over(said + news(self.participants, link) + _READY)
