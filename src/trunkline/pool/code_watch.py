"""Which names of a database hide code that may change a session: asked at first, now and then, and after DDL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from trunkline.pool.probe import columns
from trunkline.pool.server import ServerLink
from trunkline.routing.session.session_effects import EffectsCache
from trunkline.routing.session.unseen_code import COLUMNS, FINGERPRINT, QUERY, UnseenCode, unseen_code
from trunkline.routing.text.lexer import Vocabulary

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool

log = logging.getLogger("trunkline.pool")

Done = Callable[[], None]
Fields = dict[str, str]

PERIOD_S = 10.0  # between two looks; until the next, what others change is not known


class CodeWatch:
    """The doubtful names of one database, for all its pools."""

    def __init__(self, pools: Callable[[], Iterator[Pool]]) -> None:
        self._pools = pools
        self.words = Vocabulary()
        self.effects = EffectsCache()
        self.found = UnseenCode()
        self.fingerprint: bytes | None = None
        self.looked_at = 0.0
        self.known = False  # an answer has come, or there is none to be had

    def is_due(self, now: float) -> bool:
        return now - self.looked_at >= PERIOD_S

    def look(self, server: ServerLink, now: float, done: Done) -> None:
        """Ask a free server whether anything has changed, and if so, what there is now; then call `done`."""
        self.looked_at = now
        server.ask(FINGERPRINT, partial(self._on_fingerprint, server, done), True)

    def _on_fingerprint(self, server: ServerLink, done: Done, error: Fields | None) -> None:
        value = columns(server.answer[0])[0] if error is None and server.answer else None
        if value is None or value == self.fingerprint:
            self.known |= error is not None and server.opened
            self._report(server, error)
            done()
            return
        server.ask(QUERY, partial(self._on_code, server, value, done), True)

    def _on_code(self, server: ServerLink, fingerprint: bytes, done: Done, error: Fields | None) -> None:
        self.known |= server.opened
        rows = [columns(body) for body in server.answer or ()]
        if error is None and all(len(row) == COLUMNS for row in rows):
            self.fingerprint = fingerprint
            self._learn(unseen_code(rows))
        elif error is None:  # whoever answers is no PostgreSQL
            error = {"M": "other columns came than were asked for"}
        self._report(server, error)
        done()

    def _report(self, server: ServerLink, error: Fields | None) -> None:
        if error is not None and server.opened:
            log.warning("%s: functions of the database could not be looked at: %s", server, error["M"])

    def _learn(self, found: UnseenCode) -> None:
        if found == self.found:
            return
        self.found = found
        self.words = Vocabulary(found.words)
        self.effects = EffectsCache(found.words)
        for pool in self._pools():
            self.tell(pool)

    def tell(self, pool: Pool) -> None:
        """Let a pool stop at these names from now on."""
        pool.look_for(self.words)
        pool.sessions.effects = self.effects
        pool.sessions.remember(self.found.settings)
