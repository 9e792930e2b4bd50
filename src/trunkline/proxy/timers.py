"""What time does to clients: which limit one has passed, as a decision on what is known and `now`.

Rules:
1. A query runs while its server owes something that it will say without hearing more; nothing runs between queries.
2. Who holds a server and is not running anything is idle in a transaction, also in a batch whose Sync has not come;
   so is who has lost the server of its block and has not ended that.
3. Only who holds nothing is idle.
4. A COMMIT that is cut off may have happened: its client is told that nobody knows.
"""

from __future__ import annotations

from trunkline.config.settings import PoolSettings
from trunkline.errors import (
    CommitOutcomeUnknown,
    IdleClientTimeout,
    IdleTransactionTimeout,
    QueryTimeout,
    TransactionTimeout,
    TrunklineError,
)
from trunkline.pool.server import Lessee, ServerLink
from trunkline.protocol.server_session import ServerSession
from trunkline.proxy.client import ClientLink
from trunkline.routing.text.lexer import COMMITTING


def overdue(settings: PoolSettings, server: ServerLink, now: float) -> TrunklineError | None:
    """Which limit the client of an active server has passed, if any."""
    session = server.session
    running = session.running
    if running and settings.query_timeout and now - server.request_at >= settings.query_timeout:
        return _cut_off(session, QueryTimeout("query_timeout"))
    if session.free:
        return None
    if settings.transaction_timeout and now - server.begun_at >= settings.transaction_timeout:
        return _cut_off(session, TransactionTimeout("transaction_timeout"))
    idle = not running and now - server.request_at >= settings.idle_transaction_timeout
    if settings.idle_transaction_timeout and idle:
        return IdleTransactionTimeout("idle_transaction_timeout")
    return None


def _cut_off(session: ServerSession, limit: TrunklineError) -> TrunklineError:
    """What the client hears of a limit that strikes while its server works, or does not."""
    if not any(mark & COMMITTING for _, _, mark in session.owed()):
        return limit
    text = f"{limit.message} was over while a COMMIT was under way"
    return CommitOutcomeUnknown(text, hint="The transaction may have been committed.")


def left_of_work(
    settings: PoolSettings, lasts_s: float, runs_s: float = 0.0
) -> tuple[float | None, TrunklineError | None]:
    """How much longer a statement over several shards may run, whose transaction has lasted so long, and its end."""
    if not settings.query_timeout and not settings.transaction_timeout:
        return None, None
    return _soonest(
        (settings.query_timeout, runs_s, QueryTimeout("query_timeout")),
        (settings.transaction_timeout, lasts_s, TransactionTimeout("transaction_timeout")),
    )


def left_of_silence(settings: PoolSettings, lasts_s: float) -> tuple[float | None, TrunklineError | None]:
    """The same for a client that says nothing in its transaction over several shards."""
    return _soonest(
        (settings.transaction_timeout, lasts_s, TransactionTimeout("transaction_timeout")),
        (settings.idle_transaction_timeout, 0.0, IdleTransactionTimeout("idle_transaction_timeout")),
    )


def _soonest(*limits: tuple[float, float, TrunklineError]) -> tuple[float | None, TrunklineError | None]:
    """Of limits in seconds, of which so many are over; zero is no limit."""
    left = [(max(0.0, limit_s - over_s), error) for limit_s, over_s, error in limits if limit_s]
    return min(left, key=lambda one: one[0], default=(None, None))


def overdue_in_lost_block(settings: PoolSettings, link: ClientLink, now: float) -> TrunklineError | None:
    """The same for a client whose transaction has lost its server."""
    if link.lost is None or not link.lost.in_block:
        return None
    if settings.transaction_timeout and now - link.lost.began_at >= settings.transaction_timeout:
        return TransactionTimeout("transaction_timeout")
    if settings.idle_transaction_timeout and now - link.active_at >= settings.idle_transaction_timeout:
        return IdleTransactionTimeout("idle_transaction_timeout")
    return None


def idle_too_long(settings: PoolSettings, link: Lessee, now: float) -> TrunklineError | None:
    """For a client that is not in line."""
    if not settings.client_idle_timeout or not isinstance(link, ClientLink) or link.lost or link.several:
        return None
    holds = link.server is not None and not link.server.session.free  # in session pooling a server is held when idle
    if not holds and now - link.active_at >= settings.client_idle_timeout:
        return IdleClientTimeout("client_idle_timeout")
    return None
