"""Several: the session of a client while what it asks concerns several shards.

Theory of operation. The relay hands its client over (handing.pyx), with the frame that needs several shards still to be
read, and perhaps with a server in the middle of a block. From there on messages are read one by one; what each of them
means is in `MESSAGES` (protocol documentation, section 55.2), and what is asked is done by a `Conductor`. When the unit
is over, or the transaction it is part of, all servers go back to their pools and the client to the relay.

Rules:
1. Answers are in the order of the requests, and gathered (`Outbox`). Nothing more is asked of the shards while the
   client does not read.
2. A client that leaves stops what runs for it, unless that commits.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from trunkline.errors import InternalError, ProtocolViolation, StatementRefused, TrunklineError
from trunkline.execution.spread.asked import CopyIn
from trunkline.execution.spread.at_once import UnderWay
from trunkline.execution.spread.binding import Bound
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.clock import Clock
from trunkline.execution.spread.conductor import Conductor
from trunkline.execution.spread.cursors import Cursors
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.studies import Studies
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    EMPTY_QUERY_RESPONSE,
    PARSE_COMPLETE,
    command_complete,
    ready_for_query,
)
from trunkline.proxy.copy_data import fed
from trunkline.proxy.handing import hand_back
from trunkline.proxy.outbox import Outbox
from trunkline.proxy.portals import Portal, Portals
from trunkline.proxy.statements import Prepared, body_of, name_it
from trunkline.proxy.telling import QUERY, news, told, violation
from trunkline.proxy.timers import left_of_silence, left_of_work
from trunkline.routing.sql import pieces
from trunkline.shard_errors import DistributedDeadlock, PortalSpent, StatementFailed

if TYPE_CHECKING:
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.routed import Route

log = logging.getLogger("trunkline.proxy")


class Several:
    """One client's; made when it is handed over, and gone when it is handed back."""

    def __init__(
        self,
        studies: Studies,
        participants: Participants,
        link: ClientLink,
        route: Route,
        beginning: Sequence[bytes],
        unsynced: bool,
        under_way: UnderWay | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        """`under_way`: its first statement has been asked, and what has come since then is in this `inbox`."""
        self.link = link
        self.participants = participants
        if link.server is not None:
            participants.take_over(link, route.shard, beginning, unsynced=unsynced)
        elif beginning:
            participants.beginning, participants.in_block = list(beginning), True
        cursors = Cursors(route.cursors)
        self.conductor = Conductor(route.router, studies, participants, route.context, route.hint, cursors)
        self._portals = Portals()
        self.conductor.before_asking = self._portals.keep
        self.conductor.under_way = under_way
        self._inbox = inbox or Inbox(link)
        self._inbox.on_end = self._on_gone
        link.session.on_cancel = participants.stop
        self._route = route
        self._out = Outbox(link)
        self._skipping = False  # to the next Sync, behind an error
        self._in_batch = unsynced
        self._placement = participants.coordination.placement.with_session(participants)
        link.several = self
        self._task = link.session.clients.tasks.spawn(self._run(), "several shards")

    # --- life -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        link = self.link
        self._inbox.data[:0] = link.take_kept()
        try:
            await self._placement.enter(self.participants)
            await self.participants.go_on()
            await self._serve()
        except (ConnectionEnded, asyncio.CancelledError):
            self._leave("its client has left")
        except TrunklineError as error:
            self._leave("its client was closed")
            link.end(error)
        except Exception:
            incident = InternalError.incident()
            log.exception("%s at %r", incident.message, link)
            self._leave("internal error")
            link.end(incident)
        else:
            self._leave("its transaction is over")
            if link.opened:
                hand_back(link, self._inbox.rest())

    def _leave(self, reason: str) -> None:
        self._inbox.on_end = self.link.session.on_cancel = self.link.several = None
        self._placement.leave(self.participants)
        self.participants.release(reason)

    def _on_gone(self) -> None:
        self.participants.beside.abandoned = True
        if not self.participants.committing:
            self._task.cancel()

    def drained(self) -> None:
        """The client has taken all that was sent."""
        self._out.drained()

    async def _serve(self) -> None:
        """Messages, until nothing is open any more."""
        pool = self._route.pools[0]
        settings = pool.pools.config.settings
        while True:
            participants = self.participants
            limit = left_of_silence(pool.settings, participants.lasts_s) if self._is_open else ()
            try:
                async with Clock(*limit):
                    kind, body = await self._inbox.message(settings.max_packet_size)
            except MessageTooLong:
                raise ProtocolViolation("invalid message length") from None
            handle = MESSAGES.get(chr(kind))
            if handle is None or (kind == QUERY and settings.disable_pqexec):
                raise violation(kind)
            if self._skipping and chr(kind) not in "SX":
                continue
            await self._take(handle, body, is_simple=chr(kind) in "QF")
            if not self._is_open:
                return

    @property
    def _is_open(self) -> bool:
        """In a transaction, or in a batch whose Sync has not come."""
        return self._in_batch or self.conductor.status != "I"

    async def _take(self, handle: Callable[[Several, bytes], Awaitable[None]], body: bytes, *, is_simple: bool) -> None:
        """One message; an error that it ends in is told, and what it means for the unit is done."""
        participants = self.participants
        lasts_s = participants.lasts_s
        runs_s = lasts_s if self.conductor.under_way is not None else 0.0
        participants.clock = Clock(*left_of_work(self._route.pools[0].settings, lasts_s, runs_s))
        try:
            async with participants.clock:
                await handle(self, body)
        except TrunklineError as error:
            if error is participants.clock.error or participants.committing:
                raise
            await self._fail(error, is_simple=is_simple)
        finally:
            participants.doing = None

    async def _fail(self, error: TrunklineError, *, is_simple: bool) -> None:
        await self._portals.clear()
        self._tell_notices()
        error = self._meant(error)
        await self.conductor.fail()
        self._out.write(told(error))
        if is_simple:
            await self._ready()
        else:
            self._in_batch = self._skipping = True
            self._out.send()  # an error does not wait for a Flush (elog.c, send_message_to_frontend)

    # --- answers --------------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        await self.participants.coordination.tidings.heard()
        self._tell_notices()
        self._tell_settings()
        self._in_batch = self._skipping = False
        self._out.write(ready_for_query(self.conductor.status.encode()))
        self._out.send()

    def _tell_notices(self) -> None:
        participants = self.participants
        for notices in (*(one.notices for one in participants), participants.beside.notices):
            self._out.write(b"".join(notices))
            notices.clear()

    def _tell_settings(self) -> None:
        self._out.write(news(self.participants, self.link))

    # --- the simple protocol --------------------------------------------------------------------------------------

    async def _query(self, body: bytes) -> None:
        sql = body.split(b"\0", 1)[0]
        self.link.unnamed = None  # it ends the unnamed statement
        await self._portals.close(b"")
        texts = (pieces(sql) or [sql]) if b";" in sql else [sql]
        for text in texts:
            if len(texts) > 1:
                await self.conductor.begin_together()
            await self._simple(text)
        await self.conductor.end_unit()
        await self._ready()

    async def _simple(self, sql: bytes) -> None:
        begun = await self.conductor.start(Statement(sql, result_formats=(0,)))
        answer = begun.answer
        if isinstance(answer, CopyIn):
            self._out.write(command_complete((await self._copy_in(answer)).decode()))
            return
        place = self._out.place()
        if begun.described is not None and begun.described.fields is not None:
            self._out.write(begun.described.row_description())
        try:
            async for rows in answer.rows():
                await self._out.give(rows)
        except StatementFailed as error:
            if error.at_bind:
                self._out.unsay(place)  # it has not been planned
            raise
        self._tell_notices()
        tag = answer.tag()
        self._out.write(command_complete(tag.decode()) if tag else EMPTY_QUERY_RESPONSE)

    async def _copy_in(self, copy: CopyIn) -> bytes:
        self._out.write(await copy.response())
        self._out.send()
        return await fed(copy, self._inbox)

    # --- the extended protocol ------------------------------------------------------------------------------------

    async def _parse(self, body: bytes) -> None:
        self._in_batch = True
        prepared = Prepared(body)
        await self.conductor.describe(prepared.sql, prepared.types)  # which says what is wrong with it
        name_it(self.link, prepared, body, self._route.pools[0].family)
        self._out.write(PARSE_COMPLETE)

    async def _bind(self, body: bytes) -> None:
        self._in_batch = True
        try:
            bound = Bound(body)
        except (ValueError, IndexError, struct.error):
            raise ProtocolViolation("insufficient data left in message") from None
        sql, types = body_of(self.link, bound.statement)
        self.conductor.must_listen(sql)
        statement = Statement(sql, types, bound.formats, bound.values, bound.result_formats, bound.rest)
        portal = Portal(statement)
        await self._portals.add(bound.portal, portal)
        portal.place = self._out.place()
        self._out.write(BIND_COMPLETE)

    async def _describe(self, body: bytes) -> None:
        self._in_batch = True
        name = body[1:].split(b"\0", 1)[0]
        if body[:1] == b"S":
            sql, types = body_of(self.link, name)
            described = await self.conductor.describe(sql, types)
            self._out.write(described.parameter_description() + described.row_description())
            return
        if name and not self._portals.has(name):
            self._out.write((await self.conductor.describe_cursor(name)).row_description())
            return
        statement = self._portals.find(name).statement
        described = await self.conductor.describe(statement.sql, statement.types)
        self._out.write(described.row_description(statement.result_formats))

    async def _execute(self, body: bytes) -> None:
        self._in_batch = True
        name, rest = body.split(b"\0", 1)
        portal = self._portals.find(name)
        try:
            if portal.is_spent:
                raise PortalSpent(f'portal "{name.decode(errors="replace")}" cannot be run')
            await self._run_portal(portal, rest)
        except StatementFailed as error:
            if error.at_bind:
                self._out.unsay(portal.place)
            raise

    async def _run_portal(self, portal: Portal, rest: bytes) -> None:
        if portal.answer is None:
            begun = await self.conductor.start(portal.statement)
            answer = begun.answer
            if isinstance(answer, CopyIn):
                self._out.write(command_complete((await self._copy_in(answer)).decode()))
                return
            portal.begin(answer, runs_once=begun.described is None or begun.described.fields is None)
        (limit,) = struct.unpack("!i", rest)
        async for rows in portal.take(limit):
            await self._out.give(rows)
        self._tell_notices()
        self._out.write(portal.end())

    async def _close(self, body: bytes) -> None:
        self._in_batch = True
        name = body[1:].split(b"\0", 1)[0]
        if body[:1] == b"P":
            await self._portals.close(name)
            await self.participants.cursors.close(name.decode(errors="replace"))
        elif not name:
            self.link.unnamed = None
        else:
            self.link.name(name, None)
        self._out.write(CLOSE_COMPLETE)

    async def _sync(self, body: bytes) -> None:
        if not self._skipping:
            self._in_batch = False
            try:
                await self._finish_batch()
            except TrunklineError as error:
                error = self._meant(error)
                await self.conductor.fail()
                self._out.write(told(error))
        await self._ready()

    def _meant(self, error: TrunklineError) -> TrunklineError:
        """The victim of a deadlock over several shards hears of that, whatever its servers have said."""
        participants = self.participants
        if not participants.condemned:
            return error
        participants.condemned = False
        return DistributedDeadlock(
            "deadlock detected", detail="Its transactions wait for each other at several shards."
        )

    async def _finish_batch(self) -> None:
        if not self.participants.in_block:
            await self._portals.clear()
        await self.conductor.end_unit()

    async def _flush(self, body: bytes) -> None:
        """The answer to a Bind that is not run yet is asked for: so its values are looked at now."""
        for portal in self._portals.unseen():
            try:
                await self.conductor.look_at(portal.statement)
            except StatementFailed:
                self._out.unsay(portal.place)
                raise
            portal.seen = True
        self._out.send()

    async def _terminate(self, body: bytes) -> None:
        self._inbox.on_end = None
        self.link.session.on_client_gone(self.link, None)
        raise ConnectionEnded

    async def _drop(self, body: bytes) -> None:
        """COPY data outside of COPY."""

    async def _function(self, body: bytes) -> None:
        raise StatementRefused("a function call message is not run while a transaction concerns several shards")


MESSAGES: dict[str, Callable[[Several, bytes], Awaitable[None]]] = {
    "Q": Several._query,
    "P": Several._parse,
    "B": Several._bind,
    "D": Several._describe,
    "E": Several._execute,
    "C": Several._close,
    "S": Several._sync,
    "H": Several._flush,
    "F": Several._function,
    "X": Several._terminate,
    **dict.fromkeys("dcf", Several._drop),
}
