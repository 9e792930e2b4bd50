"""Limits that several pools share, max_db_connections and max_user_connections: who gives way to whom.

Rules:
1. An idle server of another pool gives way at once, the one that has been idle longest.
2. Without one, the pool with the most servers gives way to one that has fewer, once somebody has waited there for
   TURN_S: one of its servers is closed at the end of its transaction. So all are served in turn, however busy one is.
3. What has become free is for the pool with the fewest servers, and of those with as many for who has waited longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool

TURN_S = 0.1


class Budget(Protocol):
    """What a worker may have of limits that hold for several processes."""

    def room_for(self, pool: Pool) -> int:
        """How many servers a pool may open now."""

    async def obtain(self, pool: Pool) -> bool:
        """Whether one that the pool counts already may be opened."""

    def part_of(self, number: int) -> int:
        """This process's part of what is meant for all."""

    def settle(self, pool: Pool, lacking: int, *, reserve: bool) -> None:
        """Ask for what a pool lacks, or give back what it does not use."""


def room_for(pools: Iterable[Pool], pool: Pool, now: float) -> int | None:
    """How many servers the shared limits still allow, with what is for others before it; None is no limit."""
    known = list(pools)
    room = min((limit - _used(sharing) for limit, sharing in _limits(known, pool)), default=None)
    if not room or room < 0:
        return room
    turn = in_turn(known, pool, now)
    before = turn[: turn.index(pool)] if pool in turn else turn
    return max(0, room - sum(_would_open(one) for one in before))


def make_room(pools: Iterable[Pool], pool: Pool, now: float) -> bool:
    """Close an idle server of another pool, if only a shared limit is in the way; without one ask for a busy one."""
    full = [sharing for limit, sharing in _limits(list(pools), pool) if _used(sharing) >= limit]
    if not full:
        return False
    others = [other for other in full[0] if other is not pool and all(other in sharing for sharing in full)]
    idle = [server for other in others for server in other.idle]
    if idle:
        min(idle, key=lambda server: server.idle_since).drop("evicted for another pool")
        return True
    if others and pool.oldest_wait(now) >= TURN_S:
        _ask_for_one(max(others, key=lambda other: other.connected), pool)
    return False


def give_up(pool: Pool, *, busy: bool) -> bool:
    """Close the server of a pool that has been idle longest, or else, if so wanted, one that is free soon."""
    if pool.idle:
        min(pool.idle, key=lambda server: server.idle_since).drop("evicted for another worker")
        return True
    return busy and _end_one(pool)


def in_turn(pools: Iterable[Pool], pool: Pool, now: float) -> list[Pool]:
    """Who may open a server now that this pool has one less, in the order of rule 3."""
    waiting = [one for one in pools if one.waiting and (one.database == pool.database or one.user == pool.user)]
    return sorted(waiting, key=lambda one: (one.connected, -one.oldest_wait(now)))


def _would_open(pool: Pool) -> bool:
    is_free = pool.trouble is None and not (pool.paused or pool.closed or pool.tasks)
    return is_free and not (pool.settings.pool_size and pool.servers >= pool.settings.pool_size)


def _limits(pools: list[Pool], pool: Pool) -> Iterator[tuple[int, list[Pool]]]:
    if pool.settings.max_db_connections:
        yield pool.settings.max_db_connections, [one for one in pools if one.database == pool.database]
    if pool.settings.max_user_connections:
        yield pool.settings.max_user_connections, [one for one in pools if one.user == pool.user]


def _used(sharing: list[Pool]) -> int:
    return sum(one.servers for one in sharing)


def _ask_for_one(richest: Pool, pool: Pool) -> None:
    has_more = richest.connected - pool.connected > 1 or (richest.connected and not pool.connected)
    if has_more:
        _end_one(richest)


def _end_one(pool: Pool) -> bool:
    """One busy server is closed at the end of its transaction, unless one is already on its way."""
    if any(server.close_needed for server in pool.active):
        return False
    free_soon = (server for server in pool.active if server.lessee is not None and not server.lessee.sticky)
    server = next(free_soon, None)
    if server is not None:
        server.close_needed = True
    return server is not None
