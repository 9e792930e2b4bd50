"""Making way for a statement that needs a database without connections: DROP, RENAME, CREATE DATABASE ... TEMPLATE.

PostgreSQL waits up to five seconds for other sessions to leave (procarray.c, CountOtherDBBackends), then refuses. Idle
connections of pools are nobody's sessions, and neither are those of health checks: they close when such a statement is
on its way, those in use when their lease ends, and for as long none is opened in advance. A client that keeps its
server is in the way as it would be without a pooler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools
    from trunkline.pool.server import ServerLink

PATIENCE_S = 6.0  # a little more than PostgreSQL's


def vacate(pools: Pools, source: ServerLink, databases: frozenset[bytes], now: float) -> None:
    """Free these databases, of the server that `source` is connected to."""
    for pool in pools:
        for server in [server for place in pool.places for server in place]:
            if server is not source and _is_in_the_way(server, pool.database, source, databases):
                pool.vacant_until = now + PATIENCE_S
                _vacate(pool, server)
    for server in pools.control:
        if _is_in_the_way(server, "", source, databases):
            server.drop("a statement needs its database without connections")


def _is_in_the_way(server: ServerLink, database: str, source: ServerLink, databases: frozenset[bytes]) -> bool:
    if (server.address.host, server.address.port) != (source.address.host, source.address.port):
        return False
    return (server.address.dbname or database).encode(errors="surrogateescape") in databases


def _vacate(pool: Pool, server: ServerLink) -> None:
    if server.place is pool.idle:
        server.drop("a statement needs its database without connections")
    elif server.lessee is None or not server.lessee.sticky:
        server.close_needed = True
