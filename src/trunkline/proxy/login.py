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
from typing import Any

from trunkline.auth.login import ClientAuthentication
from trunkline.auth.replies import Accept, Derive, Send
from trunkline.auth.secret import LoginSeed, Secret
from trunkline.config.settings import RESERVED_DATABASES, Config, PoolMode
from trunkline.errors import (
    LoginTimeout,
    NotAuthorized,
    ProtocolViolation,
    ShuttingDown,
    TrunklineError,
)
from trunkline.failpoints import failpoint
from trunkline.net.contexts import ClientTls
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.tls import ALPN, TlsChannel
from trunkline.pool.derivation import KeyDerivation
from trunkline.pool.pools import Pools
from trunkline.pool.profile import Profile
from trunkline.protocol.messages import ready_for_query
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
from trunkline.proxy.borrower import judge
from trunkline.proxy.client import ClientLink
from trunkline.proxy.clients import Clients
from trunkline.proxy.identity import Identity

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
    seed: LoginSeed
    tls: ClientTls
    console: Console
    replication: Replication
    draining: bool = False


async def log_in(door: Door, link: ClientLink, inbox: Inbox) -> None:
    """Serve one new connection until it relays by itself, or is over. Never raises."""
    identity: Identity = link.session
    try:
        async with asyncio.timeout(door.config.settings.client_login_timeout or None):
            await _Login(door, link, inbox, identity).run()
    except TrunklineError as error:
        _refuse(door, link, identity, error)
    except TimeoutError:
        _refuse(door, link, identity, LoginTimeout("client_login_timeout"))
    except MessageTooLong:
        _refuse(door, link, identity, ProtocolViolation("invalid message length"))
    except (ConnectionEnded, ssl.SSLError):
        link.close()
    except asyncio.CancelledError:
        door.clients.on_gone(link, "the login was ended")
        raise
    except Exception as error:
        log.exception("internal error at the login of %s", identity)
        door.clients.on_internal_error(link, error)


def _refuse(door: Door, link: ClientLink, identity: Identity, error: TrunklineError) -> None:
    error.severity = "FATAL"
    door.clients.end(link, error)


class _Login:
    """The steps of one login, in order."""

    __slots__ = ("door", "identity", "inbox", "link", "startup")

    def __init__(self, door: Door, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self.door = door
        self.link = link
        self.inbox = inbox
        self.identity = identity
        self.startup: StartupMessage

    async def run(self) -> None:
        startup = await self._negotiate()
        if startup is None:
            return
        self.startup = startup
        self.identity.user = startup.user.decode(errors="surrogateescape")
        self.identity.database = startup.database.decode(errors="surrogateescape")
        console = self.identity.database in RESERVED_DATABASES
        if self.door.draining and not console:
            raise ShuttingDown("the pooler is shutting down")
        self._check_tls()
        self.door.clients.admit(self.identity, admin=console)
        self.link.write(negotiate_protocol_version(startup.minor, startup.unknown_options))
        accepted = await self._authenticate()
        failpoint("login_accepted")
        await self._enter(accepted.payload, console)

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
                self.door.clients.cancel(request.pid, request.key)
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

    # --- authentication -----------------------------------------------------------------------------------------

    def _secret(self) -> Secret | None:
        """The stored secret; an empty one, which matches nothing, says that the user exists."""
        config, user = self.door.config, self.identity.user
        text = config.user(user).password
        if text is None:
            text = config.secrets.get(user, "" if user in config.users else None)
        return None if text is None else Secret.parse(text)

    async def _authenticate(self) -> Accept:
        channel = self.link.tls_channel
        exchange = ClientAuthentication(
            self.door.config.settings.auth_type,
            self.identity.user,
            self._secret(),
            seed=self.door.seed,
            tls=channel is not None,
            certificate_hash=self.door.tls.certificate_hash,
            certificate_user=channel.peer_name() if channel is not None else None,
        )
        reply = exchange.start()
        while not isinstance(reply, Accept):
            if isinstance(reply, Derive):
                reply = exchange.derived(await self.door.derivation.keys(reply))
                continue
            assert isinstance(reply, Send)
            self.link.write(reply.payload)
            kind, body = await self.inbox.message(exchange.max_message_bytes)
            if kind == ord("X"):
                raise ConnectionEnded
            if kind != ord("p"):
                raise ProtocolViolation(f"expected password response, got message type {kind}")
            reply = exchange.feed(body)
        keys = (reply.client_key, reply.server_key) if reply.client_key and reply.server_key else None
        self.door.pools.prove(self.identity.user, reply.password, keys)
        return reply

    # --- after login --------------------------------------------------------------------------------------------

    async def _enter(self, accepted: bytes, console: bool) -> None:
        door, identity = self.door, self.identity
        if console:
            door.clients.register(self.link, identity, "console", KEY_BYTES[self.startup.spoken_minor])
            door.clients.move(self.link, door.clients.consoles)
            self.link.write(accepted)
            door.clients.tasks.spawn(door.console(self.link, self.inbox, identity), "console")
            return
        door.pools.database(identity.database)
        door.clients.admit_known(identity)
        if self.startup.replication is not None:
            await door.replication(self.link, self.inbox, identity, self.startup, accepted)
            return
        pool = door.pools.pool(identity.database, identity.user)
        profile = await self._profile()
        if not self.link.opened:
            raise ConnectionEnded
        sticky = pool.settings.pool_mode is PoolMode.SESSION
        door.clients.register(self.link, identity, "client", KEY_BYTES[self.startup.spoken_minor])
        failpoint("client_registered")
        self.link.begin(pool, profile.params, sticky, door.config.settings.max_packet_size)
        pool.place_client(self.link, pool.clients)
        pool.login_count += 1
        self.link.write(accepted + profile.greeting + backend_key_data(identity.pid, identity.key) + READY)
        failpoint("greeting_sent")
        self.link.close_inbox(self.inbox.rest())

    async def _profile(self) -> Profile:
        pool = self.door.pools.pool(self.identity.database, self.identity.user)
        settings = self._settings()
        known = pool.profiles.find(settings)
        if known is not None:
            return known
        return pool.profiles.learn(settings, await judge(pool, self.door.pools.engine, settings))

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
