"""Conductor: a client's statements while they concern several shards, one after the other, and its transaction.

Theory of operation. Each statement is judged by the router like any other. One for a single shard goes to that shard's
participant as it is; one for several is run by its program (routing/spreading); what is about the transaction itself is
said to all. Outside a block, what may write runs in a transaction of ours, which `end_unit` commits.

Rules:
1. One participant whose transaction has failed fails the block: nothing but its end, or that of a savepoint, is heard.
2. What would leave something in the session of one server, and not in the others, is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.errors import StatementRefused, TransactionAborted, UnknownPortal
from trunkline.execution.missing_keys import AskedKey
from trunkline.execution.reading import chains, ends_block, may_end_a_failed_block, rolls_back_to
from trunkline.execution.refusals import refused
from trunkline.execution.router import Router
from trunkline.execution.spread.agreeing import set_at_all
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.at_once import UnderWay
from trunkline.execution.spread.binding import bind, parse
from trunkline.execution.spread.calls import Begun, Statement, said
from trunkline.execution.spread.cursors import Cursors
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import Description
from trunkline.execution.spread.doing import Doing
from trunkline.execution.spread.drawn import described_before, with_ids
from trunkline.execution.spread.found_rows import run_where_found
from trunkline.execution.spread.judged import judged, wait_for
from trunkline.execution.spread.judging import ANSWERED, DENIED, NOWHERE, OF_SESSION, Judgement, count
from trunkline.execution.spread.one_copy import begin_copy
from trunkline.execution.spread.own_types import meant_at, with_names
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import BEGIN, Participants
from trunkline.execution.spread.running import locks
from trunkline.execution.spread.scatter import Scatter, to_end
from trunkline.execution.spread.studies import Studies, Study
from trunkline.execution.spread.unique_values import kept
from trunkline.protocol.messages import SYNC
from trunkline.routing.keys.sharding import KeyMissing
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.cursors import Fetch, current_of
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.spreading.quoting import identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.shard_jobs import ShardJobs
from trunkline.routing.spreading.wrapped import Wrapped

if TYPE_CHECKING:
    from trunkline.execution.router import Context

_ABORTED = "current transaction is aborted, commands ignored until end of transaction block"
_COMMIT = "COMMIT makes it one at all shards, or at none."
_DECLARE = "DeclareCursorStmt"
_OF_CURSORS = frozenset(("ClosePortalStmt", "FetchStmt"))
_LEAVES = "it would leave something in its session, while its transaction concerns several shards"


class Conductor:
    """One client's, from its first statement over several shards to the end of what that is part of."""

    def __init__(
        self, router: Router, studies: Studies, participants: Participants, context: Context, hint: object,
        cursors: Cursors,
    ) -> None:  # fmt: skip
        self.participants = participants
        participants.cursors = cursors
        self.failed = False  # the client's block
        self._router = router
        self._studies = studies
        self._context = context
        self._hint = hint
        self.under_way: UnderWay | None = None  # what its first statement has been asked already
        self.before_asking: Callable[[], Awaitable[None]] = _nothing  # whoever takes rows of theirs has to be over

    @property
    def status(self) -> str:
        """As ReadyForQuery has it."""
        if not self.participants.in_block:
            return "I"
        return "E" if self.failed else "T"

    @property
    def generation(self) -> int:
        """Counts the catalogs."""
        return self._router.generation

    # --- descriptions ---------------------------------------------------------------------------------------------

    async def describe(self, sql: bytes, types: tuple[int, ...]) -> Description:
        """What a shard says of a text; StatementFailed, in its words, if that cannot be prepared."""
        self.must_listen(sql)
        if self.failed:
            return Description((), None)
        study = self._studies.of(sql, self._router, self._context)
        if study.request is not None and study.request.kind == "FetchStmt":
            return await self._of_fetch(sql, Fetch.of(study.request.node))
        known = study.description_of(types)
        if known is None:
            await self.before_asking()
            alone = not any(self.participants) and not self.participants.in_transaction
            one = await self._anyone()
            known = study.descriptions[types] = await with_names(one, await described_before(one, study, types))
            if alone:  # what it needs now is leased in the order of the shards
                self.participants.release()
        return known

    async def _of_fetch(self, sql: bytes, fetch: Fetch) -> Description:
        """Its columns are those of a cursor that bears the name now."""
        cursor = self.participants.cursors.find(fetch.name)
        if cursor is None:
            return await described(await self._holder(fetch.name), sql, ())
        return Description((), None if fetch.moves else tuple(cursor.fields))

    async def describe_cursor(self, name: bytes) -> Description:
        """What is said of a portal that is an SQL cursor; UnknownPortal if it is none."""
        text = name.decode(errors="replace")
        cursor = self.participants.cursors.find(text)
        if cursor is not None:
            return Description((), tuple(cursor.fields))
        if self.participants.in_transaction and not self.failed:
            sql = f"FETCH 0 FROM {identifier(text)}".encode()
            found = await described(await self._holder(text), sql, ())
            if found.fields is not None:
                return found
        raise UnknownPortal(f'portal "{text}" does not exist')

    async def _holder(self, cursor: str) -> Participant:
        """The one whose cursor this is, or may be."""
        await self.before_asking()
        shard = self.participants.cursors.elsewhere.get(cursor)
        return await self._anyone() if shard is None else await self.participants.at(shard)

    async def _anyone(self) -> Participant:
        """One of those who take part, or home's."""
        for one in self.participants:
            return one
        return await self.participants.at(self._router.home)

    async def look_at(self, statement: Statement) -> None:
        """Have a server look at the values of a call, as it does at Bind; StatementFailed in its words."""
        study = self._studies.of(statement.sql, self._router, self._context)
        if study.ready.plan.draws is not None or study.is_call_of_ours:
            return  # they are with the ids, which are drawn when it runs; or no server knows of it
        await self.before_asking()
        one = await self._anyone()
        asked = parse(statement.sql, statement.types) + bind(statement.formats, statement.values, ())
        one.request(asked + SYNC, ("parse_unnamed", "bind", "sync"))
        await to_end(one)

    # --- statements -----------------------------------------------------------------------------------------------

    async def start(self, statement: Statement) -> Begun:
        """Begin to run one; a TrunklineError if it is refused or fails. `fail` has to hear of that too."""
        if self.under_way is not None:
            asked, self.under_way = self.under_way, None
            return await asked.begun()
        study = self._studies.of(statement.sql, self._router, self._context)
        begun = await self._start(statement, study.request)
        return await kept(begun, study.ready.plan, self.participants, self._router.home)

    async def _start(self, statement: Statement, request: Request | None) -> Begun:
        if request is not None and request.kind in _OF_CURSORS:
            self.must_listen(statement.sql)
            await self.before_asking()
            return await self._of_cursor(request, statement)
        self.participants.ids.drawing = None
        judgement = await judged(statement, self._router, self._context, self._hint)
        if judgement.shard in (OF_SESSION, DENIED):
            count(self._router, judgement, -1)
        if not ends_block(judgement.reading) or chains(judgement.reading):
            await self.before_asking()
        if judgement.shard == OF_SESSION:
            return await self._about_session(statement, judgement)
        self.must_listen(statement.sql)
        if judgement.reading is not None and judgement.reading.two_phases:
            refusal = StatementRefused("a transaction over several shards is not prepared by its client", hint=_COMMIT)
            raise judgement.refusal or refusal
        plan = judgement.reading.plan if judgement.reading is not None else None
        self.participants.coordination.placement.must_be_sure(plan)
        if judgement.shard == ANSWERED:
            return await self._at(await self._anyone(), statement, judgement.instead)
        if judgement.shard == DENIED and judgement.several and request is not None and request.kind == _DECLARE:
            return await self._over_several(statement, judgement)  # what it leaves is kept here
        self._must_leave_nothing(statement.sql)
        if judgement.shard == DENIED:
            return await self._over_several(statement, judgement)
        count(self._router, judgement, judgement.shard if judgement.shard != NOWHERE else self._router.home)
        if plan is None or plan.writes or plan.volatile or plan.configures:
            await self.participants.begin()
        one = await self._placed(request, judgement.shard)
        if judgement.reading is not None and judgement.reading.plan.configures:
            await set_at_all(self.participants, judgement.reading, statement)
        if plan is not None and plan.writes:
            await self.participants.will_write(1 << one.shard)
        return await self._at(one, statement, statement.sql)

    async def _placed(self, request: Request | None, shard: int) -> Participant:
        """Who runs what concerns one shard, or none in particular."""
        cursors = self.participants.cursors
        if request is not None and request.kind == _DECLARE:
            cursors.must_be_new(request.node["portalname"])
            one = await self._anyone() if shard == NOWHERE else await self.participants.at(shard)
            cursors.elsewhere[request.node["portalname"]] = one.shard
            return one
        if shard != NOWHERE:
            return await self.participants.at(shard)
        name = current_of(request)
        if name and cursors.find(name) is not None:
            raise StatementRefused("WHERE CURRENT OF a cursor over several shards", hint="Name the row by its key.")
        return await self._holder(name)

    async def _at(self, one: Participant, statement: Statement, sql: bytes) -> Begun:
        """At one shard, as the client says it."""
        study = self._studies.of(sql, self._router, self._context)
        self.participants.advance(study.ready.plan.ids)
        if study.request is not None and study.request.kind == "CopyStmt":
            return Begun(None, await begin_copy(one, sql))
        described = await self.describe(sql, statement.types)
        asked = Asked(
            None, described, statement.types, statement.formats, statement.values, statement.result_formats
        )  # fmt: skip
        return Begun(described, Scatter(await meant_at(one, sql, asked), sql, [one]))

    async def _over_several(self, statement: Statement, judgement: Judgement) -> Begun:
        if not judgement.several:
            assert judgement.refusal is not None
            raise judgement.refusal
        study = self._studies.of(statement.sql, self._router, self._context)
        if study.request is None:
            raise judgement.refusal or StatementRefused("several statements at once are not run over several shards")
        program = study.program
        if isinstance(program, Refusal):
            raise refused(program)
        if isinstance(program, Drawing):
            return await with_ids(self, program, study, statement)
        described = await self.describe(statement.sql, statement.types)
        call = self.call_of(statement)
        self.participants.advance(study.ready.plan.ids)
        mask, masks = await self.masks(study, call)
        if study.ready.plan.writes and not isinstance(program, ShardJobs):
            await self.participants.will_write(mask)
        self.participants.doing = Doing(statement.sql, self.participants.now, mask)
        asked = Asked(
            study.request, described, statement.types, statement.formats, statement.values,
            statement.result_formats, mask, masks, call,
        )  # fmt: skip
        if isinstance(program, Wrapped):
            of_inner = await self.describe(program.inner.sql, statement.types)
            asked.inner = replace(asked, request=program.inner, described=of_inner, result_formats=())
        elif locks(program):
            await self.participants.begin()
            await self.participants.will_write(mask)
        return Begun(described, await run_where_found(study.lookup, program, asked, self.participants))

    def call_of(self, statement: Statement) -> Call:
        """Its values, as plans are evaluated with."""
        return Call(statement.sql, statement.bind or None, statement.types, self._context.standard)

    async def masks(self, study: Study, call: Call) -> tuple[int, tuple[int, ...]]:
        """The shards that a call concerns, in all and of each table."""
        while True:
            try:
                return study.mask(call), study.masks(call)
            except KeyMissing as missing:
                await wait_for(AskedKey(missing), self._router)

    async def _of_cursor(self, request: Request, statement: Statement) -> Begun:
        """FETCH, MOVE and CLOSE."""
        cursors = self.participants.cursors
        if request.kind == "FetchStmt":
            fetch = Fetch.of(request.node)
            fetched = cursors.fetch(fetch, statement.result_formats, self.participants)
            if fetched is None:
                return await self._at(await self._holder(fetch.name), statement, statement.sql)
            return Begun(fetched.described, fetched)
        name = request.node.get("portalname", "")
        if name and cursors.find(name) is not None:
            await cursors.close(name)
            return said(b"CLOSE CURSOR")
        if name:
            return await self._at(await self._holder(name), statement, statement.sql)
        cursors.clear()
        await self.participants.all_ask(statement.sql)
        return said(b"CLOSE CURSOR ALL")

    # --- the session and the transaction --------------------------------------------------------------------------

    async def _about_session(self, statement: Statement, judgement: Judgement) -> Begun:
        tag = judgement.reading.tag if judgement.reading is not None else ""
        if tag in ("BEGIN", "START TRANSACTION"):
            return await self._begin(statement.sql, tag)
        if ends_block(judgement.reading) and self.participants.in_block:
            return await self._end(judgement)
        if self.failed and not rolls_back_to(statement.sql):
            raise TransactionAborted(_ABORTED)
        if judgement.reading is not None and judgement.reading.said_again and self.participants.in_block:
            return await self._say(statement.sql)
        self._must_leave_nothing(statement.sql)
        return await self._at(await self._anyone(), statement, statement.sql)

    async def _begin(self, sql: bytes, tag: str) -> Begun:
        participants = self.participants
        if participants.in_block:
            return await self._at(await self._anyone(), Statement(sql), sql)  # which has a warning for it
        if not participants.in_transaction:
            await participants.begin(sql)
        participants.in_block = True
        return said(tag.encode())

    async def _end(self, judgement: Judgement) -> Begun:
        tag, how = ends_block(judgement.reading), self.participants.how_it_began
        failed, self.failed = self.failed, False
        if tag == "ROLLBACK" or failed:
            tag = "ROLLBACK"
            await self._rollback()
        else:
            await self._commit()
        if chains(judgement.reading):
            await self._begin(how if not failed else BEGIN, "")  # it has forgotten by then how it began
        return said(tag.encode())

    async def _commit(self) -> None:
        await self.participants.commit()
        self.participants.cursors.committed()

    async def _rollback(self) -> None:
        self.participants.cursors.rolled_back()
        await self.participants.rollback()

    async def _say(self, sql: bytes) -> Begun:
        """SAVEPOINT and its like, SET LOCAL: to all of them."""
        await self._anyone()
        everyone = list(self.participants)
        for one in everyone:
            if one.lost is not None:
                raise one.lost
        answer = Scatter(Asked(None, Description((), None)), sql, everyone)
        async for _ in answer.rows():
            pass
        self.participants.beginning.append(sql)
        request = self._studies.of(sql, self._router, self._context).request
        if request is not None:
            self.participants.cursors.note(request.node)
        if rolls_back_to(sql):
            self.failed = False
        return said(answer.tag())

    async def begin_together(self) -> None:
        """Several statements in one simple query are one transaction, but for what they say of that themselves."""
        await self.participants.begin()

    async def fail(self) -> None:
        """A statement has failed: so has its block, or what was begun for it is undone."""
        self.participants.ids.doubt()
        if self.participants.in_block:
            self.failed = True
            await self.participants.settle()
        else:
            await self._rollback()

    async def end_unit(self) -> None:
        """A simple query, or a Sync: what was begun for it is committed."""
        if self.participants.in_block:
            return
        if self.participants.in_transaction:
            await self._commit()
        else:
            self.participants.cursors.committed()
            self.participants.release()

    # --- what is refused ------------------------------------------------------------------------------------------

    def must_listen(self, sql: bytes) -> None:
        """TransactionAborted for what a failed block does not hear (postgres.c, IsTransactionExitStmt)."""
        if self.failed and not may_end_a_failed_block(sql):
            study = self._studies.of(sql, self._router, self._context)
            raise study.syntax_error or TransactionAborted(_ABORTED)

    def _must_leave_nothing(self, sql: bytes) -> None:
        known = self._studies.of(sql, self._router, self._context)
        if known.leaves_something(self.participants.pools[self._router.home], self._context):
            raise StatementRefused(_LEAVES, hint="Say it before the transaction, or in one for one shard.")


async def _nothing() -> None:
    pass
