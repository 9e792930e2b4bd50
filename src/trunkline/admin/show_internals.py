"""SHOW MEM, FDS, DNS_HOSTS, DNS_ZONES, PEERS, PEER_POOLS: what PgBouncer shows of its inside, as far as it is there.

Memory is not kept in caches here: a row is a kind of object, its size without what it refers to. Descriptors are
shown, not handed over, and no key or password with them: nobody can take the sockets over from a console.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.admin.show_pools import database_names, user_names
from trunkline.config.settings import DatabaseSettings, UserSettings
from trunkline.net.link import Link
from trunkline.pool.pool import Pool
from trunkline.pool.server import ServerLink
from trunkline.protocol.params import Params
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity
from trunkline.proxy.instance import Instance


@show("MEM", columns.MEM)
def show_mem(instance: Instance) -> Iterator[Row]:
    pools = list(instance.pools)
    servers = sum(len(place) for pool in pools for place in pool.places)
    clients = len(instance.clients) + len(instance.clients.logging_in)
    for name, kind, used in (
        ("user_cache", UserSettings, len(user_names(instance))),
        ("db_cache", DatabaseSettings, len(database_names(instance)) + 1),
        ("pool_cache", Pool, len(pools) + 1),
        ("server_cache", ServerLink, servers),
        ("client_cache", ClientLink, clients),
        ("identity_cache", Identity, clients),
    ):
        size = kind.__basicsize__
        yield name, size, used, 0, size * used
    unsent = [link.unsent_count for link in _links(instance) if link.unsent_count]
    yield "iobuf_cache", max(unsent, default=0), len(unsent), 0, sum(unsent)


def _links(instance: Instance) -> Iterator[Link]:
    yield from instance.clients.logging_in
    yield from instance.clients
    for pool in instance.pools:
        for place in pool.places:
            yield from place


@show("FDS", columns.FDS, admin=True)
def show_fds(instance: Instance) -> Iterator[Row]:
    """As in PgBouncer without the console's own, and without those that speak TLS."""
    for sock in instance.listener.sockets if instance.listener is not None else ():
        name = sock.getsockname()
        host, port = name[:2] if isinstance(name, tuple) else ("unix", instance.config.settings.listen_port)
        yield sock.fileno(), "pooler", None, None, host, port, 0, 0, *(None,) * 7
    for client in (*instance.clients.logging_in, *instance.clients):
        identity = client.session
        if identity.kind != "console" and not client.is_tls:
            where = (identity.user or None, identity.database or None, identity.peer.host, identity.peer.port)
            yield _fd_row(client, "client", where, client.server, client.params)
    for pool in instance.pools:
        for place in pool.places:
            for server in place:
                if not server.is_tls:
                    where = (pool.user, pool.database, server.address.host, server.address.port)
                    yield _fd_row(server, "server", where, server.lessee, server.params)


def _fd_row(
    link: Link, task: str, where: tuple[str | None, str | None, str, int], other: object, params: Params | None
) -> Row:
    linked = other.fileno() if isinstance(other, Link) else 0
    reported = params.reported if params is not None else {}
    names = (b"client_encoding", b"standard_conforming_strings", b"DateStyle", b"TimeZone")
    said = (reported.get(name) for name in names)
    told = tuple(None if value is None else value.decode(errors="replace") for value in said)
    return link.fileno(), task, *where, 0, linked, *told, None, None, None


@show("DNS_HOSTS", columns.DNS_HOSTS)
def show_dns_hosts(instance: Instance) -> Iterator[Row]:
    """Names of servers that connections go by, and where those are; in how many seconds they are looked up again."""
    yield from ((host, ttl, ",".join(sorted(addresses))) for host, ttl, addresses in instance.names.shown())


@show("DNS_ZONES", columns.DNS_ZONES)
def show_dns_zones(instance: Instance) -> Iterator[Row]:
    """None: names are resolved by the system, which tells no serial numbers of zones."""
    yield from ()


@show("PEERS", columns.PEERS)
def show_peers(instance: Instance) -> Iterator[Row]:
    """Other programs that clients' cancel requests are passed on to."""
    usual = instance.config.settings.default_pool_size
    for peer in instance.config.peers.values():
        yield peer.number, peer.host, peer.port, usual if peer.pool_size is None else peer.pool_size


@show("PEER_POOLS", columns.PEER_POOLS)
def show_peer_pools(instance: Instance) -> Iterator[Row]:
    """Cancel requests on their way to peers, of those that have been asked."""
    for number, pool in sorted(instance.clients.cancels.peering.pools.items()):
        yield number, pool.active, pool.waiting + pool.connecting, pool.active, pool.connecting
