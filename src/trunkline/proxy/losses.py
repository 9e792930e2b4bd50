"""What a client hears when its server is lost and the client is kept: pure, from what was owed to what is said.

Rules:
1. As many ReadyForQuery as the client has sent Sync and simple queries; one error for each unit that had none yet.
2. A unit that may have committed says 08007, any other that was under way 08006, or the server's own last words, once.
3. In a transaction block the first error is told like this; what was sent behind it hears 25P02, until the block ends.
4. With nothing owed nothing is said now: the error comes with the next statement, as PostgreSQL's would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trunkline.errors import CommitOutcomeUnknown, ServerLost, ServerRefused, TransactionAborted, TrunklineError
from trunkline.protocol.messages import error_response, ready_for_query
from trunkline.routing.text.lexer import COMMITTING, WRITING

ABORTED = "current transaction is aborted, commands ignored until end of transaction block"
_UNITS = ("query", "function", "sync")

Owed = tuple[str, str, int]  # request, action, mark: see ServerSession.lose


@dataclass(frozen=True, slots=True)
class Lost:
    """A server connection at its end, and what its client had under way there."""

    owed: Sequence[Owed]
    status: str  # of the last ReadyForQuery
    told: bool  # the unit under way has had its error
    skipping: bool  # an error was met, and no Sync has come since
    open_batch: bool  # requests were answered whose Sync has not come
    bound: bool  # among them more than definitions of statements
    copying: bool  # a COPY that cannot have committed anything yet
    copy_syncs: int  # Syncs that came inside COPY IN and were held back
    in_setup: bool  # the server was still being made ready for the client
    words: Mapping[str, str] | None  # the server's own, before it closed


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is said now, and how the client stands then."""

    said: bytes
    error: TrunklineError | None  # the first one said, or to be said with what comes next
    in_block: bool
    pending: bool  # `error` is still to be said
    skipping: bool  # nothing until Sync


def farewell(lost: Lost) -> Farewell:
    """The end of a server as its client sees it."""
    owed = [entry for entry in lost.owed if entry[1] != "swallow"]
    if lost.in_setup:
        return Farewell(b"", None, in_block=False, pending=False, skipping=False)
    if not owed and not (lost.skipping and not lost.told):
        return _nothing_owed(lost)
    walk = _Walk(lost)
    for unit in _units(owed):
        walk.unit(unit)
    if lost.skipping and not lost.told and not owed:
        walk.unit([])
    return walk.end()


def final_loss(lost: Lost | None) -> TrunklineError:
    """The one error of a client that ends with its server."""
    if lost is None:
        return ServerLost("server closed the connection unexpectedly")
    marks = 0
    for _, _, mark in lost.owed:
        marks |= mark
    outside = lost.status == "I" and not lost.copying
    error = loss(None, unknown=bool(marks & COMMITTING) or (outside and bool(marks & WRITING)))
    error.severity = "FATAL"
    return error


def loss(words: Mapping[str, str] | None, *, unknown: bool) -> TrunklineError:
    """The error of a unit that was under way."""
    if unknown:
        detail = f"The server said: {words['M']}" if words is not None else None
        text = "server closed the connection while a COMMIT was under way"
        return _kept(CommitOutcomeUnknown(text, detail=detail, hint="The transaction may have been committed."))
    if words is not None:
        return _kept(ServerRefused(words["C"], words["M"], detail=words.get("D"), hint=words.get("H")))
    return _kept(ServerLost("server closed the connection unexpectedly"))


def _kept(error: TrunklineError) -> TrunklineError:
    error.severity = "ERROR"
    return error


def _nothing_owed(lost: Lost) -> Farewell:
    in_block = lost.status != "I"
    if lost.skipping:
        return Farewell(b"", None, in_block, pending=False, skipping=True)
    if lost.status == "T" or (not in_block and lost.open_batch and lost.bound):
        return Farewell(b"", loss(lost.words, unknown=False), in_block, pending=True, skipping=False)
    return Farewell(b"", None, in_block, pending=False, skipping=False)


def _units(owed: Sequence[Owed]) -> Iterator[list[Owed]]:
    """Cut behind each request that ReadyForQuery answers; the last may have none. In an extended batch, a simple query
    behind what fails is skipped like everything else up to Sync."""
    unit: list[Owed] = []
    for entry in owed:
        unit.append(entry)
        if entry[0] == "sync" or (entry[0] in _UNITS and unit[0][0] in _UNITS):
            yield unit
            unit = []
    if unit:
        yield unit


class _Walk:
    """Goes through the units in their order; `aborted` once the client knows that its block has failed."""

    def __init__(self, lost: Lost) -> None:
        self.lost = lost
        self.said: list[bytes] = []
        self.error: TrunklineError | None = None
        self.in_block = lost.status != "I"
        self.aborted = lost.status == "E"
        self.skipping = False
        self.first = True

    def unit(self, unit: Sequence[Owed]) -> None:
        marks = 0
        for _, _, mark in unit:
            marks |= mark
        told, self.first = self.first and self.lost.told, False
        if self.lost.copying and not self.said:
            marks &= ~WRITING
        if not told:
            self._fail(marks)
        self.aborted = self.in_block
        if not unit or unit[-1][0] not in _UNITS or (unit[-1][0] != "sync" and unit[0][0] not in _UNITS):
            self.skipping = not self.lost.copy_syncs
            for _ in range(self.lost.copy_syncs):
                self._ready(marks)
        else:
            self._ready(marks)

    def _fail(self, marks: int) -> None:
        unknown = bool(marks & COMMITTING) or (not self.in_block and bool(marks & WRITING))
        if self.aborted and not unknown:
            self.said.append(error_response(TransactionAborted(ABORTED)))
            return
        error = loss(self.lost.words if self.error is None else None, unknown=unknown)
        self.said.append(error_response(error))
        self.error = self.error or error

    def _ready(self, marks: int) -> None:
        if marks & COMMITTING:
            self.in_block = self.aborted = False
        self.said.append(ready_for_query(b"E" if self.in_block else b"I"))

    def end(self) -> Farewell:
        return Farewell(b"".join(self.said), self.error, self.in_block, pending=False, skipping=self.skipping)
