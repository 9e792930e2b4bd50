"""The judge: compares, message by message, what comes with what must come.

Laws:
1. A nonce in a message is one of those in the request that is being answered, whatever happens.
2. Without a fault, the messages are exactly the step's ``replies``.
3. With one, they are a beginning of them, then one excused error, then the ReadyForQuery of that unit; or the end of
   the connection. What comes behind that in the same pipeline is judged alike: right, or one error a unit.

What breaks a law is a ``Failure``. It never raises: a client that was given a wrong answer reports it and goes on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.nonce.nonces import found_in, owner
from tests.faults.nonce.replies import COMPLETE, ERROR, NOTICE, NOTIFICATION, READY, STATUS, Reply, fields, kinds
from tests.faults.nonce.session import WATCHED, Session

MISDELIVERED = "misdelivered"
OUT_OF_ORDER = "out of order"
WRONG_REPLY = "wrong reply"
WRONG_STATUS = "wrong status"
WRONG_SETTINGS = "wrong settings"
UNEXPECTED_ERROR = "unexpected error"

# What only follows from an earlier error: a failed transaction, a Parse or Close that was not done, a COPY cut off.
CONSEQUENCES = frozenset(("25P02", "26000", "34000", "42P05", "08P01"))
CANCELED = "57014"
ABORTED = "25P02"
BY_REQUEST = "due to user request"
TRANSCRIPT = 60
LAST_LINES = 8
SHOWN = 160


@dataclass(slots=True)
class Step:
    """One write of a client, and what it is answered with. ``needs`` is an ability that not every pooler has."""

    shape: str
    request: bytes
    replies: list[Reply]
    on_error: list[Reply] = field(default_factory=list)
    """What comes by itself after an error, if ``replies`` has no ReadyForQuery."""
    sets: dict[str, str] = field(default_factory=dict)
    """Settings of the session that have these values once the step has succeeded."""
    nonces: int = 1
    """How many nonces its answer holds."""
    cancel_after: float | None = None
    """Send a cancel request of our own so many seconds after the request."""
    needs: str = ""


class Failure(NamedTuple):
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a client has to put up with."""

    excused: frozenset[str] = frozenset()
    """SQLSTATEs that a fault may lead to."""
    disabled: frozenset[str] = frozenset()
    """With which new clients are refused while an operator lets no more of them in."""
    rough: bool = False
    """Bytes may be falsified on their way: only law 1 holds, for the nonces of others."""
    canceled_by_others: bool = False
    """Cancel requests that no client sent may reach its server."""


@dataclass(slots=True)
class Outcome:
    """How a step ended: ``clean`` is every reply as it must be."""

    shape: str
    clean: bool
    ended: bool
    sqlstate: str
    frames: list[tuple[int, bytes]]
    ready: bool = True
    """Whether its last ReadyForQuery has come."""
    last_words: str = ""
    """The end of the transcript, unless it is clean."""


