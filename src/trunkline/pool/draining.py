"""Servers whose client has left in the middle: what it had under way is ended, so that they can be used again.

PostgreSQL is told what a client would tell it: a COPY fails, a batch fails too and gets its Sync, a query is cancelled,
a transaction is rolled back. Its answers are nobody's. When the session proves that nothing is owed, the server goes
back to its pool like any other; if that takes longer than LIMIT_S, it is closed.

Rules:
1. Nothing is guessed: after half a request, or inside a question of our own, the server is closed at once.
2. A cancel request under way holds the server here, for it could hit what comes next.
3. Nothing is committed that the client has not: a Sync alone would commit the batch that it ends.
4. No task and no timer for each: replies, ends of cancels and the pool's tick call `step`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.failpoints import failpoint
from trunkline.pool.cancel import cancel_blindly
from trunkline.protocol.messages import SYNC, message, query

if TYPE_CHECKING:
    from trunkline.pool.returns import Returns
    from trunkline.pool.server import ServerLink

LIMIT_S = 1.0
COPY_FAIL = message(b"f", b"the client has left\0")
ROLLBACK = query(b"ROLLBACK")
NO_SUCH_PORTAL = message(b"E", b"the client has left\0\0\0\0\0")  # fails, and with it all since the last Sync


class Drain:
    """One server on its way back."""

    __slots__ = ("canceled_at", "needs_reset", "pool", "rolled_back", "server", "until")

    def __init__(self, pool: Returns, server: ServerLink, *, needs_reset: bool) -> None:
        self.pool = pool
        self.server = server
        self.needs_reset = needs_reset
        self.rolled_back = False
        self.canceled_at = -1  # the unit that was cancelled, by the number of units before it
        self.until = pool.pools.now + LIMIT_S

    def step(self) -> None:
        """Do what the server needs next, if it is at a point where that is known."""
        server, session = self.server, self.server.session
        if not server.opened:
            return
        while session.fake():
            pass  # nobody is there to hear it
        fails = session.skipping or session.mid_copy_in
        if session.mid_copy_in:
            session.copy_done()
            server.write(COPY_FAIL)
        if session.unsynced:
            if not fails:
                session.request("execute", "swallow")
                server.write(NO_SUCH_PORTAL)
            session.request("sync", "swallow")
            server.write(SYNC)
        if session.count or server.cancels:
            return
        if not session.free and not session.tainted and not self.rolled_back:
            self.rolled_back = True
            session.request("query", "swallow")
            server.unnamed = None  # a simple query ends it
            server.write(ROLLBACK)
        elif session.free:
            failpoint("drained")
            server.drain = None
            self.pool.put_back(server, needs_reset=self.needs_reset)
        else:
            server.drop("a client left, and its transaction could not be rolled back")

    def tick(self, now: float) -> None:
        """Stop what still runs; give up when the time is over."""
        server = self.server
        if now >= self.until:
            close_and_cancel(self.pool, server, "a client left, and what it had begun did not end in time")
        elif server.session.running and not server.cancels and self.canceled_at != server.units_done:
            self.canceled_at = server.units_done
            self.pool.pools.cancel(self.pool, server)


def can_be_drained(server: ServerLink) -> bool:
    """Whether what the server still owes can be brought to an end that proves something."""
    session = server.session
    return bool(server.opened and server.setup is None and not session.tainted and not session.copies_both_ways)


def close_and_cancel(pool: Returns, server: ServerLink, reason: str) -> None:
    """Close a server and stop its query, which would run on until it has something to say."""
    if server.opened and server.session.running and server.cancel_key:
        timeout = pool.pools.config.settings.cancel_wait_timeout
        pool.pools.tasks.spawn(cancel_blindly(pool.pools.opener, pool, server, timeout), "cancel")
    server.drop(reason)
