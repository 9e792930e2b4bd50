"""What an operator does to a running instance beside PAUSE, SUSPEND and RELOAD: KILL, DISABLE, RECONNECT and the like.

A database stands for all its pools, those of its shards and replicas among them; an empty name for all databases.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from trunkline.errors import ShuttingDown
from trunkline.pool.pool import Pool

if TYPE_CHECKING:
    from trunkline.proxy.instance import Instance

log = logging.getLogger("trunkline")

POLL_S = 0.05
WORDS = "admin forced disconnect"  # PgBouncer's


class Operation:
    """The verbs of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def kill(self, database: str = "") -> None:
        """End all clients and servers now; who comes then waits until RESUME."""
        instance = self._instance
        pools = instance.pools_of(database)
        names = {database} if database else {pool.family for pool in pools}
        instance.pools.paused |= names
        for pool in pools:
            pool.pause()
        for link in instance.clients:
            identity = link.session
            if identity.kind != "console" and (not database or identity.database == database):
                instance.clients.end(link, ShuttingDown(WORDS))
        for pool in pools:
            pool.drop_all(WORDS)

    def kill_client(self, number: int) -> bool:
        """End the client that SHOW CLIENTS gives this id; false if there is none."""
        found = [link for link in self._instance.clients if link.id == number]
        for link in found:
            self._instance.clients.end(link, ShuttingDown(WORDS))
        return bool(found)

    def disable(self, database: str) -> None:
        """Refuse new clients."""
        self._instance.pools_of(database)
        self._instance.pools.disabled.add(database)

    def enable(self, database: str) -> None:
        """Undo `disable`; what the configuration disables stays so."""
        self._instance.pools_of(database)
        self._instance.pools.disabled.discard(database)

    def reconnect(self, database: str = "") -> None:
        """Close every server of today, as soon as its lease ends, and open others."""
        for pool in self._instance.pools_of(database):
            pool.renew()

    async def wait_close(self, database: str = "") -> None:
        """Returns when no server is left that is to be closed."""
        while any(_has_outdated(pool) for pool in self._instance.pools_of(database)):  # noqa: ASYNC110 (as in pause)
            await asyncio.sleep(POLL_S)


def _has_outdated(pool: Pool) -> bool:
    return any(server.close_needed for place in pool.places for server in place)
