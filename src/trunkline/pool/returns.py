"""The end of a lease with care, and queries of our own on a server that nobody leases.

What `Leases.on_free` does not simply hand on comes here: a server whose session has to be looked at, reset or closed,
one that a cancel request may still hit, one whose client has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trunkline.config.settings import PoolSettings
from trunkline.errors import ServerLost, ServerRefused
from trunkline.failpoints import failpoint
from trunkline.pool.code_watch import CodeWatch
from trunkline.pool.draining import Drain, can_be_drained, close_and_cancel
from trunkline.pool.leases import Leases
from trunkline.pool.probe import columns
from trunkline.pool.server import Lessee, ServerLink
from trunkline.pool.session_state import SessionKeeper

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools

Fields = dict[str, str]

# Of all that is written up to the end of the transaction before it, and of some that others write meanwhile.
POSITION = b"SELECT pg_catalog.pg_current_wal_insert_lsn()"


def position_in(bodies: Sequence[bytes]) -> int | None:
    """The position in the answer to POSITION, in bytes from the beginning of the log; None if that is no position."""
    found = columns(bodies[0]) if len(bodies) == 1 else []
    high, slash, low = (found[0] or b"").decode("latin-1").partition("/") if len(found) == 1 else ("", "", "")
    try:
        return (int(high, 16) << 32) + int(low, 16) if slash else None
    except ValueError:
        return None


class Returns(Leases):
    """A pool as those see it that give servers back."""

    pools: Pools
    settings: PoolSettings
    sessions: SessionKeeper
    code: CodeWatch
    closed: bool

    def open_more(self) -> None:
        """Open what is missing, now that a server may be."""
        raise NotImplementedError

    # --- the end of a lease -------------------------------------------------------------------------------------

    def release(self, server: ServerLink) -> None:
        lessee = server.lessee
        if lessee is not None and lessee.sticky and not lessee.eof:  # its session ends with its server
            server.drop("server_fast_close", ServerLost("the server connection was closed (server_fast_close)"))
        else:
            self.take_back(server)

    def take_back(self, server: ServerLink) -> None:
        """The lease of a free server is over: reset it, close it, or hand it on."""
        lessee = server.lessee
        self.unlease(server)
        failpoint("taken_back")
        if lessee is not None and lessee.eof:
            self.pools.lessee_done(lessee)
        if not server.opened:
            return
        if self.sessions.must_close(lessee):
            server.drop("state that nothing resets")
        else:
            self.put_back(server, needs_reset=self._needs_reset(server, lessee))

    def put_back(self, server: ServerLink, *, needs_reset: bool) -> None:
        """A free server that nobody leases: reset it, close it, or hand it on."""
        reason = self._close_reason(server)
        if reason is not None:
            server.drop(reason)
        elif server.cancels and needs_reset:
            server.drop("a cancel request is under way at the end of a session")  # it could hit the reset query
        elif server.cancels:
            self.place_server(server, self.canceled)
        elif needs_reset:
            self._run_on(server, self.settings.server_reset_query or "DISCARD ALL", self._on_reset)
        else:
            self.settle(server)
        if server.place is None:
            self.open_more()

    def _close_reason(self, server: ServerLink) -> str | None:
        if server.close_needed or server.single_use:
            return "close_needed" if server.close_needed else "opened for one client alone"
        if server.unsent_count or not server.between_messages:
            return "half a message"
        if self.closed or self.paused:
            return "pool is closed" if self.closed else "pool is paused"
        return None

    def _needs_reset(self, server: ServerLink, lessee: Lessee | None) -> bool:
        if server.doubt or (lessee is not None and lessee.pins):
            return True
        if not self.settings.server_reset_query or lessee is None:
            return False
        return lessee.sticky or self.settings.server_reset_query_always

    def _run_on(self, server: ServerLink, sql: str, done: Callable[[ServerLink, Fields | None], None]) -> None:
        self.place_server(server, self.tested)
        server.ask(sql.encode(), partial(done, server))
        failpoint("own_query_asked")

    def _on_reset(self, server: ServerLink, error: Fields | None) -> None:
        if error is not None:
            server.drop(f"server_reset_query failed: {error['M']}")
            return
        server.forget_session()
        self._back(server)

    def _back(self, server: ServerLink) -> None:
        """A query of ours is over and the server is in order."""
        failpoint("own_query_done")
        reason = self._close_reason(server)
        if reason is not None:
            server.drop(reason)
        elif server.cancels:
            self.place_server(server, self.canceled)
        else:
            self.settle(server)

    def check(self, server: ServerLink) -> None:
        query = self.settings.server_check_query
        self._run_on(server, "" if query == "<empty>" else query, self._on_checked)

    def _on_checked(self, server: ServerLink, error: Fields | None) -> None:
        if error is not None:
            server.drop(f"server_check_query failed: {error['M']}")
        else:
            self._back(server)

    def prepare(self, server: ServerLink, lessee: Lessee) -> None:
        server.setup = partial(self._on_prepared, server, lessee)

    def _on_prepared(self, server: ServerLink, lessee: Lessee, error: Fields | None) -> None:
        failpoint("params_answered")
        if error is not None:
            refusal = ServerRefused(error["C"], error["M"], detail=error.get("D"), hint=error.get("H"))
            server.drop("the client's parameters were refused", refusal)
        elif server.lessee is lessee:
            self.grant(lessee)

    def locate(self, server: ServerLink) -> None:
        lessee = server.lessee
        assert lessee is not None
        if server.cancels or not lessee.asks_position():  # a cancel request under way could hit the question
            server.position_due = False
            lessee.wrote_up_to(None)
            self.free(server)
            return
        self.hold(lessee)
        server.ask(POSITION, partial(self._on_position, server, lessee), True)

    def _on_position(self, server: ServerLink, lessee: Lessee, error: Fields | None) -> None:
        if not server.opened or server.lessee is not lessee:
            return  # lost, as its lessee hears
        server.position_due = False
        lessee.wrote_up_to(position_in(server.answer or ()) if error is None else None)
        is_examined = bool(server.doubt and self.exact and not lessee.eof)  # and goes on when that is over
        self.free(server)
        if not lessee.eof and not is_examined:
            self.grant(lessee)

    # --- what sessions hold -------------------------------------------------------------------------------------

    def before_doubtful(self, lessee: Lessee, text: bytes, ambiguous: bool) -> int:
        if not self.exact:
            self.sessions.make_way(lessee, self.sessions.effects.of(text, ambiguous=ambiguous))
            return 0
        return self.sessions.before(lessee, text, ambiguous)

    def on_doubtful(self, lessee: Lessee, text: bytes, ambiguous: bool, bound: bytes) -> int:
        self.sessions.running(lessee, text, ambiguous, bound)
        return 0

    def examine(self, server: ServerLink) -> None:
        self.sessions.examine(server)

    # --- cancel -------------------------------------------------------------------------------------------------

    def cancel_over(self, server: ServerLink) -> None:
        """One cancel request of a server is over."""
        if server.opened and not server.cancels and server.place is self.canceled:
            self._back(server)
        elif server.opened and server.drain is not None:
            server.drain.step()
        elif server.opened and server.lessee is not None and server.doubt and server.session.free:
            self.free(server)

    def abandon(self, server: ServerLink, reason: str, *, half_asked: bool = False) -> None:
        """The lessee has gone in the middle, perhaps of a request: bring the server back, or close it."""
        failpoint("abandon")
        lessee = server.lessee
        unwanted = server.close_needed or server.single_use or self.closed or self.paused
        lost = half_asked or unwanted or self.sessions.must_close(lessee)
        needs_reset = self._needs_reset(server, lessee)
        self.unlease(server)
        if lost or not can_be_drained(server):
            close_and_cancel(self, server, reason)
            return
        server.drain = Drain(self, server, needs_reset=needs_reset)
        self.place_server(server, self.draining)
        server.drain.step()

    # --- code of the database -----------------------------------------------------------------------------------

    def look_at_code(self, server: ServerLink) -> None:
        """Ask an idle or new server which names hide code, before anybody has it."""
        self.place_server(server, self.tested)
        self.code.look(server, self.pools.now, partial(self._on_looked, server))

    def _on_looked(self, server: ServerLink) -> None:
        if server.opened:
            self._back(server)
