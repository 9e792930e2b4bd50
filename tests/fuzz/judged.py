"""A session of the proxy's own judges what PostgreSQL itself said: nothing is a breach, and all is answered in the end.

The session is told each request, as the client's half of the relay would tell it, and then given PostgreSQL's replies:
either as late as possible, as if the whole conversation had been sent at once, or as early as possible, as if each
answer had been awaited. Both must come to the same end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tests.fuzz.conversation import Heard
from tests.integration.wire import Frame
from trunkline.protocol.server_session import ServerSession

REQUESTS = {
    "Q": "query",
    "F": "function",
    "P": "parse",
    "B": "bind",
    "D": "describe",
    "E": "execute",
    "C": "close",
    "S": "sync",
}
COPY_DATA = "dcf"
COPYING_IN = 1


def judge(said: Sequence[Frame], heard: Heard) -> None:
    """AssertionError where the session finds fault with what PostgreSQL answered to this."""
    for eager in (False, True):
        judged = Judged(heard.frames)
        judged.listen(said, eager=eager)
        assert heard.ended or heard.silent or judged.session.free, f"not free in the end: {judged.session!r}"


class Judged:
    """One session, and the replies that it has not seen yet."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.session = ServerSession()
        self._replies = deque(frames)
        self._fed = False  # data went into the COPY under way
        self._held_syncs = 0  # which came behind that data

    def listen(self, said: Sequence[Frame], *, eager: bool) -> None:
        for message in said:
            if message.type not in REQUESTS and message.type not in "dcfH":
                break  # the end of the connection
            self._tell(message)
            if eager:
                self._answer_all()
        while self._replies:
            self._answer()

    # --- requests ---------------------------------------------------------------------------------------------

    def _tell(self, message: Frame) -> None:
        if not self._copies_in and message.type in COPY_DATA and self.session.count:
            self._answer_all()
        if self._copies_in:
            self._tell_in_copy(message)
        elif message.type in REQUESTS:
            self.session.request(REQUESTS[message.type])
        elif message.type == "H" and message.body:  # malformed, and so answered like a request
            self.session.request("close")

    def _tell_in_copy(self, message: Frame) -> None:
        if message.type == "d":
            self._fed = True
        elif message.type == "S":
            self._held_syncs += self._fed
        elif message.type in "cf":
            self.session.copy_done()
        elif message.type != "H":
            self._send_held_syncs()
            self.session.copy_done()
            self.session.request(REQUESTS[message.type])

    @property
    def _copies_in(self) -> bool:
        return self.session.copying == COPYING_IN and not self.session.copy_ended

    def _send_held_syncs(self) -> None:
        for _ in range(self._held_syncs):
            self.session.request("sync")
        self._held_syncs = 0

    # --- replies ----------------------------------------------------------------------------------------------

    def _answer_all(self) -> None:
        """Whatever PostgreSQL says without being told more."""
        while self.session.count and self._replies and not self._copies_in:
            self._answer()

    def _answer(self) -> None:
        reply = self._replies.popleft()
        status = reply.body.decode() if reply.type == "Z" else "\0"
        verdict = self.session.reply(reply.type, status)
        assert verdict == "give", f"{reply} is a breach to {self.session!r}"
        if reply.type == "G":
            self._fed = False
        elif reply.type == "E":
            self._send_held_syncs()
