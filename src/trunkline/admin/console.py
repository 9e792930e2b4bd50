"""The console: a session of an operator, a monitor or a driver with Trunkline itself, over both query protocols.

1. A command is carried out only at its turn: what follows it waits in the inbox, or in the socket.
2. An error ends the rest of its simple query, or skips to the next Sync; it never ends the session.
3. A client that leaves while its command waits (PAUSE) abandons the waiting, not what was begun: the pools stay paused
   until RESUME, as in PgBouncer.
4. Rows are made and sent by the batch, with a turn of the event loop between, and no faster than the client reads:
   thousands of clients in SHOW CLIENTS delay no query, and fill no memory.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

# The families of commands enter themselves into the table.
from trunkline.admin import (  # noqa: F401
    control,
    operate,
    setting,
    show_clients,
    show_config,
    show_directories,
    show_internals,
    show_jobs,
    show_latencies,
    show_pins,
    show_pools,
    show_queries,
    show_replicas,
    show_routes,
    show_shards,
    show_stats,
    show_transactions,
    show_workers,
    switch,
)
from trunkline.admin.columns import Columns
from trunkline.admin.commands import Answer, Request, run
from trunkline.admin.control import undo_stop
from trunkline.admin.former import with_former
from trunkline.admin.grammar import split
from trunkline.admin.probes import greeting
from trunkline.admin.requests import query_text, read_bind, read_execute, read_named, read_parse
from trunkline.admin.result import ConsoleError, Row, Value, rows_as_messages
from trunkline.admin.statements import Names, Prepared, prepare
from trunkline.errors import ProtocolViolation, QueryCanceled, TrunklineError
from trunkline.failpoints import failpoint
from trunkline.net.inbox import HOLD_BYTES, ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.tasks import Tasks
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    EMPTY_QUERY_RESPONSE,
    NO_DATA,
    PARSE_COMPLETE,
    command_complete,
    error_response,
    message,
    notice_response,
    ready_for_query,
    row_description,
)
from trunkline.protocol.startup import backend_key_data
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity
from trunkline.proxy.instance import Instance

log = logging.getLogger("trunkline.console")

MAX_MESSAGE_BYTES: Final = HOLD_BYTES
MAX_UNSENT_BYTES: Final = 1 << 20
BATCH_ROWS: Final = 25
_POLL_S = 0.05
_PORTAL_SUSPENDED = message(b"s", b"")


async def serve_console(instance: Instance, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
    """Talk to a client that has just been let in, until it leaves."""
    try:
        await _Session(instance, link, inbox, identity).serve()
    except ConnectionEnded:
        instance.clients.on_gone(link, None)
    except MessageTooLong:
        instance.clients.end(link, ProtocolViolation("invalid message length"))
    except ProtocolViolation as error:
        instance.clients.end(link, error)
    except asyncio.CancelledError:
        instance.clients.on_gone(link, "the console was ended")
        raise
    except Exception as error:
        log.exception("internal error in the console of %s", identity)
        instance.clients.on_internal_error(link, error)


class _Session:
    def __init__(self, instance: Instance, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self.instance = instance
        self.link = link
        self.inbox = inbox
        self.identity = identity
        self.names = Names()
        self.status = b"I"
        self.skipping = False  # an error in an extended batch: nothing counts before Sync
        self.tasks = Tasks()

    async def serve(self) -> None:
        identity = self.identity
        is_admin = identity.may_administer(self.instance.config.settings)
        key_data = backend_key_data(identity.pid, identity.key)
        self.link.write(greeting(is_admin) + key_data + ready_for_query(self.status))
        while True:
            await self.drained()
            kind, body = await self.inbox.message(MAX_MESSAGE_BYTES)
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise ProtocolViolation(f"invalid frontend message type {kind}")
            await handler(self, body)

    async def drained(self) -> None:
        """Wait for a client that does not read its answers; 0 is unsent once it is gone."""
        while self.link.unsent_count > MAX_UNSENT_BYTES:  # noqa: ASYNC110 - rare, and a Link has no such event
            await asyncio.sleep(_POLL_S)

    # --- both protocols -----------------------------------------------------------------------------------------

    def fail(self, error: TrunklineError) -> None:
        """Tell the client; the session goes on, whatever the error's own class would mean elsewhere."""
        error.severity = "ERROR"
        self.link.write(error_response(error))

    async def carry_out(self, prepared: Prepared, parameters: tuple[Value, ...] = ()) -> Answer:
        command = prepared.command
        assert command is not None
        try:
            async with self.while_connected():
                answer = await run(command, prepared.rest, self.request(parameters))
        except QueryCanceled:  # PgBouncer: what was paused or suspended as a whole goes on
            await undo_stop(self.instance)
            raise
        for notice in answer.notices:
            self.link.write(notice_response("00000", notice, detail=answer.detail))
        self.names.after(command.tag, prepared.rest)
        answer.tag = answer.tag or command.tag
        self.status = command.leaves or self.status
        return answer

    def request(self, parameters: tuple[Value, ...]) -> Request:
        return Request(self.instance, self.identity, parameters=parameters)

    @asynccontextmanager
    async def while_connected(self) -> AsyncIterator[None]:
        """What runs inside ends when the client leaves (ConnectionEnded) or asks for it (QueryCanceled)."""
        runner = asyncio.current_task()
        assert runner is not None
        left = over = stopped = False

        def stop() -> tuple[()]:
            nonlocal stopped
            if not over:
                stopped = True
                runner.cancel()
            return ()

        async def watch() -> None:
            nonlocal left
            try:
                while len(self.inbox.data) < HOLD_BYTES:  # beyond, the peer is held: nothing more can be seen of it
                    await self.inbox.more()
            except ConnectionEnded:
                left = not over
                if left:
                    runner.cancel()

        self.tasks.spawn(watch(), "console watch")
        self.identity.on_cancel = stop
        try:
            yield
        except asyncio.CancelledError:
            if not left and not stopped:
                raise
            runner.uncancel()
            if left:
                raise ConnectionEnded from None
            raise QueryCanceled("canceling statement due to user request") from None
        finally:
            over = True
            self.identity.on_cancel = None
            await self.tasks.cancel()  # to its very end: the inbox has one reader

    async def send_rows(self, rows: Iterator[Row], columns: Columns, formats: tuple[int, ...] = ()) -> int:
        """How many there were."""
        count = 0
        while batch := list(islice(rows, BATCH_ROWS)):
            self.link.write(rows_as_messages(batch, columns, formats))
            count += len(batch)
            await self.drained()
            await asyncio.sleep(0)
        return count

    # --- simple query -------------------------------------------------------------------------------------------

    async def on_query(self, body: bytes) -> None:
        text = query_text(body)
        try:
            statements = split(text)
            if not statements:
                self.link.write(EMPTY_QUERY_RESPONSE)
            for statement in statements:
                await self.answer_simply(prepare(statement))
        except TrunklineError as error:
            self.fail(error)
        self.synchronize()

    async def answer_simply(self, prepared: Prepared) -> None:
        if prepared.types:
            raise ConsoleError("42P02", "there is no parameter $1")
        answer = await self.carry_out(prepared)
        assert prepared.command is not None
        failpoint("console_answers")
        sent = 0
        columns, rows = prepared.columns, iter(answer.rows)
        if columns is not None:
            if self.instance.config.settings.console_former_columns:
                columns, rows = with_former(prepared.command.words, columns, rows)
            self.link.write(row_description(columns))
            sent = await self.send_rows(rows, columns)
        self.complete(answer.tag, sent, answer.afterwards)

    def complete(self, tag: str, sent: int, afterwards: Callable[[], None] | None) -> None:
        self.link.write(command_complete(f"SELECT {sent}" if tag == "SELECT" else tag))
        if afterwards is not None:
            afterwards()

    def synchronize(self) -> None:
        """The end of a batch of either kind; outside a transaction the portals go with it."""
        self.skipping = False
        if self.status == b"I":
            self.names.portals.clear()
        self.link.write(ready_for_query(self.status))

    # --- extended query -----------------------------------------------------------------------------------------

    async def on_parse(self, body: bytes) -> None:
        self.names.parse(*read_parse(body))
        self.link.write(PARSE_COMPLETE)

    async def on_bind(self, body: bytes) -> None:
        self.names.bind(*read_bind(body))
        self.link.write(BIND_COMPLETE)

    async def on_describe(self, body: bytes) -> None:
        kind, name = read_named(body)
        formats: tuple[int, ...] = ()
        if kind == b"S":
            columns = self.names.statement(name).columns
            types = self.names.statement(name).types
            self.link.write(message(b"t", struct.pack(f"!h{len(types)}i", len(types), *types)))
        else:
            portal = self.names.portal(name)
            columns, formats = portal.prepared.columns, portal.formats
        self.link.write(NO_DATA if columns is None else row_description(columns, formats))

    async def on_execute(self, body: bytes) -> None:
        name, max_rows = read_execute(body)
        portal = self.names.portal(name)
        command = portal.prepared.command
        if command is None:
            self.link.write(EMPTY_QUERY_RESPONSE)
            return
        if portal.rows is None:
            answer = await self.carry_out(portal.prepared, portal.parameters)
            portal.rows, portal.afterwards, portal.tag = iter(answer.rows), answer.afterwards, answer.tag
        rows = islice(portal.rows, max_rows) if max_rows > 0 else portal.rows
        sent = await self.send_rows(rows, command.columns, portal.formats) if command.columns is not None else 0
        # PostgreSQL suspends at the limit, also when the row that met it was the last one.
        if 0 < max_rows == sent:
            self.link.write(_PORTAL_SUSPENDED)
        else:
            self.complete(portal.tag, sent, portal.afterwards)

    async def on_close(self, body: bytes) -> None:
        self.names.close(*read_named(body))
        self.link.write(CLOSE_COMPLETE)

    async def on_flush(self, body: bytes) -> None:
        """Everything is written as it comes."""

    async def on_sync(self, body: bytes) -> None:
        self.synchronize()

    async def on_terminate(self, body: bytes) -> None:
        raise ConnectionEnded


_Handler = Callable[[_Session, bytes], Awaitable[None]]


def _in_batch(handler: _Handler) -> _Handler:
    """A message of an extended batch: passed over after an error, and an error of its own starts that."""

    async def handle(session: _Session, body: bytes) -> None:
        if session.skipping:
            return
        try:
            await handler(session, body)
        except ProtocolViolation:
            raise
        except TrunklineError as error:
            session.skipping = True
            session.fail(error)

    return handle


_HANDLERS: dict[int, _Handler] = {
    ord("Q"): _Session.on_query,
    ord("P"): _in_batch(_Session.on_parse),
    ord("B"): _in_batch(_Session.on_bind),
    ord("D"): _in_batch(_Session.on_describe),
    ord("E"): _in_batch(_Session.on_execute),
    ord("C"): _in_batch(_Session.on_close),
    ord("H"): _in_batch(_Session.on_flush),
    ord("S"): _Session.on_sync,
    ord("X"): _Session.on_terminate,
}
