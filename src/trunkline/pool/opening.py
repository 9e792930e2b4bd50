"""Opening a server connection: connect, TLS, login, connect_query; one coroutine from nothing to a ready ServerLink.

The whole way is bounded by server_connect_timeout. Cancelled or failed anywhere, the descriptor is closed and nothing
of the connection is left.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trunkline.auth.replies import Accept, Derive, Send
from trunkline.auth.secret import Secret
from trunkline.auth.server_login import ServerAuthentication
from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.errors import ServerProtocolViolation, ServerRefused, ServerUnavailable, TrunklineError
from trunkline.failpoints import failpoint
from trunkline.net.contexts import end_point_hash
from trunkline.net.engine import Engine
from trunkline.net.inbox import ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.sockets import Resolver, connect, resolve
from trunkline.net.tls import TlsChannel
from trunkline.pool.derivation import KeyDerivation
from trunkline.pool.leases import Leases
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import SSL_REQUEST, parse_fields, query, startup_message
from trunkline.protocol.params import Params

log = logging.getLogger("trunkline.pool")

LOGIN_MESSAGE_BYTES = 65536
_TLS_FIRST = ("prefer", "require", "verify-ca", "verify-full")
_TLS_REQUIRED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known of the user towards the server (see ServerAuthentication)."""

    user: str
    password: str | bytes | None
    secret: Secret | None
    scram_keys: tuple[bytes, bytes] | None

    def __repr__(self) -> str:
        return f"<Credentials {self.user!r}>"


@dataclass(frozen=True, slots=True)
class Target:
    """Where and as whom to log in."""

    address: ServerAddress
    database: str
    credentials: Credentials
    parameters: Sequence[tuple[bytes, bytes]]
    connect_query: str = ""
    quiet: bool = False  # whoever opens it tells what came of that; the error's cause is what the system said


