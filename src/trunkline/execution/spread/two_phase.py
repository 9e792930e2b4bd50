"""Two-phase commit of one client's transaction over several shards.

Theory of operation. The servers say who has written. None or one: the readers commit, then the writer, plainly. More:
the first writer coordinates. Its transaction adds a row to `trunkline.decisions`, the others prepare, the readers
commit; then the coordinator's COMMIT is the decision, and the others' COMMIT PREPARED only follows it. TABLE says what
comes after what.

Rules:
1. Until the decision everything is undone by whatever goes wrong; the client hears why, in the server's own words.
2. After it nothing is undone; what cannot be finished here is handed to recovery, which leaves the gate in the end.
3. A coordinator that is lost in its COMMIT is asked for its row; if it does not say, the outcome is unknown (08007).
4. Constraints that are deferred are checked before the gate, so nobody waits for a lock inside it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import CommitOutcomeUnknown, ServerLost, ServerRefused, TrunklineError
from trunkline.execution.spread.decisions import COMMIT, ROLLBACK, insertion
from trunkline.execution.spread.gate import Side, Ticket
from trunkline.execution.spread.modes import TransactionMode, second_shard_refused
from trunkline.failpoints import failpoint
from trunkline.shard_errors import CommitFailed, PartlyCommitted

if TYPE_CHECKING:
    from trunkline.execution.spread.coordination import Coordination
    from trunkline.execution.spread.names import Name
    from trunkline.pool.pool import Pool


class State(enum.Enum):
    ASKED = enum.auto()  # all were asked who has written
    PLAIN = enum.auto()  # one writer at most
    LOOSE = enum.auto()  # several, of which each commits for itself (best_effort)
    FIRST = enum.auto()  # the first phase
    DECIDING = enum.auto()
    DOUBT = enum.auto()  # the coordinator was lost in its COMMIT
    SECOND = enum.auto()  # the second phase
    UNDOING = enum.auto()
    OVER = enum.auto()


class Event(enum.Enum):
    FEW_WROTE = enum.auto()
    MANY_WROTE = enum.auto()
    MANY_WROTE_LOOSELY = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()  # and has not happened
    LOST = enum.auto()  # and may have happened
    SILENT = enum.auto()  # nobody says what has happened


class Action(enum.Enum):
    COMMIT_PLAINLY = enum.auto()
    COMMIT_EACH = enum.auto()
    PREPARE = enum.auto()
    DECIDE = enum.auto()
    FIND_OUT = enum.auto()
    FINISH = enum.auto()
    UNDO = enum.auto()
    TELL_COMMITTED = enum.auto()
    TELL_WHY_NOT = enum.auto()
    TELL_UNKNOWN = enum.auto()


TABLE: Final[Mapping[tuple[State, Event], tuple[State, Action]]] = {
    (State.ASKED, Event.FEW_WROTE): (State.PLAIN, Action.COMMIT_PLAINLY),
    (State.ASKED, Event.MANY_WROTE): (State.FIRST, Action.PREPARE),
    (State.ASKED, Event.MANY_WROTE_LOOSELY): (State.LOOSE, Action.COMMIT_EACH),
    (State.ASKED, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.PLAIN, Event.DONE): (State.OVER, Action.TELL_COMMITTED),
    (State.PLAIN, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.PLAIN, Event.LOST): (State.OVER, Action.TELL_UNKNOWN),
    (State.LOOSE, Event.DONE): (State.OVER, Action.TELL_COMMITTED),
    (State.LOOSE, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.LOOSE, Event.LOST): (State.OVER, Action.TELL_WHY_NOT),
    (State.FIRST, Event.DONE): (State.DECIDING, Action.DECIDE),
    (State.FIRST, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.DECIDING, Event.DONE): (State.SECOND, Action.FINISH),
    (State.DECIDING, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.DECIDING, Event.LOST): (State.DOUBT, Action.FIND_OUT),
    (State.DOUBT, Event.DONE): (State.SECOND, Action.FINISH),
    (State.DOUBT, Event.FAILED): (State.UNDOING, Action.UNDO),
    (State.DOUBT, Event.SILENT): (State.OVER, Action.TELL_UNKNOWN),
    (State.SECOND, Event.DONE): (State.OVER, Action.TELL_COMMITTED),
    (State.UNDOING, Event.DONE): (State.OVER, Action.TELL_WHY_NOT),
}

FIRST_S, SECOND_S = 30.0, 5.0  # how long a server may take for one of our statements, before and after the decision
FIND_OUT_S = 10.0  # how long the coordinator is asked what it has decided
FINISH_S = 10.0  # how long a client waits for what recovery has still to do
_VOTE = b"SET CONSTRAINTS ALL IMMEDIATE; SELECT pg_catalog.txid_current_if_assigned()"
_ENDED = ("57P01", "57P02", "57P03", "57P05")  # a server's last words: what it did before is not known
_CANCELED = "57014"
_TRIES = 3  # of COMMIT PREPARED, which a cancel that was under way may have stopped


class Party(Protocol):
    """A server of one shard in the transaction (`participant.Participant`)."""

    shard: int
    pool: Pool

    @property
    def status(self) -> str: ...

    async def ask(self, sql: bytes) -> Sequence[tuple[bytes | None, ...]]: ...


class Commit:
    """One commit; the parties in the order in which they came to the transaction."""

    def __init__(
        self,
        parties: Iterable[Party],
        coordination: Coordination,
        owner: object = None,
        mode: TransactionMode = TransactionMode.TWO_PHASE,
    ) -> None:
        self.parties = list(parties)
        self.mode = mode
        self.state = State.ASKED
        self.decided = False  # nothing stops it any more
        self.name: Name | None = None
        self._coordination = coordination
        self._ticket = Ticket(Side.COMMIT, 0, owner)
        self._writers: list[Party] = []
        self._prepared: list[Party] = []
        self._unsure: list[Party] = []  # they may have prepared, and are lost
        self._silent: list[Party] = []
        self._error: TrunklineError | None = None
        self._actions: Mapping[Action, Callable[[], Awaitable[Event]]] = {
            Action.COMMIT_PLAINLY: self._commit_plainly,
            Action.COMMIT_EACH: self._commit_each,
            Action.PREPARE: self._prepare,
            Action.DECIDE: self._decide,
            Action.FIND_OUT: self._find_out,
            Action.FINISH: self._finish,
            Action.UNDO: self._undo,
        }

    async def run(self) -> None:
        """Return when it is committed; else the error that the client is to hear."""
        try:
            event = await self._vote()
            while True:
                self.state, action = TABLE[self.state, event]
                if self.state is State.OVER:
                    break
                event = await self._actions[action]()
        except BaseException:  # an error of ours: recovery goes on with what is left
            if self.name is not None:
                self._hand_over(self._writers[1:], "")
            raise
        finally:
            self._close()
        if action is Action.TELL_UNKNOWN:
            raise CommitOutcomeUnknown("a server was lost while a COMMIT was under way") from self._error
        if action is Action.TELL_WHY_NOT:
            raise self._why()

    # --- one of them, or several at once --------------------------------------------------------------------------

    async def _all(self, asked: Iterable[tuple[Party, bytes]]) -> list[tuple[Party, TrunklineError]]:
        """Ask at once; those who failed, when all have answered."""
        pairs = list(asked)
        said = await asyncio.gather(*(self._ask(one, sql) for one, sql in pairs), return_exceptions=True)
        failed = [(one, error) for (one, _), error in zip(pairs, said, strict=True) if isinstance(error, BaseException)]
        for _, error in failed:
            if not isinstance(error, TrunklineError):
                raise error
        return failed  # type: ignore[return-value]

    async def _ask(self, one: Party, sql: bytes) -> None:
        """One that does not answer is as good as lost, and is not asked again."""
        if one in self._silent:
            raise ServerLost("the server does not answer")
        try:
            async with asyncio.timeout(SECOND_S if self.state is State.SECOND else FIRST_S):
                await one.ask(sql)
        except TimeoutError:
            self._silent.append(one)
            raise ServerLost("the server does not answer") from None

    def _note(self, failed: Iterable[tuple[Party, TrunklineError]]) -> Event:
        for _, error in failed:
            self._error = self._error or error
        return Event.FAILED if self._error is not None else Event.DONE

    def _why(self) -> TrunklineError:
        if isinstance(self._error, ServerLost) or self._error is None:
            return CommitFailed("a server was lost before the transaction was decided, and it has been rolled back")
        return self._error

    # --- actions --------------------------------------------------------------------------------------------------

    async def _vote(self) -> Event:
        """Who has written."""
        said = await asyncio.gather(*(one.ask(_VOTE) for one in self.parties), return_exceptions=True)
        for one, rows in zip(self.parties, said, strict=True):
            if isinstance(rows, TrunklineError):
                self._error = self._error or rows
            elif isinstance(rows, BaseException):
                raise rows
            elif rows[0][0] is not None:
                self._writers.append(one)
        failpoint("two_phase_asked")
        if self._error is None and len(self._writers) > 1 and self.mode is TransactionMode.SINGLE:
            self._error = second_shard_refused()
        if self._error is not None:
            return Event.FAILED
        if len(self._writers) < 2:
            return Event.FEW_WROTE
        return Event.MANY_WROTE if self.mode is TransactionMode.TWO_PHASE else Event.MANY_WROTE_LOOSELY

    async def _commit_plainly(self) -> Event:
        readers = [one for one in self.parties if one not in self._writers]
        if self._note(await self._all((one, b"COMMIT") for one in readers)) is Event.FAILED:
            return Event.FAILED
        failed = await self._all((one, b"COMMIT") for one in self._writers)
        self._note(failed)
        if not failed:
            return Event.DONE
        return Event.LOST if _may_have_happened(failed[0][1]) else Event.FAILED

    async def _commit_each(self) -> Event:
        self.decided = True
        failed = await self._all((one, b"COMMIT") for one in self.parties)
        if self._note(failed) is Event.DONE:
            return Event.DONE
        if len(failed) == len(self.parties) and not any(_may_have_happened(error) for _, error in failed):
            return Event.FAILED
        shards = ", ".join(one.pool.database for one, _ in failed)
        self._error = PartlyCommitted(
            "the transaction has been committed on some shards and not on others", detail=f"It failed on {shards}."
        )
        return Event.LOST

    async def _prepare(self) -> Event:
        coordinator, *others = self._writers
        readers = [one for one in self.parties if one not in self._writers]
        try:
            self.name = name = await self._coordination.begin(self, coordinator, others)
        except TrunklineError as error:
            self._error = error
            return Event.FAILED
        failpoint("two_phase_begun")
        asked = [(coordinator, insertion(name)), *((one, b"COMMIT") for one in readers)]
        asked += [(one, f"PREPARE TRANSACTION '{name.at(one.shard)}'".encode()) for one in others]
        failed = await self._all(asked)
        lost = dict(failed)
        self._prepared = [one for one in others if one not in lost]
        self._unsure = [one for one in others if one in lost and _may_have_happened(lost[one])]
        failpoint("two_phase_prepared")
        return self._note(failed)

    async def _decide(self) -> Event:
        assert self.name is not None
        self._ticket.mask = self.name.participants
        try:
            await self._coordination.gate.enter(self._ticket)
        except TrunklineError as error:
            self._error = error
            return Event.FAILED
        self.decided = True
        failpoint("two_phase_deciding")
        failed = await self._all([(self._writers[0], b"COMMIT")])
        failpoint("two_phase_decided")
        self._note(failed)
        if not failed:
            return Event.DONE
        return Event.LOST if _may_have_happened(failed[0][1]) else Event.FAILED

    async def _find_out(self) -> Event:
        assert self.name is not None
        outcome = await self._coordination.outcome_of(self.name, self._writers[0].pool, FIND_OUT_S)
        failpoint("two_phase_found_out")
        if outcome == COMMIT:
            self._error = None
            return Event.DONE
        if outcome == ROLLBACK:
            return Event.FAILED
        self._hand_over([*self._prepared], "")
        return Event.SILENT

    async def _finish(self) -> Event:
        assert self.name is not None
        failed = await asyncio.gather(*(self._commit_prepared(one, self.name) for one in self._prepared))
        failpoint("two_phase_finished")
        left = [one for one, error in zip(self._prepared, failed, strict=True) if error is not None]
        if left:
            await self._coordination.patience(self._hand_over(left, COMMIT), FINISH_S)
        else:
            self._coordination.finished(self.name, self._writers[0].pool)
        return Event.DONE

    async def _commit_prepared(self, one: Party, name: Name) -> TrunklineError | None:
        error: TrunklineError | None = None
        for _ in range(_TRIES):
            failed = await self._all([(one, f"COMMIT PREPARED '{name.at(one.shard)}'".encode())])
            failpoint("two_phase_one_finished")
            error = failed[0][1] if failed else None
            if not (isinstance(error, ServerRefused) and error.sqlstate == _CANCELED):
                break
        return error

    async def _undo(self) -> Event:
        failpoint("two_phase_undoing")
        asked = [(one, b"ROLLBACK") for one in self.parties if one.status != "I"]
        await self._all(asked)
        if self.name is not None:
            name = self.name
            undone = ((one, f"ROLLBACK PREPARED '{name.at(one.shard)}'".encode()) for one in self._prepared)
            left = [*(one for one, _ in await self._all(undone)), *self._unsure]
            if left:
                self._hand_over(left, ROLLBACK)
        return Event.DONE

    # --- the end --------------------------------------------------------------------------------------------------

    def _hand_over(self, left: Sequence[Party], outcome: str) -> asyncio.Event:
        """Recovery goes on with these; the ticket is its own from now on."""
        assert self.name is not None
        ticket, self._ticket = self._ticket, Ticket(Side.COMMIT, 0)
        return self._coordination.hand_over(self.name, {one.shard: one.pool for one in left}, outcome, ticket)

    def _close(self) -> None:
        """Also of what has ended in the middle, by an error of ours: recovery finds what is left of it."""
        self._coordination.gate.leave(self._ticket)
        if self.name is not None:
            self._coordination.ended(self.name)


def _may_have_happened(error: TrunklineError) -> bool:
    """Whether what was asked for may have been done though this came instead of an answer."""
    return isinstance(error, ServerLost) or (isinstance(error, ServerRefused) and error.sqlstate in _ENDED)
