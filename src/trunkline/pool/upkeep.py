"""What time does to the servers of a pool: those that have expired, do not answer us, or were forgotten are closed.

Rule: a query of our own (a test before use, a reset) is answered within UNANSWERED_S. Else its server is taken for
gone, and with it every connection to the same address that nobody has used since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pool import policy

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool

UNANSWERED_S = 4.0
UNREAD_S = 30.0  # for one whose answer is read: a large catalog takes its time


def close_what_has_passed(pool: Pool, now: float) -> None:
    """Everything that a tick closes."""
    _close_expired(pool, now)
    _close_unanswering(pool, now)
    for server in pool.draining:
        if server.drain is not None:
            server.drain.tick(now)
    _close_forgotten(pool)


def _close_expired(pool: Pool, now: float) -> None:
    settings = pool.settings
    for server in pool.idle:
        reason = policy.expired(
            server.opened_at, server.idle_since, now, settings.server_lifetime, settings.server_idle_timeout
        )
        spare = reason != "server_idle_timeout" or pool.servers > settings.min_pool_size
        if reason is not None and spare:
            server.drop(reason)


def _close_unanswering(pool: Pool, now: float) -> None:
    for server in pool.tested:
        limit = UNANSWERED_S if server.answer is None else UNREAD_S
        if now - server.request_at >= limit:
            pool.pools.distrust(server.address, server.request_at)
            server.drop(f"no answer to a query of ours within {limit:g} s")


def _close_forgotten(pool: Pool) -> None:
    """What an internal error has left where nothing would ever move it again."""
    forgotten = [server for server in pool.active if server.lessee is None]
    forgotten += [server for server in pool.tested if server.setup is None]
    forgotten += [server for server in pool.canceled if not server.cancels]
    forgotten += [server for server in pool.draining if server.drain is None]
    forgotten += [] if pool.tasks or pool.reserved else pool.logging_in
    for server in forgotten:
        server.drop("forgotten after an internal error")
