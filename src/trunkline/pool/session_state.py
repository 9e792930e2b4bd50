"""What a session holds when its lease could end: it follows its client, or keeps the client at its server.

A statement that may leave something behind puts its server in doubt. When the lease could end, the server is asked what
its session holds now, for only it knows what was rolled back, dropped, or done inside a function. Settings become part
of the client's parameters and are replayed wherever it goes next. Anything else pins the client until it is gone.

Rule: a server in doubt is nobody's. Without an answer the client stays pinned; if it leaves, the session is reset.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from trunkline.pool.probe import Found, question, read
from trunkline.pool.server import Lessee, ServerLink
from trunkline.pool.startup_settings import values_to_restore
from trunkline.pool.vacating import vacate
from trunkline.protocol.messages import notice_response
from trunkline.protocol.params import LITERALS, Params
from trunkline.routing.session.session_effects import NO_STATE, PROBED, Effects, EffectsCache, State
from trunkline.routing.text.template import dotted_names

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool

log = logging.getLogger("trunkline.pool")

Fields = dict[str, str]

WAIT_FIRST, NAMES_FIRST, MEANING_FIRST = 1, 2, 4  # see Before in server.pxd
MAX_NAMES = 1000  # of settings with a dot, per pool

REASONS = {
    State.SETTINGS: "settings that cannot be read",
    State.LOCKS: "advisory locks of the session",
    State.TEMPORARY: "temporary tables",
    State.CURSORS: "cursors WITH HOLD",
    State.PREPARED: "statements prepared by SQL",
    State.LISTENING: "LISTEN",
    State.SEQUENCES: "lastval or currval",
    State.MEANING: "statements prepared under other settings",
    State.LARGE: "a prepared statement above 4 MB",
    State.UNKNOWABLE: "state that cannot be read or reset",
}


def reasons(pins: int) -> str:
    """Why a client is pinned, in words."""
    return ", ".join(words for state, words in REASONS.items() if pins & state)


class SessionKeeper:
    """The sessions of one pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.effects = EffectsCache()
        self.names: set[bytes] = set()  # settings with a dot that anybody may have set
        self.pin_counts: Counter[State] = Counter()

    # --- before and when a statement runs -------------------------------------------------------------------------

    def before(self, lessee: Lessee, text: bytes, ambiguous: bool) -> int:
        """What must come before a doubtful text is sent to the server."""
        effects, server = self.effects.of(text, ambiguous=ambiguous), lessee.server
        assert server is not None
        if effects.reads_channels and lessee.listening is not None and server.session.free:
            listen = lessee.listening.come_home()
            if listen:
                self.pool.hold(lessee)
                server.ask(listen, partial(self._go_on, server, lessee))
                return WAIT_FIRST
        if effects.leaves & State.SEQUENCES and not lessee.pins & State.SEQUENCES:
            self.pin(lessee, lessee.pins | State.SEQUENCES)
            if server.session.free:  # what it would read now is another client's
                self.pool.hold(lessee)
                server.ask(b"DISCARD SEQUENCES", partial(self._go_on, server, lessee))
                return WAIT_FIRST
        if server.session.status == ord("E") and not server.session.count:
            return 0
        first = 0
        if lessee.names and not LITERALS.isdisjoint(effects.settings):
            self.pin(lessee, lessee.pins | State.MEANING)
            first |= MEANING_FIRST
        knows = lessee.names_are_its_own and not lessee.names
        return first | (NAMES_FIRST if effects.uses_prepared and not knows else 0)

    def running(self, lessee: Lessee, text: bytes, ambiguous: bool, bound: bytes) -> None:
        """A doubtful statement is about to run: note what may be left behind."""
        effects, server = self.effects.of(text, ambiguous=ambiguous), lessee.server
        assert server is not None
        if effects.resets:
            values = values_to_restore(self.pool.base(), lessee.start, effects.resets)
            lessee.restoring = (lessee.restoring or {}) | values or None
        if not self.pool.exact:
            return
        leaves = effects.leaves & ~State.SEQUENCES
        if leaves & State.SETTINGS:
            self.remember(effects.settings)
            if effects.binds_names:
                self.remember(dotted_names(bound))
            if not effects.other_settings and _are_reported(effects.settings, server.params):
                leaves &= ~State.SETTINGS
        if leaves & State.UNKNOWABLE:
            self.pin(lessee, lessee.pins | State.UNKNOWABLE)
        self.make_way(lessee, effects)
        if lessee.listening is not None and effects.unlistens:
            lessee.listening.note_unlisten(effects.unlistens)
        server.doubt |= (leaves & PROBED) | (effects.ends & lessee.pins) | (State.CODE if effects.changes_code else 0)

    def make_way(self, lessee: Lessee, effects: Effects) -> None:
        """A statement is on its way that needs a database without connections."""
        if effects.closes_database and lessee.server is not None:
            vacate(self.pool.pools, lessee.server, effects.closes_database, self.pool.pools.now)

    def remember(self, names: Iterable[bytes]) -> None:
        """Settings with a dot, which the server lists only when it is asked for them by name."""
        self.names |= {name for name in names if b"." in name and len(self.names) < MAX_NAMES}

    def _go_on(self, server: ServerLink, lessee: Lessee, error: Fields | None) -> None:
        if server.opened and server.lessee is lessee:
            self.pool.grant(lessee)

    # --- when the lease could end ---------------------------------------------------------------------------------

    def examine(self, server: ServerLink) -> None:
        """Ask a free server what its session holds; its lessee waits meanwhile."""
        lessee = server.lessee
        if lessee is None or server.cancels:  # a cancel request under way could hit the question
            return
        self.pool.hold(lessee)
        if server.doubt & State.CODE:
            self.pool.code.look(server, self.pool.pools.now, partial(self._ask, server, lessee))
        else:
            self._ask(server, lessee)

    def _ask(self, server: ServerLink, lessee: Lessee) -> None:
        if not server.opened or server.lessee is not lessee:
            return
        asked = PROBED if lessee.pins else State(server.doubt) & PROBED  # who is pinned may have left anything
        if asked:
            server.ask(question(asked, self.names), partial(self._on_answer, server, lessee, asked), True)
        else:
            server.doubt = 0
            self._settle(server, lessee, State(lessee.pins))

    def _on_answer(self, server: ServerLink, lessee: Lessee, asked: State, error: Fields | None) -> None:
        if not server.opened or server.lessee is not lessee:
            return  # lost: what its session held is lost with it, and its lessee hears of that
        try:
            found = read(server.answer or []) if error is None else Found()
        except (ValueError, KeyError):  # whoever says this is no PostgreSQL
            error = {"M": "other columns came than were asked for"}
        if error is not None:
            log.info("%s: the state of a session could not be read: %s", server, error["M"])
            self._settle(server, lessee, State(lessee.pins) | asked)
            return
        server.doubt = 0
        if asked & State.SETTINGS:
            self._follow(server, lessee, found)
        pins = (State(lessee.pins) & ~asked) | found.state
        if _may_have_changed(server, lessee, found):
            done = partial(self._on_deallocated, server, lessee, pins, found.channels)
            server.ask(b"DEALLOCATE ALL", done)
        else:
            self._share_listening(server, lessee, pins, found.channels)

    def _on_deallocated(
        self, server: ServerLink, lessee: Lessee, pins: State, channels: list[bytes], error: Fields | None
    ) -> None:
        if not server.opened or server.lessee is not lessee:
            return
        server.prepared.clear()
        lessee.names_are_its_own = False
        self._share_listening(server, lessee, pins, channels)

    def _share_listening(self, server: ServerLink, lessee: Lessee, pins: State, channels: list[bytes]) -> None:
        """Channels alone do not pin a client: a shared connection takes them over, if it can."""
        if pins != State.LISTENING or not channels or lessee.eof:
            self._settle(server, lessee, pins)
            return
        self.pool.pin(lessee, pins)  # and nobody is told: it is for a moment only
        self.pool.pools.listeners.take_over(self.pool, lessee, channels, partial(self._on_taken_over, server, lessee))

    def _on_taken_over(self, server: ServerLink, lessee: Lessee, succeeded: bool) -> None:
        self.pool.pin(lessee, NO_STATE)
        self._settle(server, lessee, NO_STATE if succeeded else State.LISTENING)

    def _settle(self, server: ServerLink, lessee: Lessee, pins: State) -> None:
        """Pinned or not, the lessee goes on; the lease of one that is not, or has gone, ends here."""
        self.pin(lessee, pins)
        if lessee.eof or not lessee.sticky:
            self.pool.free(server)
        if lessee.listening is not None and not lessee.eof:
            lessee.listening.unit_over()
        if not lessee.eof:
            self.pool.grant(lessee)

    def _follow(self, server: ServerLink, lessee: Lessee, found: Found) -> None:
        """The settings of the session are the client's from now on."""
        reported = {name.lower() for name in server.params.reported}
        extra = {name: value for name, value in found.settings.items() if name not in reported}
        server.params = server.params.with_extra(extra)
        if lessee.params is not None:
            lessee.params = lessee.params.with_extra(extra)

    def must_close(self, lessee: Lessee | None) -> bool:
        """Whether nothing takes back what this client has left in its session."""
        return lessee is not None and bool(lessee.pins & State.UNKNOWABLE)

    def pin(self, lessee: Lessee, pins: int) -> None:
        """Keep a client at its server for these reasons, and tell it once; or, for 0, let it go again."""
        new = State(pins & ~lessee.pins)
        for state in State:
            if new & state:
                self.pin_counts[state] += 1
        if new and not lessee.pins:
            lessee.pinned_at = self.pool.pools.now
        self.pool.pin(lessee, pins)
        self._tell(lessee)

    def _tell(self, lessee: Lessee) -> None:
        """Once, and never inside a message of the server's: then it is told with the next reason, or not at all."""
        within = lessee.server is not None and lessee.server.mid_reply
        if lessee.pins and not lessee.told_pinned and not within:
            lessee.told_pinned = True
            text = f"this client keeps its server connection: {reasons(lessee.pins)}"
            lessee.write(notice_response("01000", text))


def _may_have_changed(server: ServerLink, lessee: Lessee, found: Found) -> bool:
    """Whether what the server knows by our names may not be what we prepared."""
    if found.ours is None or found.state & State.PREPARED:
        return False
    return lessee.names_are_its_own or found.ours != len(server.prepared)


def _are_reported(names: frozenset[bytes], params: Params) -> bool:
    known = {name.lower() for name in params.reported}
    return names <= known - {b"session_authorization"}  # which ends a role, and nobody reports that
