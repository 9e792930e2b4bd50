"""A whole relay in one process, with its far ends in the test's hands.

Pools, clients and links are the real ones; only the opening of server connections is replaced, by socket pairs whose
other ends the test plays. Nothing here waits: `turn` lets the engine serve what has arrived, `settle` the loop too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings, UserSettings
from trunkline.errors import TrunklineError
from trunkline.net.engine import Engine
from trunkline.net.inbox import Inbox
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Target
from trunkline.pool.pools import Pools
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import command_complete, message, ready_for_query
from trunkline.protocol.messages import query as query  # part of what clients say, below
from trunkline.protocol.params import Params
from trunkline.protocol.scanner import FrameCutter
from trunkline.proxy.client import ClientLink
from trunkline.proxy.clients import Clients
from trunkline.proxy.identity import Identity, Peer

ADDRESS = ServerAddress("127.0.0.1", 5432)
READY = ready_for_query()
IN_TRANSACTION = ready_for_query(b"T")
SYNC = message(b"S", b"")


class FarEnd:
    """The other side of a link's socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.setblocking(False)
        self._cutter = FrameCutter(0x7FFFFFFF)
        self.closed = False

    def send(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def bytes(self) -> bytes:
        """Everything that has arrived; notes if that was the end."""
        data = b""
        while not self.closed:
            try:
                piece = self.socket.recv(1 << 16)
            except BlockingIOError:
                break
            except ConnectionResetError:
                piece = b""
            data += piece
            self.closed = not piece
        return data

    def frames(self) -> list[tuple[str, bytes]]:
        """Everything that has arrived, as (type, body)."""
        return [(chr(kind), body) for kind, body in self._cutter.feed(self.bytes())]

    def kinds(self) -> str:
        """The types of what has arrived: "1T" is ParseComplete and RowDescription."""
        return "".join(kind for kind, _ in self.frames())

    def close(self) -> None:
        self.socket.close()


def pair() -> tuple[int, FarEnd]:
    """A descriptor for a link, and the far end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours.detach(), FarEnd(theirs)


class Opener:
    """Stands in for `pool.opening.Opener`: a connection is a socket pair, at once, later or never."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.opened: list[tuple[ServerLink, FarEnd]] = []
        self.dialed: list[FarEnd] = []  # for cancel requests
        self.calls: list[Target] = []
        self.refusal: TrunklineError | None = None
        self.gate: asyncio.Event | None = None
        self.params = Params.of({b"TimeZone": b"UTC"}, {})

    async def open(self, owner: Leases, target: Target, place: Callable[[ServerLink], None]) -> ServerLink:
        self.calls.append(target)
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        server, _far = self.connect(owner)
        place(server)
        return server

    def connect(self, owner: Leases) -> tuple[ServerLink, FarEnd]:
        fd, far = pair()
        server = ServerLink(self.engine, owner, ADDRESS)
        server.params = self.params
        server.pid, server.cancel_key = 4000 + len(self.opened), b"key%d" % (len(self.opened) % 10)
        server.attach(fd)
        self.opened.append((server, far))
        return server, far

    async def dial(self, owner: Leases, address: ServerAddress, *, secure: bool) -> tuple[ServerLink, Inbox]:
        if self.refusal is not None:
            raise self.refusal
        fd, far = pair()
        link = ServerLink(self.engine, owner, address)
        inbox = Inbox(link)
        link.attach(fd)
        self.dialed.append(far)
        return link, inbox


def config(users: dict[str, UserSettings] | None = None, databases: Any = None, **settings: Any) -> Config:
    """A configuration with one database, `app`, and no TLS."""
    databases = databases or {"app": DatabaseSettings("app", hosts=("127.0.0.1",))}
    quiet = {"server_check_query": "", "log_connections": False, "log_disconnections": False}
    return Config(replace(Settings(), **{**quiet, **settings}), databases, users or {}, {}, "test")


def hide_nothing(pools: Pools) -> None:
    """No code is behind any name of these databases, and no server is asked about it."""
    for name in pools.config.databases:
        pools.code_of(name).known, pools.code_of(name).looked_at = True, float("inf")


class Relay:
    """Pools, clients and an engine, wired as an instance wires them."""

    def __init__(self, configuration: Config) -> None:
        self.engine = Engine(asyncio.get_running_loop())
        self.opener = Opener(self.engine)
        self.pools = Pools(configuration, self.engine, self.opener)  # type: ignore[arg-type]
        hide_nothing(self.pools)
        self.clients = Clients(configuration, self.pools)
        self.pool = self.pools.pool("app", "u")
        self.links: list[ClientLink] = []
        self.far_ends: list[FarEnd] = []

    def client(
        self, *, params: Params | None = None, sticky: bool = False, user: str = "u", max_bytes: int = 1 << 30
    ) -> tuple[ClientLink, FarEnd]:
        """A logged-in client."""
        fd, far = pair()
        link = ClientLink(self.engine)
        identity = Identity(self.clients, Peer("", ""))
        identity.database, identity.user = "app", user
        link.session = identity
        link.attach(fd)
        self.clients.register(link, identity, "client", 4)
        pool = self.pools.pool("app", user)
        link.begin(pool, params or self.opener.params, sticky, max_bytes)
        pool.place_client(link, pool.clients)
        self.links.append(link)
        self.far_ends.append(far)
        return link, far

    def server(self) -> tuple[ServerLink, FarEnd]:
        """One more idle server in the pool of user `u`."""
        server, far = self.opener.connect(self.pool)
        self.pool.profiles.rebase(server.params)
        self.pool.settle(server)
        return server, far

    def turn(self, times: int = 6) -> None:
        """Serve what has arrived, and what comes of that."""
        for _ in range(times):
            self.engine.dispatch()

    async def settle(self, times: int = 8) -> None:
        """The same for tasks and callbacks too."""
        for _ in range(times):
            self.engine.dispatch()
            await asyncio.sleep(0)

    async def close(self) -> None:
        for link in self.links:
            link.close()
        for server, far in self.opener.opened:
            server.close()
            far.close()
        for far in (*self.far_ends, *self.opener.dialed):
            far.close()
        for pool in self.pools:
            await pool.tasks.cancel()
        await self.pools.tasks.cancel()
        self.engine.close()


@asynccontextmanager
async def relay(**settings: Any) -> AsyncIterator[Relay]:
    """A relay that is closed at the end; `settings` as in the configuration file."""
    made = Relay(config(**settings))
    try:
        yield made
    finally:
        await made.close()


# --- what PostgreSQL and clients say ----------------------------------------------------------------------------------


def parse(name: bytes, sql: bytes = b"select 1") -> bytes:
    return message(b"P", name + b"\0" + sql + b"\0\0\0")


def bind(name: bytes, portal: bytes = b"") -> bytes:
    return message(b"B", portal + b"\0" + name + b"\0" + b"\0\0\0\0\0\0")


def describe(name: bytes, kind: bytes = b"S") -> bytes:
    return message(b"D", kind + name + b"\0")


def execute(portal: bytes = b"") -> bytes:
    return message(b"E", portal + b"\0\0\0\0\0")


def close(name: bytes, kind: bytes = b"S") -> bytes:
    return message(b"C", kind + name + b"\0")


def rows(*values: bytes, tag: str = "SELECT 1") -> bytes:
    """What a simple query answers, without its ReadyForQuery."""
    described = message(b"T", b"\0\1c\0" + bytes(18))
    data = (message(b"D", b"\0\1" + len(value).to_bytes(4, "big") + value) for value in values)
    return described + b"".join(data) + command_complete(tag)


def error(sqlstate: str = "42601", text: str = "no", severity: str = "ERROR") -> bytes:
    fields = f"S{severity}\0V{severity}\0C{sqlstate}\0M{text}\0\0"
    return message(b"E", fields.encode())
