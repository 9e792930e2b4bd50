"""A connection on which auth_query is asked, and nothing else: no client ever has it.

So its session is as its server opened it, and all that it is given of a client is a name, as a bound parameter.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trunkline.auth.user_row import Row
from trunkline.config.settings import WILDCARD, DatabaseSettings
from trunkline.errors import ServerProtocolViolation, ServerRefused, ServerUnavailable, TrunklineError
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Target
from trunkline.pool.probe import columns
from trunkline.protocol.messages import SYNC, message, parse_fields

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools
    from trunkline.pool.server import ServerLink

_MAX_MESSAGE_BYTES = 65536
_PARAMETERS = ((b"application_name", b"trunkline auth_query"),)
_IGNORED = frozenset(b"12CNSAs")  # what may come between the rows and says nothing of them
_EXECUTE = message(b"E", b"\0\0\0\0\0") + SYNC


@dataclass(frozen=True, slots=True)
class Source:
    """Where users of a database are looked up, as whom, and how."""

    database: str
    user: str
    sql: str


class _Nobody(Leases):
    """The owner of a connection that nobody leases."""

    def on_lost(self, server: ServerLink, reason: str) -> None:
        """Whoever asks hears of it."""


class AuthLink:
    """One question at a time; opened when it is needed, and again when it was lost."""

    def __init__(self, pools: Pools, source: Source) -> None:
        self._pools = pools
        self._source = source
        self._lock = asyncio.Lock()
        self._server: ServerLink | None = None
        self._inbox: Inbox | None = None
        self._turn = 0
        self._failures = 0
        self._retired = False
        self._failure: TrunklineError = ServerUnavailable("no server could be reached")
        self.used_at = pools.now
        self.opened_at = pools.now

    def __repr__(self) -> str:
        return f"<AuthLink {self._source.user}@{self._source.database} {self._server!r}>"

    @property
    def is_busy(self) -> bool:
        return self._lock.locked()

    def close(self, reason: str) -> None:
        server, self._server = self._server, None
        if server is not None and server.opened:
            server.drop(reason)

    def retire(self) -> None:
        """Close as soon as nobody waits for an answer."""
        self._retired = True
        if not self._lock.locked():
            self.close("the configuration has changed")

    async def ask(self, user: str) -> list[Row]:
        """The rows that the query has for this name. Who waits while no server can be had hears it too."""
        failures = self._failures
        async with self._lock:
            if failures != self._failures:
                raise self._failure
            try:
                async with asyncio.timeout(self._pools.config.settings.server_connect_timeout or None):
                    return await self._ask(user.encode(errors="surrogateescape"))
            except TimeoutError:
                self.close("no answer to auth_query")
                raise ServerUnavailable("timed out asking for the user") from None
            except MessageTooLong:
                self.close("the answer to auth_query is too long")
                raise ServerProtocolViolation("the answer to auth_query is too long") from None
            except asyncio.CancelledError:
                self.close("the login was ended")
                raise
            finally:
                self.used_at = self._pools.now
                if self._retired:
                    self.close("the configuration has changed")

    async def _ask(self, user: bytes) -> list[Row]:
        if self._server is not None and self._server.opened:
            try:
                return await self._exchange(user)
            except ConnectionEnded:  # it may have been lost long before this question
                self.close("the connection was lost")
        await self._open()
        try:
            return await self._exchange(user)
        except ConnectionEnded:
            raise ServerUnavailable("the server closed the connection") from None

    async def _open(self) -> None:
        try:
            target = self._target(self._pools.database(self._source.database))
            server = await self._pools.opener.open(_Nobody(), target, lambda link: link.move_to(self._pools.control))
        except TrunklineError as error:
            self._turn += 1
            self._failures += 1
            self._failure = error
            raise
        self._server, self._inbox = server, Inbox(server)
        self.opened_at = self._pools.now

    def _target(self, settings: DatabaseSettings) -> Target:
        """Each attempt that fails is followed by one at the next server: replicas know the same users."""
        servers = settings.servers
        address = servers[self._turn % len(servers)]
        name = address.dbname or (self._source.database if WILDCARD in settings.name else settings.name)
        known = self._pools.credentials_of(self._source.user)
        return Target(replace(address, dbname=name), name, known, _PARAMETERS)

    async def _exchange(self, user: bytes) -> list[Row]:
        assert self._server is not None
        assert self._inbox is not None
        sql = self._source.sql.encode(errors="surrogateescape")
        parse = message(b"P", b"\0" + sql + b"\0\0\0")
        value = len(user).to_bytes(4, "big") + user
        bind = message(b"B", b"\0\0" + b"\0\0" + b"\0\1" + value + b"\0\0")
        self._server.write(parse + bind + _EXECUTE)
        rows: list[Row] = []
        refusal: ServerRefused | None = None
        while True:
            kind, body = await self._inbox.message(_MAX_MESSAGE_BYTES)
            if kind == ord("D"):
                rows.append(columns(body))
            elif kind == ord("E"):
                fields = parse_fields(body)
                refusal = ServerRefused(fields["C"], fields["M"])
            elif kind == ord("Z"):
                break
            elif kind not in _IGNORED:
                self.close("unexpected answer to auth_query")
                raise ServerProtocolViolation("unexpected answer to auth_query")
        if body != b"I":
            self.close("auth_query has left a transaction open")
        if refusal is not None:
            raise refusal
        return rows