class Judge:
    """The judge of one connection. ``on_settled`` is called when a step is answered."""

    def __init__(self, session: Session, rules: Rules, on_settled: Callable[[], None]) -> None:
        self.session = session
        self.rules = rules
        self.on_settled = on_settled
        self.parameters: dict[str, str] = {}
        self.failure: Failure | None = None
        self.unsupported = False
        self.transcript: deque[tuple[str, str, str]] = deque(maxlen=TRANSCRIPT)
        self.step: Step | None = None
        self._settings_seen = False
        self._begin(None)

    def _begin(self, step: Step | None) -> None:
        self.step = step
        self._replies = step.replies if step is not None else []
        self._at = 0
        self._sqlstate = ""
        self._frames: list[tuple[int, bytes]] = []

    def greet(self, parameters: Mapping[str, str]) -> None:
        """What was reported at login."""
        self.parameters.update(parameters)
        self._settings_seen = True
        self._check_settings()

    # --- a step's life ----------------------------------------------------------------------------------------

    def expect(self, step: Step) -> None:
        """``step.request`` is about to be sent."""
        self.transcript.append((">", step.shape, repr(step.request[: 2 * SHOWN])))
        self._begin(step)

    @property
    def settled(self) -> bool:
        return self._at >= len(self._replies) or self.failure is not None or self.unsupported

    def outcome(self, *, ended: bool) -> Outcome:
        """To be asked once a step, when it is settled or the connection has ended."""
        broken = self.failure is not None or self.unsupported
        clean = self.settled and not self._sqlstate and not broken
        shape = self.step.shape if self.step is not None else ""
        outcome = Outcome(shape, clean, broken or (ended and not clean), self._sqlstate, self._frames, self.settled)
        if not clean:
            outcome.last_words = " | ".join(" ".join(line) for line in list(self.transcript)[-LAST_LINES:])
        self._apply_settings(clean)
        self.session.echo = False
        self._begin(None)
        return outcome

    def _apply_settings(self, clean: bool) -> None:
        for name, value in self.step.sets.items() if self.step is not None else ():
            if clean:
                self.session.settings[name] = value
            elif name in self.parameters:
                self.session.settings[name] = self.parameters[name]
            else:
                self.session.settings[name] = None

    # --- what comes -------------------------------------------------------------------------------------------

    def feed(self, kind: int, body: bytes) -> None:
        """One message of the server's."""
        if self.failure is not None or self.unsupported:
            return
        self.transcript.append(("<", chr(kind), repr(body[:SHOWN])))
        wanted = self._replies[self._at] if self._at < len(self._replies) else None
        if wanted is not None and wanted.kind == kind and wanted.allows(body):
            self._frames.append((kind, body))
            self._advance(kind, body)
        elif kind == STATUS:
            self._on_parameter(body)
        elif kind in (NOTICE, NOTIFICATION):
            self._check_nonces(body)
        elif kind == ERROR:
            self._on_error(body)
        elif self._sqlstate and wanted is not None and wanted.kind == kind and kind in (READY, COMPLETE):
            self._advance(kind, body)  # after an error a COMMIT answers ROLLBACK, and the status follows suit
        elif self._sqlstate and wanted is not None and wanted.kind == kind and _is_older(body, wanted.body or b""):
            self._advance(kind, body)  # its Close was lost with a server: so the name still stands for what it did
        else:
            self._deviates(kind, body, wanted)

    def _advance(self, kind: int, body: bytes) -> None:
        self._at += 1
        if kind == READY:
            self.session.status = body.decode()
            self._check_settings()
        if self._at >= len(self._replies):
            self.on_settled()

    def _on_parameter(self, body: bytes) -> None:
        name, _, value = body.rstrip(b"\0").partition(b"\0")
        self.parameters[name.decode()] = value.decode()
        self._settings_seen = True

    def _on_error(self, body: bytes) -> None:
        said = fields(body)
        self._check_nonces(body)
        if self.failure is not None:
            return
        if not self._is_excused(said):
            self._fail(UNEXPECTED_ERROR, f"{said} where {self._wanted()} was due")
            return
        if self.step is not None and self._is_open:  # otherwise the answer was complete, and this is about no request
            self._sqlstate = self._sqlstate or said["C"]
            self._skip_to_ready(self.step)

    def _is_excused(self, said: dict[str, str]) -> bool:
        code = said.get("C", "")
        if code == CANCELED and BY_REQUEST in said.get("M", ""):
            return self.session.canceling > 0 or self.session.echo or self.rules.canceled_by_others
        if self._sqlstate and code in CONSEQUENCES:
            return True
        if code == ABORTED and self.session.status == "E" and self.rules.excused:
            return True  # a ROLLBACK whose server was lost; the client is told what it knows, and may ask again
        return code in self.rules.excused and (self._is_open or said.get("V", said.get("S")) == "FATAL")

    @property
    def _is_open(self) -> bool:
        """Whether the unit being answered has not ended, though its step may be over (in a COPY, after a Flush)."""
        return not self.settled or (self.step is not None and self.step.replies[-1].kind != READY)

    def _skip_to_ready(self, step: Step) -> None:
        """The rest of the unit is not coming, but for its ReadyForQuery."""
        while self._at < len(self._replies) and self._replies[self._at].kind != READY:
            self._at += 1
        if self._at >= len(self._replies) and step.on_error and self._replies is not step.on_error:
            self._replies, self._at = step.on_error, 0
        if self._at >= len(self._replies):
            self.on_settled()

    # --- what is wrong ----------------------------------------------------------------------------------------

    def _check_nonces(self, body: bytes) -> None:
        """Law 1, for messages that are not compared as a whole."""
        found = found_in(body)
        mine = found_in(self.step.request) if found and self.step is not None else []
        for one in found:
            if owner(one) != self.session.client:
                self._fail(MISDELIVERED, f"{one.decode()} of client {owner(one)} in {body[:SHOWN]!r}")
            elif one not in mine:
                self._fail(OUT_OF_ORDER, f"{one.decode()} is not of the statement being answered: {body[:SHOWN]!r}")

    def _deviates(self, kind: int, body: bytes, wanted: Reply | None) -> None:
        self._check_nonces(body)
        both_ready = kind == READY and wanted is not None and wanted.kind == READY
        text = f"{chr(kind)} {body[:SHOWN]!r} where {self._wanted()} was due"
        self._fail(WRONG_STATUS if both_ready else WRONG_REPLY, text)

    def _wanted(self) -> str:
        if self.step is None:
            return "nothing"
        rest = self._replies[self._at :]
        return f"{kinds(rest)[:40]} {rest[0]}"[: 2 * SHOWN] if rest else "nothing more"

    def _check_settings(self) -> None:
        """What the server has reported is what the client has set; asked when no transaction can hide it."""
        if not self._settings_seen or self.session.status != "I":
            return
        self._settings_seen = False
        wanted = self.session.settings | (self.step.sets if self.step is not None else {})
        for name in WATCHED:
            value, reported = wanted.get(name), self.parameters.get(name)
            if value is not None and reported is not None and reported != value and not self._sqlstate:
                self._fail(WRONG_SETTINGS, f"{name} is reported as {reported!r}, but is {value!r}")

    def _fail(self, kind: str, text: str) -> None:
        if self.failure is not None:
            return
        if self.rules.rough and kind != MISDELIVERED:
            self.unsupported = True
        elif self.step is not None and self.step.needs and self.step.needs not in self.session.can:
            self.unsupported = self.unsupported or kind != MISDELIVERED
        if not self.unsupported or kind == MISDELIVERED:
            self.failure = Failure(kind, text)
        self.on_settled()


def _is_older(body: bytes, wanted: bytes) -> bool:
    """The same nonce, told by an older statement of the same client under the same name."""
    told, due = _AGE.sub(b"", body[2:]), _AGE.sub(b"", wanted[2:])
    return told != body[2:] and found_in(body) == found_in(wanted) and told[-30:] == due[-30:]


_AGE = re.compile(rb" since [0-9a-f]+$")
