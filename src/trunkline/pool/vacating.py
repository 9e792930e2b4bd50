"""Making way for a statement that needs a database without connections: DROP, RENAME, CREATE DATABASE ... TEMPLATE.

PostgreSQL waits up to five seconds for other sessions to leave (procarray.c, CountOtherDBBackends), then refuses. Idle
connections of pools are nobody's sessions: they close when such a statement is on its way, those in use when their
lease ends, and for as long none is opened in advance. A client that keeps its server is in the way as it would be
without a pooler.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.server import ServerLink

PATIENCE_S = 6.0  # a little more than PostgreSQL's


def vacate(pools: Iterable[Pool], source: ServerLink, databases: frozenset[bytes], now: float) -> None:
    """Free these databases, of the server that `source` is connected to."""
    where = (source.address.host, source.address.port)
    for pool in pools:
        for server in [server for place in pool.places for server in place]:
            if server is source or (server.address.host, server.address.port) != where:
                continue
            name = server.address.dbname or pool.database
            if name.encode(errors="surrogateescape") in databases:
                pool.vacant_until = now + PATIENCE_S
                _vacate(pool, server)


def _vacate(pool: Pool, server: ServerLink) -> None:
    if server.place is pool.idle:
        server.drop("a statement needs its database without connections")
    elif server.lessee is None or not server.lessee.sticky:
        server.close_needed = True
