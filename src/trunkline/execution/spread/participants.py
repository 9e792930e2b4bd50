"""Participants: the servers that a client's statement, or its transaction, has over several shards.

Theory of operation. A server is leased when its shard is first concerned, and kept until the statement, or the
transaction, is over. In a transaction each of them is told first how it began: the client's own BEGIN with what was
said in the block since (SAVEPOINT, SET LOCAL), or a BEGIN of ours around one statement.

Rule: leases that are needed together are taken in the order of the shards' numbers, so that two statements never wait
for each other's servers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from trunkline.errors import CommitOutcomeUnknown, QueryCanceled, ServerLost, StatementRefused, TrunklineError
from trunkline.execution.spread.agreeing import must_agree
from trunkline.execution.spread.apart import OF_TRANSACTION
from trunkline.execution.spread.beside import Beside
from trunkline.execution.spread.binding import EXECUTE, bind, parse
from trunkline.execution.spread.clock import Clock, outcome_of
from trunkline.execution.spread.coordination import Coordination
from trunkline.execution.spread.doing import Doing
from trunkline.execution.spread.gate import Side, Ticket
from trunkline.execution.spread.ids import Ids
from trunkline.execution.spread.modes import CrossShardSnapshot, Modes, TransactionMode, modes_of, second_shard_refused
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.questions import ISOLATION, WROTE
from trunkline.execution.spread.scatter import stop_running, to_end
from trunkline.execution.spread.two_phase import Commit
from trunkline.net.engine import Engine
from trunkline.pool.pool import Pool
from trunkline.pool.server import Lessee
from trunkline.protocol.messages import SYNC
from trunkline.protocol.params import Params
from trunkline.shard_errors import DistributedDeadlock

if TYPE_CHECKING:
    from trunkline.execution.spread.cursors import Cursors

log = logging.getLogger("trunkline.transactions")

SETTLE_S = 10.0  # how long one that is stopped may take to say so
BEGIN = b"BEGIN"
_numbers = itertools.count(1)


class Participants:
    """Those of one client; `pools` are its user's, by the numbers of the shards."""

    def __init__(
        self,
        pools: Sequence[Pool],
        engine: Engine,
        params: Params | None,
        coordination: Coordination,
        ids: Ids | None = None,
    ) -> None:
        self.pools = pools
        self.coordination = coordination
        self.number = next(_numbers)
        self.began_at = engine.time()
        self.condemned = False  # it is the victim of a deadlock
        self.params = params  # of the session, outside of its transaction
        self.clock = Clock()  # of what is under way
        self.cursors: Cursors  # of the client: its conductor's
        self.doing: Doing | None = None
        self.here: dict[int, Participant] = {}
        self.beginning: list[bytes] = []  # what each of them is told first; nothing: there is no transaction
        self.in_block = False  # the transaction is the client's own block
        self.ids = ids or Ids(coordination.ids)
        self.apart: list[Participant] = []  # beside them, in transactions that are not the client's
        self.beside = Beside()
        self._engine = engine
        self._unsynced: Participant | None = None
        self.leasing: dict[int, Participant] = {}  # that are in line for a server, or have one made ready
        self.inside: Ticket | None = None  # inside the gate, without anybody who waits
        self._commit: Commit | None = None
        self._level = ""  # of the transaction, once a server has said it
        self._writing = 0  # shards that a statement has gone to which writes
        self._taken_over = 0  # a shard about which that is not known

    @property
    def committing(self) -> bool:
        """Who waits for it does not end it any more."""
        return self._commit is not None

    @property
    def commit_state(self) -> str:
        """Of the commit that is under way; empty: none is."""
        return f"commit: {self._commit.state.name.lower()}" if self._commit is not None else ""

    @property
    def settings(self) -> Params | None:
        """What is in force: as the first of them has announced, or else those of the session."""
        return next((one.params for one in self.here.values() if one.lost is None), self.params)

    @property
    def now(self) -> float:
        """In seconds of the engine."""
        return self._engine.time()

    @property
    def lasts_s(self) -> float:
        """How long all this has lasted."""
        return self._engine.time() - self.began_at

    @property
    def modes(self) -> Modes:
        """How this session's transactions are to be."""
        settings = self.coordination.pools.database(self.coordination.database)
        return modes_of(settings, self.params.extra if self.params is not None else {})

    def __iter__(self) -> Iterator[Participant]:
        return iter(list(self.here.values()))

    # --- who takes part -------------------------------------------------------------------------------------------

    async def at(self, shard: int) -> Participant:
        """The one of this shard, leased, and in the transaction if there is one; a TrunklineError if it cannot be."""
        found = self.here.get(shard)
        if found is not None:
            if found.lost is not None:
                raise found.lost
            return found
        if self.in_block and not self._level:
            await self._begin_at_all(shard)
            return self.here[shard]
        return await self._join(shard)

    def another(self, shard: int) -> Participant:
        """One of this shard, which has no server yet."""
        return Participant(self._engine, self.pools[shard], shard, self.params)

    async def _join(self, shard: int) -> Participant:
        found = self.leasing.pop(shard, None) or self.another(shard)
        self.here[shard] = found
        try:
            await found.lease()
            if self.beginning:
                said = await found.ask(b"; ".join([*self.beginning, ISOLATION]))
                self._level = (said[-1][0] or b"").decode()
                must_agree(found.params, self.settings)
        except BaseException:
            self.here.pop(shard, None)
            found.release("it could not be made ready")
            raise
        if self.beginning and len(self.here) > 1:
            self.coordination.deadlocks.enter(self)
        return found

    async def at_all(self, mask: int) -> list[Participant]:
        """Those of all shards of a mask, by number."""
        return [await self.at(shard) for shard in range(len(self.pools)) if mask >> shard & 1]

    def leave_gate(self) -> None:
        """For what has entered it without anybody who waits."""
        if self.inside is not None:
            self.coordination.gate.leave(self.inside)
            self.inside = None

    def close_apart(self, one: Participant) -> None:
        """Of those that `apart.open_apart` has opened."""
        if one in self.apart:
            self.apart.remove(one)
            one.release("what it was opened for is over")

    def take_over(self, client: Lessee, shard: int, beginning: Sequence[bytes], *, unsynced: bool = False) -> None:
        """The server that a client has leased takes part, in the block that began like this.

        Without a beginning it is in a batch, which is `unsynced`, and in the implicit transaction of that: `go_on`.
        """
        found = self.here[shard] = self.another(shard)
        self.began_at, found.params = found.take_over(client), client.params
        self.beginning, self.in_block = list(beginning) or [BEGIN], bool(beginning)
        self._unsynced = found if unsynced else None
        self._taken_over = 1 << shard

    async def go_on(self) -> None:
        """Where the server that was taken over is in a batch: end that, and nothing of its transaction with it.

        A BEGIN behind statements of one implicit transaction makes a block of it (xact.c, BeginTransactionBlock).
        """
        one, self._unsynced = self._unsynced, None
        if one is None:
            return
        if self.in_block:
            one.request(SYNC, ("sync",))
        else:
            one.request(parse(BEGIN) + bind((), (), ()) + EXECUTE + SYNC, ("parse_unnamed", "bind", "execute", "sync"))
        await to_end(one)

    # --- snapshots ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def one_snapshot(self, mask: int) -> AsyncIterator[None]:
        """While the snapshots of these shards are taken: of every commit over several shards they have all or nothing.

        Whoever reads sends with `flushes` and leaves once all shards have said that they are bound.
        """
        ticket = self.reader(mask) if not self.in_block or not self._level.startswith("rep") else None
        if ticket is None:
            yield
            return
        await self.coordination.gate.enter(ticket)
        try:
            yield
        finally:
            self.coordination.gate.leave(ticket)

    def reader(self, mask: int) -> Ticket | None:
        """Who takes snapshots of these shards, for the gate; None: nothing can be seen half."""
        if not mask & (mask - 1) or self.modes.snapshot is CrossShardSnapshot.SHARD:
            return None
        self.coordination.recovery.wanted()
        return Ticket(Side.SNAPSHOT, mask, self)

    @property
    def keeps_snapshot(self) -> bool:
        """Whether all statements of the transaction see the same."""
        return not self._level.startswith("read")

    async def take_snapshots(self, mask: int) -> None:
        """In a transaction that keeps them: of these shards, now."""
        concerned = await self.at_all(mask)
        ticket = self.reader(mask)
        if ticket is None:
            return
        await self.coordination.gate.enter(ticket)
        try:
            await asyncio.gather(*[one.ask(b"SELECT 1") for one in concerned])
        finally:
            self.coordination.gate.leave(ticket)

    async def _begin_at_all(self, shard: int) -> None:
        """The first time that a block concerns several shards: with snapshots for all of it, all are taken now."""
        before = len(self.here)
        await self._join(shard)
        if self.modes.snapshot is CrossShardSnapshot.SHARD or self._level.startswith("read"):
            return
        if self._level == "serializable":
            hint = "REPEATABLE READ gives one snapshot of all shards."
            raise StatementRefused("transactions over several shards are not serializable", hint=hint)
        if before:
            hint = "Begin the transaction with a statement that concerns several shards."
            raise StatementRefused("this transaction has taken its snapshot at one shard alone", hint=hint)
        await self.take_snapshots((1 << len(self.pools)) - 1)

    # --- transactions ---------------------------------------------------------------------------------------------

    async def will_write(self, mask: int) -> None:
        """A statement that writes goes to these shards: a TrunklineError if that could not be committed."""
        if mask & ~self._writing == 0:
            return
        if self._taken_over & ~mask:
            [taken] = [one for one in self.here.values() if 1 << one.shard == self._taken_over]
            self._writing |= self._taken_over if (await taken.ask(WROTE))[0][0] is not None else 0
            self._taken_over = 0
        writing = self._writing | mask
        mode = self.modes.transaction
        if writing & (writing - 1):
            if mode is TransactionMode.SINGLE:
                raise second_shard_refused()
            if mode is TransactionMode.TWO_PHASE:
                pools = [pool for number, pool in enumerate(self.pools) if writing >> number & 1]
                await self.coordination.check_writable(pools)
        self._writing = writing

    @property
    def in_transaction(self) -> bool:
        return bool(self.beginning)

    @property
    def how_it_began(self) -> bytes:
        """What begins another transaction like this one, as AND CHAIN does."""
        return b"; ".join([*self.beginning[:1], *(one for one in self.beginning[1:] if OF_TRANSACTION.match(one))])

    async def begin(self, how: bytes = BEGIN) -> None:
        """A transaction of our own at each that takes part, now and later; in one already nothing happens."""
        if self.beginning:
            return
        self.beginning = [how]
        await self.all_ask(how)

    async def all_ask(self, sql: bytes) -> None:
        """The same at each, at once; the first error is raised when all have answered."""
        outcomes = await asyncio.gather(*[one.ask(sql) for one in self.here.values()], return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def say(self, sql: bytes) -> None:
        """Something about the block itself (SAVEPOINT, SET LOCAL): to all, and to who takes part later."""
        await self.all_ask(sql)
        self.beginning.append(sql)

    async def commit(self) -> None:
        """Commit, at all or at none; nobody takes part afterwards. It goes on if whoever waits for it does not."""
        parties = [one for one in self.here.values() if one.status != "I" or one.lost is not None]
        await asyncio.gather(*[one.discard() for one in parties if one.owes], return_exceptions=True)
        self._commit = Commit(parties, self.coordination, self, self.modes.transaction)
        work = self.coordination.tasks.spawn(self._commit_apart(self._commit), "commit over several shards")
        if (outcome := await outcome_of(work, self.clock, self.stop)) is not None:
            raise outcome

    async def _commit_apart(self, commit: Commit) -> TrunklineError | None:
        try:
            await commit.run()
        except TrunklineError as error:
            return error
        except BaseException:
            if not commit.decided:
                raise
            log.exception("a commit over several shards is left to recovery")
            return CommitOutcomeUnknown("a COMMIT was under way when it was interrupted")
        finally:
            self._commit = None
            self.release()
        return None

    async def rollback(self) -> None:
        """Undo everything; nobody takes part afterwards. What is lost has been undone."""
        if self.beginning:
            await self.settle()
        await asyncio.gather(*[one.ask(b"ROLLBACK") for one in self.here.values() if one.status != "I"],
                             return_exceptions=True)  # fmt: skip
        self.release()

    async def settle(self) -> None:
        """What still runs in the client's transaction is stopped, so that nothing but what is said next is answered."""
        owing = [one for one in self.here.values() if one.owes and one.lost is None]
        cancels = stop_running(owing)
        for one in owing:
            try:
                async with asyncio.timeout(SETTLE_S):
                    await one.discard()
            except TimeoutError:
                one.lose(ServerLost("the server does not answer", detail=f"Shard {one.pool.database}."))
            except TrunklineError:
                continue  # it is lost, as the next to ask hears
        if cancels:
            await asyncio.wait(cancels)  # one under way could hit what is said next

    def release(self, reason: str = "its client has what it asked for") -> None:
        """All leases end; what is in the middle of something is brought to an end that proves something."""
        if self.committing:
            return  # which releases them when it is over
        self.coordination.deadlocks.leave(self)
        self.leave_gate()
        self.ids.released()
        here, self.here = list(self.here.values()), {}
        if here and here[0].is_idle:
            self.params = here[0].params  # what its transaction has changed is kept, or taken back
        here, self.leasing = [*here, *self.leasing.values()], {}
        self.beginning, self.in_block = [], False
        self._level, self._writing, self._taken_over = "", 0, 0
        for one in here:
            one.release(reason)
        for one in list(self.apart):
            self.close_apart(one)

    def advance(self, sequences: Sequence[str]) -> None:
        """One of them runs what advances these by itself."""
        if sequences:
            self.ids.advanced(sequences, self.beginning[0] if self.in_block else None)

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel what runs for the client, unless it is decided that it commits; they end when servers have heard."""
        if self._commit is not None and self._commit.decided:
            return []
        self.coordination.gate.refuse(self, QueryCanceled("canceling statement due to user request"))
        return [*self.beside.stop(), *stop_running((*self.here.values(), *self.apart))]

    # --- deadlocks over several shards ------------------------------------------------------------------------------

    def places(self) -> Iterable[tuple[Pool, int, int]]:
        """As `deadlocks.Member`."""
        return [(one.pool, one.shard, one.server.pid) for one in self.here.values() if one.server is not None]

    @property
    def waits(self) -> bool:
        return any(one.running for one in self.here.values()) or self.coordination.gate.holds_up(self)

    def condemn(self) -> None:
        self.condemned = True
        self.coordination.gate.refuse(self, DistributedDeadlock("deadlock detected"))
        self.stop()