class Opener:
    """Opens servers for all pools of a process."""

    def __init__(self, engine: Engine, derivation: KeyDerivation) -> None:
        self.engine = engine
        self.derivation = derivation
        self.settings = Settings()
        self.tls: ssl.SSLContext | None = None
        self.resolver: Resolver = resolve

    def use(self, settings: Settings, tls: ssl.SSLContext | None) -> None:
        """After start and reload: what new connections are made with."""
        self.settings, self.tls = settings, tls

    async def open(self, owner: Leases, target: Target, place: Callable[[ServerLink], None]) -> ServerLink:
        """A logged-in server, taken out of inbox mode; TrunklineError when it cannot be had."""
        try:
            async with asyncio.timeout(self.settings.server_connect_timeout or None):
                return await self._open(owner, target, place)
        except TimeoutError:
            raise ServerUnavailable("timed out connecting to the server") from None
        except OSError as error:
            if not target.quiet:
                log.warning("cannot connect to %s: %s", target.address, error.strerror or error)
            raise ServerUnavailable("cannot connect to the server") from error
        except (ConnectionEnded, MessageTooLong):
            raise ServerUnavailable("the server closed the connection during login") from None

    async def _open(self, owner: Leases, target: Target, place: Callable[[ServerLink], None]) -> ServerLink:
        mode = self.settings.server_tls_sslmode
        if mode != "allow" or target.address.is_unix:
            return await self._attempt(owner, target, place, secure=mode in _TLS_FIRST)
        try:
            return await self._attempt(owner, target, place, secure=False)
        except ServerRefused as refusal:
            if refusal.sqlstate != "28000":  # what a server says whose pg_hba.conf wants TLS
                raise
            return await self._attempt(owner, target, place, secure=True)

    async def _attempt(
        self, owner: Leases, target: Target, place: Callable[[ServerLink], None], *, secure: bool
    ) -> ServerLink:
        link, inbox = await self.dial(owner, target.address, secure=secure)
        try:
            place(link)
            await self._login(link, inbox, target)
            if target.connect_query:
                await _ask(link, inbox, target.connect_query)
            failpoint("server_logged_in")
            if self.settings.log_connections and not target.quiet:
                log.info("new server connection: %s", link)
            link.close_inbox(inbox.rest())
            if not link.opened:  # its end came with its last word, and nobody would hear of it any more
                raise ConnectionEnded
        except BaseException:
            link.close()
            raise
        return link

    async def dial(self, owner: Leases, address: ServerAddress, *, secure: bool) -> tuple[ServerLink, Inbox]:
        """A connection, encrypted if that was asked for and agreed, with nothing said inside yet."""
        sock = await connect(address, self.settings, self.resolver)
        link = ServerLink(self.engine, owner, address)
        inbox = Inbox(link)
        try:
            link.attach(sock.detach())
            failpoint("server_dialled")
            if secure and not address.is_unix:
                await self._encrypt(link, inbox, address)
        except BaseException:
            link.close()
            raise
        return link, inbox

    async def _encrypt(self, link: ServerLink, inbox: Inbox, address: ServerAddress) -> None:
        link.write(SSL_REQUEST)
        answer = await inbox.take(1)
        if answer == b"N" and self.settings.server_tls_sslmode not in _TLS_REQUIRED:
            return
        if answer != b"S" or self.tls is None:
            raise ServerUnavailable("the server does not speak TLS, which server_tls_sslmode demands")
        if inbox.data:  # bytes that nobody has encrypted must not pass for the server's (CVE-2021-23222)
            raise ServerProtocolViolation("received unencrypted data after SSL response")
        channel = TlsChannel(self.tls, server_side=False, host=address.host)
        link.start_tls(channel)
        try:
            await channel.ready
        except (ssl.SSLError, ValueError) as error:
            log.warning("TLS with %s failed: %s", address, error)
            raise ServerUnavailable("TLS with the server failed") from None

    async def _login(self, link: ServerLink, inbox: Inbox, target: Target) -> None:
        link.write(startup_message(_identity(target)))
        await self._authenticate(link, inbox, target.credentials)
        reported: dict[bytes, bytes] = {}
        while True:
            kind, body = await inbox.message(LOGIN_MESSAGE_BYTES)
            if kind == ord("Z"):
                break
            if kind == ord("S"):
                name, value = _reported(body)
                reported[name] = value
            elif kind == ord("K"):
                link.pid, link.cancel_key = int.from_bytes(body[:4], "big"), body[4:260]
            elif kind == ord("E"):
                raise _refusal(body)
            elif kind != ord("N"):
                raise ServerProtocolViolation("unexpected message from the server during login")
        link.params = Params.of(reported, {})

    async def _authenticate(self, link: ServerLink, inbox: Inbox, known: Credentials) -> None:
        certificate = link.tls_channel.peer_certificate() if link.tls_channel is not None else None
        binding = end_point_hash(certificate) if certificate else None
        exchange = ServerAuthentication(known.user, known.password, known.secret, known.scram_keys, binding)
        while True:
            kind, body = await inbox.message(LOGIN_MESSAGE_BYTES)
            if kind == ord("E"):
                raise _refusal(body, authenticated=False)
            if kind in b"Nv":  # a notice; or an older server's protocol version, which is ours too
                continue
            if kind != ord("R") or len(body) < 4:
                raise ServerProtocolViolation("unexpected message from the server during login")
            reply = exchange.feed(int.from_bytes(body[:4], "big"), body[4:])
            if isinstance(reply, Derive):
                reply = exchange.derived(await self.derivation.keys(reply))
            if isinstance(reply, Send) and reply.payload:
                link.write(reply.payload)
            if isinstance(reply, Accept):
                return


def _identity(target: Target) -> list[tuple[bytes, bytes]]:
    user = target.credentials.user.encode(errors="surrogateescape")
    database = target.database.encode(errors="surrogateescape")
    return [(b"user", user), (b"database", database), *target.parameters]


def _reported(body: bytes) -> tuple[bytes, bytes]:
    """Name and value of a ParameterStatus."""
    parts = body.split(b"\0")
    if len(parts) != 3:
        raise ServerProtocolViolation("unexpected message from the server during login")
    return parts[0], parts[1]


def _refusal(body: bytes, *, authenticated: bool = True) -> ServerRefused:
    fields = parse_fields(body)
    detail, hint = fields.get("D"), fields.get("H")
    return ServerRefused(fields["C"], fields["M"], detail=detail, hint=hint, authenticated=authenticated)


async def _ask(link: ServerLink, inbox: Inbox, sql: str) -> None:
    """Run connect_query; an error of it is the connection's."""
    link.write(query(sql.encode()))
    failure: TrunklineError | None = None
    while True:
        kind, body = await inbox.message(LOGIN_MESSAGE_BYTES)
        if kind == ord("E"):
            failure = _refusal(body)
        if kind == ord("S"):
            name, value = _reported(body)
            link.params = link.params.with_reported(name, value)
        if kind == ord("Z"):
            break
    if failure is not None:
        raise failure
