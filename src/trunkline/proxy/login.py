"""From an accepted socket to a logged-in client: negotiation, TLS, authentication, the first ReadyForQuery.

One coroutine a login, bounded as a whole by client_login_timeout and in memory by the inbox. Who the client is, is
decided by `auth`; what order things may come in, by `protocol.startup`; here they are only carried out.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from trunkline.auth.secret import LoginSeed
from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings
from trunkline.config.settings import RESERVED_DATABASES, Config
from trunkline.errors import (
    DatabaseDisabled,
    InvalidPosition,
    InvalidStartupValue,
    LoginTimeout,
    NotAuthorized,
    ProtocolViolation,
    ShuttingDown,
    TrunklineError,
    UnknownDatabase,
)
from trunkline.execution.positions import without_token
from trunkline.execution.routers import Routers
from trunkline.failpoints import failpoint
from trunkline.net.contexts import ClientTls
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.ldap import Ldap
from trunkline.net.pam import Pam
from trunkline.net.tls import ALPN, TlsChannel
from trunkline.pool.auth_query import AuthQueries
from trunkline.pool.derivation import KeyDerivation
from trunkline.pool.pools import Pools
from trunkline.protocol.messages import notice_response, ready_for_query
from trunkline.protocol.options import parse_options
from trunkline.protocol.startup import (
    Answer,
    CancelRequest,
    Negotiation,
    StartupMessage,
    backend_key_data,
    is_tls_hello,
    negotiate_protocol_version,
    parse_startup,
)
from trunkline.proxy.arrival import Arrival
from trunkline.proxy.authentication import Authentication
from trunkline.proxy.client import ClientLink
from trunkline.proxy.clients import Clients
from trunkline.proxy.identity import Identity
from trunkline.proxy.routed import Route

log = logging.getLogger("trunkline.client")

Console = Callable[[ClientLink, Inbox, Identity], Coroutine[Any, Any, None]]
Replication = Callable[[ClientLink, Inbox, Identity, StartupMessage, bytes], Awaitable[None]]

READY = ready_for_query()
KEY_BYTES = {0: 4, 2: 32}  # of a cancel key, by protocol minor version


@dataclass(slots=True)
class Door:
    """What every login needs; one for the process, changed by a reload."""

    config: Config
    pools: Pools
    clients: Clients
    derivation: KeyDerivation
    auth_queries: AuthQueries
    ldap: Ldap
    pam: Pam
    seed: LoginSeed
    tls: ClientTls
    console: Console
    replication: Replication
    routers: Routers
    draining: bool = False

    @property
    def turns_away(self) -> bool:
        """Who has been accepted is let in where PgBouncer would do so, and where another program is on the port."""
        return self.draining and not (self.config.from_ini or self.config.settings.so_reuseport)


async def log_in(door: Door, link: ClientLink, inbox: Inbox) -> None:
    """Serve one new connection until it relays by itself, or is over. Never raises."""
    identity: Identity = link.session
    login = _Login(door, link, inbox, identity)
    try:
        async with asyncio.timeout(door.config.settings.client_login_timeout or None) as limit:
            await login.run(limit)
    except TrunklineError as error:
        login.refuse(error)
    except TimeoutError:
        login.refuse(LoginTimeout("client_login_timeout"))
    except MessageTooLong:
        login.refuse(ProtocolViolation("invalid message length"))
    except (ConnectionEnded, ssl.SSLError):
        door.clients.on_gone(link, "left during login")
    except asyncio.CancelledError:
        door.clients.on_gone(link, "the login was ended")
        raise
    except Exception as error:
        log.exception("internal error at the login of %s", identity)
        door.clients.on_internal_error(link, error)


class _Login:
    """The steps of one login, in order."""

    __slots__ = ("_accepted", "_limit", "door", "identity", "inbox", "link", "startup")

    def __init__(self, door: Door, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self.door = door
        self.link = link
        self.inbox = inbox
        self.identity = identity
        self.startup: StartupMessage
        self._limit: asyncio.Timeout
        self._accepted = b""  # the end of the authentication, not sent yet

    def refuse(self, error: TrunklineError) -> None:
        """The last word; the end of the authentication goes before it, unless that is what the server refused."""
        error.severity = "FATAL"
        if self._accepted and getattr(error, "authenticated", True):
            self.link.write(self._accepted)
        self.door.clients.end(self.link, error)

    async def run(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        startup = await self._negotiate()
        if startup is None:
            return
        self.startup = startup
        self.identity.user = startup.user.decode(errors="surrogateescape")
        self.identity.database = startup.database.decode(errors="surrogateescape")
        console = self.identity.database in RESERVED_DATABASES
        if self.door.turns_away and not console:
            raise ShuttingDown("the pooler is shutting down")
        self._check_tls()
        self.door.clients.admit(self.identity, admin=console)
        if not console:
            await self.door.clients.admit_among_all(self.identity, known=False)
        self.link.write(negotiate_protocol_version(startup.minor, startup.unknown_options))
        self._accepted = await Authentication(self.door, self.link, self.inbox, self.identity).run(startup)
        failpoint("login_accepted")
        await self._enter(console)

    # --- before login -------------------------------------------------------------------------------------------

    async def _negotiate(self) -> StartupMessage | None:
        """Answer requests until the startup packet; None when the connection was a cancel request."""
        negotiation = Negotiation(tls_offered=self.door.tls.context is not None and not self.identity.peer.is_unix)
        while True:
            while not self.inbox.data:
                await self.inbox.more()
            if is_tls_hello(self.inbox.data[0]) and not self.link.is_tls:
                negotiation.direct_tls()
                await self._start_tls(self.inbox.rest(), direct=True)
                continue
            parsed = parse_startup(self.inbox.data)
            if parsed is None:
                await self.inbox.more()
                continue
            request, size = parsed
            del self.inbox.data[:size]
            answer = negotiation.feed(request, len(self.inbox.data))
            if answer is Answer.LOGIN:
                assert isinstance(request, StartupMessage)
                return request
            if answer is Answer.CANCEL:
                assert isinstance(request, CancelRequest)
                heard = self.door.clients.cancels.request(request.pid, request.key, self.identity.peer.host)
                if heard is not None:
                    await asyncio.wait([heard])
                self.link.close()
                return None
            await self._answer(answer)

    async def _answer(self, answer: Answer) -> None:
        if answer is Answer.REFUSE:
            self.link.write(b"N")
            return
        if self.inbox.data:
            raise ProtocolViolation("received unencrypted data after SSL request")
        self.link.write(b"S")
        await self._start_tls(b"", direct=False)

    async def _start_tls(self, hello: bytes, *, direct: bool) -> None:
        assert self.door.tls.context is not None
        channel = TlsChannel(self.door.tls.context, server_side=True)
        self.link.start_tls(channel, hello)
        await channel.ready
        if direct and channel.alpn() != ALPN:
            raise ProtocolViolation(
                "received direct SSL connection request without ALPN protocol negotiation extension"
            )

    def _check_tls(self) -> None:
        required = self.door.tls.mode in ("require", "verify-ca", "verify-full")
        if required and not self.link.is_tls and not self.identity.peer.is_unix:
            raise NotAuthorized("SSL required", hint='client_tls_sslmode demands TLS: use sslmode="require".')

    # --- after login --------------------------------------------------------------------------------------------

    async def _enter(self, console: bool) -> None:
        door, identity, key_bytes = self.door, self.identity, KEY_BYTES[self.startup.spoken_minor]
        if console:
            if not (identity.is_owner or door.config.settings.may_read_console(identity.user)):
                raise NotAuthorized("not allowed")
            door.clients.register(self.link, identity, "console", key_bytes)
            door.clients.move(self.link, door.clients.consoles)
            self.link.write(self._accepted)
            door.clients.tasks.spawn(door.console(self.link, self.inbox, identity), "console")
            return
        door.pools.database(identity.database)
        if identity.database in door.pools.disabled:
            raise DatabaseDisabled(f'database "{identity.database}" is disabled')
        if door.config.shard(identity.database) is not None:
            raise UnknownDatabase(f'database "{identity.database}" does not exist')
        door.clients.admit_known(identity)
        await door.clients.admit_among_all(identity, known=True)
        if self.startup.replication is not None:
            await door.replication(self.link, self.inbox, identity, self.startup, self._accepted)
            return
        settings = self._settings()
        door.clients.enroll(self.link, identity, "client", key_bytes)
        failpoint("client_registered")
        route = await self._route()
        if route is not None and route.readers is not None:
            settings, token = without_token(settings)
            self._read_behind(route, token)
        pool = door.pools.pool(self._home(), identity.user)
        profile = await Arrival(pool, door.config.settings, self.link, self.inbox, self._limit, route).enter(settings)
        if self.link.server is not None:  # in session pooling: it keeps it, so it goes by that server's process id
            door.clients.tell_pid(self.link, self.link.server.pid)
        door.clients.log_login(self.link)
        pool.login_count += 1
        key_data, notice = backend_key_data(identity.pid, identity.key), _notice(door.config.settings)
        self.link.write(self._accepted + profile.greeting + key_data + notice + READY)
        failpoint("greeting_sent")
        self.link.close_inbox(self.inbox.rest())

    def _home(self) -> str:
        """The database whose pool a client begins in: of one with shards, the home shard."""
        name = self.identity.database
        sharding = self.door.pools.database(name).sharding
        return f"{name}/{sharding.home}" if sharding is not None and self.door.config.shards_of(name) else name

    async def _route(self) -> Route | None:
        """Of a database with shards or split reads, what its clients go by; the first of them waits for the catalog."""
        door, identity = self.door, self.identity
        keeps_server = door.config.pool_settings(identity.database, identity.user).pool_mode is PoolMode.SESSION
        is_whole = door.pools.database(identity.database).sharding is None
        if not door.config.shards_of(identity.database) or (is_whole and keeps_server):
            return None
        router = await door.routers.router_of(identity.database, identity.user)
        readers = door.routers.readers_of(identity.database, identity.user)
        pools = partial(door.routers.pools_of, identity.database, identity.user)
        if is_whole:
            return Route(router, pools, readers)
        from trunkline.execution.spread.ids import Ids  # loaded where there are shards only
        from trunkline.proxy.at_once import go_on

        coordination = door.routers.coordinations.of(identity.database)
        several = partial(go_on, door.routers.studies_of(identity.database), coordination)
        route = Route(router, pools, readers, several)
        route.ids = Ids(coordination.ids)
        return route

    def _read_behind(self, route: Route, token: str) -> None:
        """What the client's reads must have been replayed, by a token of another connection's."""
        try:
            route.read_behind(token)
        except InvalidPosition as error:
            raise InvalidStartupValue(error.message, hint=error.hint) from None

    def _settings(self) -> tuple[tuple[bytes, bytes], ...]:
        """The settings that the startup packet asks for, `options` taken apart, in PostgreSQL's order."""
        ignored = {name.lower().encode() for name in self.door.config.settings.ignore_startup_parameters}
        settings: dict[bytes, bytes] = {}
        for name, value in self.startup.parameters.items():
            if name.lower() in ignored:
                continue
            for key, text in parse_options(value) if name == b"options" else ((name, value),):
                settings[key] = text
        if self.door.config.settings.application_name_add_host:
            settings[b"application_name"] = self._with_host(settings.get(b"application_name", b"app"))
        return tuple(settings.items())

    def _with_host(self, name: bytes) -> bytes:
        return b"%b - %b" % (name, str(self.identity.peer).encode())


def _notice(settings: Settings) -> bytes:
    return notice_response("00000", settings.login_notify_message) if settings.login_notify_message else b""
