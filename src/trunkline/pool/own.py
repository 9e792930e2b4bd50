"""A server that is opened for one client alone, with that client's own startup settings.

For settings that a session cannot be given later. It counts against its pool's limits like any other server, an idle
one makes room for it, and it is closed when its client leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.errors import TooManyConnections

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.server import ServerLink


async def open_own(pool: Pool, settings: Sequence[tuple[bytes, bytes]], *, spare: bool = False) -> ServerLink:
    """A logged-in server, placed among the active ones and leased to nobody yet; a spare one beyond the pool's size."""
    await pool.until_primary()
    _make_room(pool, spare)
    pool.reserved += 1
    try:
        if pool.pools.budget is not None and not await pool.pools.budget.obtain(pool):
            raise _too_many()
        target = pool.pools.target_of(pool, pool.pools.address_of(pool, 0))
        target = replace(target, parameters=[*target.parameters, *settings])
        server = await pool.pools.opener.open(pool, target, lambda new: pool.place_server(new, pool.logging_in))
    finally:
        pool.reserved -= 1
    server.single_use = True
    pool.place_server(server, pool.active)
    return server


def _make_room(pool: Pool, spare: bool) -> None:
    full = not spare and bool(pool.settings.pool_size) and pool.servers >= pool.settings.pool_size
    if full and len(pool.idle):
        next(iter(pool.idle)).drop("evicted for a client with a server of its own")
    elif full or (pool.pools.budget is None and pool.pools.room_for(pool) == 0 and not pool.pools.make_room(pool)):
        raise _too_many()


def _too_many() -> TooManyConnections:
    return TooManyConnections("too many servers are in use to open one for this client alone")
