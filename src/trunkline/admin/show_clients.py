"""SHOW CLIENTS, SERVERS, SOCKETS and ACTIVE_SOCKETS: one row a connection, told from the place that it is in."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row, Value
from trunkline.admin.show_pools import CONSOLE
from trunkline.net.link import Link
from trunkline.pool.pool import Pool
from trunkline.pool.server import ServerLink
from trunkline.protocol.params import Params
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity
from trunkline.proxy.instance import Instance


class _Clock:
    """Turns the engine's time, which has no date, into what operators read."""

    def __init__(self, instance: Instance) -> None:
        self.now = instance.pools.now
        self._offset = time.time() - self.now

    def date(self, moment: float) -> str:
        if not moment:
            return ""
        return datetime.fromtimestamp(moment + self._offset, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def since(self, moment: float) -> tuple[int, int]:
        """Whole seconds, and the microseconds beyond them."""
        waited_us = int((self.now - moment) * 1e6) if moment else 0
        return waited_us // 1_000_000, waited_us % 1_000_000


# --- clients ----------------------------------------------------------------------------------------------------


@show("CLIENTS", columns.SOCKETS)
def show_clients(instance: Instance) -> Iterator[Row]:
    clock = _Clock(instance)
    for link in instance.clients:
        yield _client_row(link, link.session, clock, client_state(link))


def client_state(link: ClientLink) -> str:
    """PgBouncer's words: active has a server, waiting wants one, idle (like the console itself) does neither."""
    if link.waiting_since:
        return "waiting"
    return "active" if link.server is not None or link.several is not None else "idle"


def _client_row(link: ClientLink, identity: Identity, clock: _Clock, state: str) -> Row:
    peer = identity.peer
    return (
        "C",
        identity.user or "(nouser)",
        CONSOLE if identity.kind == "console" else identity.database or "(nodb)",
        "physical" if identity.kind == "replication" else "none",
        state,
        peer.host,
        peer.port,
        peer.local_host,
        peer.local_port,
        clock.date(link.connected_at),
        clock.date(link.active_at or link.connected_at),
        *clock.since(link.waiting_since),
        0,
        _pointer(link),
        _pointer(link.server),
        0,
        _tls(link),
        application_name(link.params),
        len(link.names or ()),
        link.id,
    )


# --- servers ----------------------------------------------------------------------------------------------------


@show("SERVERS", columns.SOCKETS)
def show_servers(instance: Instance) -> Iterator[Row]:
    clock = _Clock(instance)
    for pool in instance.pools:
        for server, state in _servers(pool):
            yield _server_row(pool, server, state, clock)


def _servers(pool: Pool) -> Iterator[tuple[ServerLink, str]]:
    places = (
        (pool.active, "active"),
        (pool.idle, "idle"),
        (pool.tested, "tested"),
        (pool.logging_in, "new"),
        (pool.canceled, "being_canceled"),
        (pool.draining, "tested"),
    )
    for place, state in places:
        for server in place:
            yield server, state


def _server_row(pool: Pool, server: ServerLink, state: str, clock: _Clock) -> Row:
    return (
        "S",
        pool.user,
        pool.database,
        "none",
        state,
        *_addresses(server),
        clock.date(server.connected_at),
        clock.date(server.request_at or server.connected_at),
        *clock.since(0.0),
        int(server.close_needed),
        _pointer(server),
        _pointer(server.lessee),
        server.pid,
        _tls(server),
        application_name(server.params),
        len(server.prepared),
        server.id,
    )


def _addresses(server: ServerLink) -> tuple[Value, ...]:
    """addr, port, local_addr, local_port: as the socket has them, for a name may stand for many servers."""
    configured = (server.address.host, server.address.port)
    if server.address.is_unix:
        return "unix", server.address.port, "unix", 0
    try:
        with socket.socket(fileno=socket.dup(server.fileno())) as duplicate:
            return *duplicate.getpeername()[:2], *duplicate.getsockname()[:2]
    except OSError:  # not connected yet, or no longer
        return *configured, "", 0


# --- sockets ----------------------------------------------------------------------------------------------------

_SERVER_STATES = {"active": "sv_active", "idle": "sv_idle", "tested": "sv_tested", "new": "sv_login"}


@show("SOCKETS", columns.SOCKET_DETAILS)
def show_sockets(instance: Instance) -> Iterator[Row]:
    for link, row in _sockets(instance):
        yield *row, *_buffers(link)


@show("ACTIVE_SOCKETS", columns.SOCKET_DETAILS)
def show_active_sockets(instance: Instance) -> Iterator[Row]:
    """Those for which something is kept, or not yet sent."""
    for link, row in _sockets(instance):
        buffers = _buffers(link)
        if any(buffers):
            yield *row, *buffers


def _sockets(instance: Instance) -> Iterator[tuple[Link, Row]]:
    clock = _Clock(instance)
    for client in instance.clients:
        state = "cl_waiting" if client.waiting_since else "cl_active"
        yield client, _client_row(client, client.session, clock, state)
    for pool in instance.pools:
        for server, state in _servers(pool):
            if state in _SERVER_STATES:
                yield server, _server_row(pool, server, _SERVER_STATES[state], clock)
    for client in instance.clients.logging_in:
        yield client, _client_row(client, client.session, clock, "cl_login")


def _buffers(link: Link) -> tuple[int, ...]:
    """Nothing is parsed or sent between two events: only what waits for more, and what waits for the peer, is there."""
    kept, unsent = len(link.kept or b""), link.unsent_count
    return kept, 0, 0, 0, unsent, kept, unsent


# --- both -------------------------------------------------------------------------------------------------------


def _pointer(link: Link | None) -> str:
    return f"0x{link.id:x}" if link is not None else ""


def _tls(link: Link) -> str:
    return link.tls_channel.describe() if link.is_tls and link.tls_channel is not None else ""


def application_name(params: Params | None) -> str:
    return params.reported.get(b"application_name", b"").decode(errors="replace") if params is not None else ""
