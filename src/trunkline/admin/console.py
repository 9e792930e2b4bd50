"""The console: a session of an operator, a monitor or a driver with Trunkline itself, over both query protocols.

1. A command is carried out only at its turn: what follows it waits in the inbox, or in the socket.
2. An error ends the rest of its simple query, or skips to the next Sync; it never ends the session.
3. A client that leaves while its command waits (PAUSE) abandons the waiting, not what was begun: the pools stay paused
   until RESUME, as in PgBouncer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from trunkline.admin import control, probes, show_clients, show_config, show_pools, show_stats  # noqa: F401
from trunkline.admin.commands import Answer, Command, Request, find, run
from trunkline.admin.grammar import Statement, split
from trunkline.admin.probes import greeting
from trunkline.admin.requests import query_text, read_bind, read_execute, read_named, read_parse
from trunkline.admin.result import Row, check_formats, rows_as_messages
from trunkline.errors import AdminSyntaxError, ProtocolViolation, TrunklineError
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

MAX_MESSAGE_BYTES: Final = HOLD_BYTES - 5  # so that a whole message fits into an inbox that is not being read
MAX_NAMES: Final = 1000  # statements, and portals, that one session may keep
MAX_UNSENT_BYTES: Final = 1 << 20
_POLL_S = 0.05
_PORTAL_SUSPENDED = message(b"s", b"")
_NO_PARAMETERS = message(b"t", b"\0\0")


async def serve_console(instance: Instance, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
    """Talk to a client that has just been let in, until it leaves."""
    session = _Session(instance, link, inbox, identity)
    try:
        await session.serve()
    except ConnectionEnded:
        instance.clients.on_gone(link, None)
    except MessageTooLong:
        instance.clients.end(link, ProtocolViolation("invalid message length"))
    except ProtocolViolation as error:
        instance.clients.end(link, error)
    except asyncio.CancelledError:
        link.close()
        raise
    except Exception as error:
        log.exception("internal error in the console of %s", identity)
        instance.clients.on_internal_error(link, error)


@dataclass(slots=True)
class _Prepared:
    """A statement with its command; None for the empty one."""

    command: Command | None
    rest: tuple[str, ...] = ()


@dataclass(slots=True)
class _Portal:
    """A prepared statement in execution; `rows` is what is left to send, once it has run."""

    prepared: _Prepared
    formats: tuple[int, ...] = ()
    rows: list[Row] | None = None


def _prepare(statement: Statement) -> _Prepared:
    return _Prepared(*find(statement))


class _Session:
    def __init__(self, instance: Instance, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self.instance = instance
        self.link = link
        self.inbox = inbox
        self.identity = identity
        self.status = b"I"
        self.skipping = False  # an error in an extended batch: nothing counts before Sync
        self.statements: dict[bytes, _Prepared] = {}
        self.portals: dict[bytes, _Portal] = {}
        self.tasks = Tasks()

    async def serve(self) -> None:
        identity = self.identity
        is_admin = identity.user in self.instance.config.settings.admin_users
        key_data = backend_key_data(identity.pid, identity.key)
        self.link.write(greeting(is_admin) + key_data + ready_for_query(self.status))
        while True:
            while self.link.unsent_count > MAX_UNSENT_BYTES:
                await asyncio.sleep(_POLL_S)
            kind, body = await self.inbox.message(MAX_MESSAGE_BYTES)
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise ProtocolViolation(f"invalid frontend message type {kind}")
            await handler(self, body)

    # --- both protocols -----------------------------------------------------------------------------------------

    def fail(self, error: TrunklineError) -> None:
        """Tell the client; the session goes on, whatever the error's own class would mean elsewhere."""
        error.severity = "ERROR"
        self.link.write(error_response(error))

    async def carry_out(self, prepared: _Prepared) -> Answer:
        command = prepared.command
        assert command is not None
        async with self.while_connected():
            answer = await run(command, prepared.rest, Request(self.instance, self.identity))
        for notice in answer.notices:
            self.link.write(notice_response("00000", notice))
        self.status = command.leaves or self.status
        return answer

    @asynccontextmanager
    async def while_connected(self) -> AsyncIterator[None]:
        """What runs inside is cancelled when the client leaves, and that is a ConnectionEnded."""
        runner = asyncio.current_task()
        assert runner is not None
        left = False

        async def watch() -> None:
            nonlocal left
            try:
                while len(self.inbox.data) < HOLD_BYTES:  # beyond, the peer is held: nothing more can be seen of it
                    await self.inbox.more()
            except ConnectionEnded:
                left = True
                runner.cancel()

        self.tasks.spawn(watch(), "console watch")
        try:
            yield
        except asyncio.CancelledError:
            if not left:
                raise
            runner.uncancel()
            raise ConnectionEnded from None
        finally:
            await self.tasks.cancel()  # to its very end: the inbox has one reader

    # --- simple query -------------------------------------------------------------------------------------------

    async def on_query(self, body: bytes) -> None:
        try:
            statements = split(query_text(body))
            if not statements:
                self.link.write(EMPTY_QUERY_RESPONSE)
            for statement in statements:
                await self.answer_simply(_prepare(statement))
        except ProtocolViolation:
            raise
        except TrunklineError as error:
            self.fail(error)
        self.on_sync_point()

    async def answer_simply(self, prepared: _Prepared) -> None:
        answer = await self.carry_out(prepared)
        command = prepared.command
        assert command is not None
        out = b""
        if command.columns is not None:
            out = row_description(command.columns) + rows_as_messages(answer.rows, command.columns)
        self.link.write(out + command_complete(command.tag))

    def on_sync_point(self) -> None:
        """The end of a batch of either kind; outside a transaction the portals go with it."""
        self.skipping = False
        if self.status == b"I":
            self.portals.clear()
        self.link.write(ready_for_query(self.status))

    # --- extended query -----------------------------------------------------------------------------------------

    async def on_sync(self, body: bytes) -> None:
        self.on_sync_point()

    async def on_flush(self, body: bytes) -> None:
        """Everything is written as it comes."""

    async def on_parse(self, body: bytes) -> None:
        name, sql = read_parse(body)
        statements = split(sql)
        if len(statements) > 1:
            raise AdminSyntaxError("cannot insert multiple commands into a prepared statement")
        prepared = _prepare(statements[0]) if statements else _Prepared(None)
        if name in self.statements and name:
            raise _error("42P05", f'prepared statement "{_shown(name)}" already exists')
        _check_count(self.statements)
        self.statements[name] = prepared
        self.link.write(PARSE_COMPLETE)

    async def on_bind(self, body: bytes) -> None:
        portal, name, formats = read_bind(body)
        prepared = self.find_statement(name)
        if prepared.command is not None and prepared.command.columns is not None:
            check_formats(formats, prepared.command.columns)
        if portal in self.portals and portal:
            raise _error("42P03", f'cursor "{_shown(portal)}" already exists')
        _check_count(self.portals)
        self.portals[portal] = _Portal(prepared, formats)
        self.link.write(BIND_COMPLETE)

    async def on_describe(self, body: bytes) -> None:
        kind, name = read_named(body)
        formats: tuple[int, ...] = ()
        if kind == b"S":
            prepared = self.find_statement(name)
            self.link.write(_NO_PARAMETERS)
        else:
            portal = self.find_portal(name)
            prepared, formats = portal.prepared, portal.formats
        columns = prepared.command.columns if prepared.command is not None else None
        self.link.write(NO_DATA if columns is None else row_description(columns, formats))

    async def on_execute(self, body: bytes) -> None:
        name, max_rows = read_execute(body)
        portal = self.find_portal(name)
        command = portal.prepared.command
        if command is None:
            self.link.write(EMPTY_QUERY_RESPONSE)
            return
        if portal.rows is None:
            portal.rows = list((await self.carry_out(portal.prepared)).rows)
        count = max_rows if max_rows > 0 else len(portal.rows)
        batch, portal.rows = portal.rows[:count], portal.rows[count:]
        out = rows_as_messages(batch, command.columns, portal.formats) if command.columns is not None else b""
        # PostgreSQL suspends at the limit, also when the row that met it was the last one.
        suspended = 0 < max_rows == len(batch)
        self.link.write(out + (_PORTAL_SUSPENDED if suspended else command_complete(command.tag)))

    async def on_close(self, body: bytes) -> None:
        kind, name = read_named(body)
        if kind == b"S":
            self.statements.pop(name, None)
        else:
            self.portals.pop(name, None)
        self.link.write(CLOSE_COMPLETE)

    async def on_terminate(self, body: bytes) -> None:
        raise ConnectionEnded

    def find_statement(self, name: bytes) -> _Prepared:
        try:
            return self.statements[name]
        except KeyError:
            which = f'prepared statement "{_shown(name)}"' if name else "unnamed prepared statement"
            raise _error("26000", f"{which} does not exist") from None

    def find_portal(self, name: bytes) -> _Portal:
        try:
            return self.portals[name]
        except KeyError:
            raise _error("34000", f'portal "{_shown(name)}" does not exist') from None


class ConsoleError(TrunklineError):
    """An error that PostgreSQL has for a misuse of statements and portals; its SQLSTATE is given."""


def _error(sqlstate: str, text: str) -> ConsoleError:
    error = ConsoleError(text)
    error.sqlstate = sqlstate
    return error


def _check_count(names: dict[bytes, _Prepared] | dict[bytes, _Portal]) -> None:
    if len(names) >= MAX_NAMES:
        raise _error("54000", f"more than {MAX_NAMES} prepared statements or portals in one console session")


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")


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
