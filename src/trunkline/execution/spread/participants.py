"""Participants: the servers that a client's statement, or its transaction, has over several shards.

Theory of operation. A server is leased when its shard is first concerned, and kept until the statement, or the
transaction, is over. In a transaction each of them is told first how it began: the client's own BEGIN with what was
said in the block since (SAVEPOINT, SET LOCAL), or a BEGIN of ours around one statement.

Rule: leases that are needed together are taken in the order of the shards' numbers, so that two statements never wait
for each other's servers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from trunkline.errors import CommitOutcomeUnknown, StatementRefused, TrunklineError
from trunkline.execution.spread.participant import Participant
from trunkline.net.engine import Engine
from trunkline.pool.pool import Pool
from trunkline.pool.server import Lessee
from trunkline.protocol.params import Params

BEGIN = b"BEGIN"
APART = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_OF_TRANSACTION = re.compile(rb"\s*set\s+(local\s+)?transaction", re.IGNORECASE)


class Participants:
    """Those of one client; `pools` are its user's, by the numbers of the shards."""

    def __init__(self, pools: Sequence[Pool], engine: Engine, params: Params | None) -> None:
        self.pools = pools
        self.params = params
        self.here: dict[int, Participant] = {}
        self.beginning: list[bytes] = []  # what each of them is told first; nothing: there is no transaction
        self.in_block = False  # the transaction is the client's own block
        self.committing = False  # nothing stops it now
        self.apart: list[Participant] = []  # beside them, in transactions that are not the client's
        self._engine = engine

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
        found = self.here[shard] = Participant(self._engine, self.pools[shard], shard, self.params)
        try:
            await found.lease()
            if self.beginning:
                await found.ask(b"; ".join(self.beginning))
        except BaseException:
            self.here.pop(shard, None)
            found.release("it could not be made ready")
            raise
        return found

    async def at_all(self, mask: int) -> list[Participant]:
        """Those of all shards of a mask, by number."""
        return [await self.at(shard) for shard in range(len(self.pools)) if mask >> shard & 1]

    async def open_apart(self, shard: int) -> Participant:
        """A connection beside those that take part, in a transaction of its own that has the settings of theirs."""
        found = Participant(self._engine, self.pools[shard], shard, self.params)
        self.apart.append(found)
        try:
            await found.lease_apart()
            said = [one for one in self.beginning[1:] if not _OF_TRANSACTION.match(one)]
            await found.ask(b"; ".join([APART, *said]))
        except BaseException:
            self.close_apart(found)
            raise
        return found

    def close_apart(self, one: Participant) -> None:
        if one in self.apart:
            self.apart.remove(one)
            one.release("what it was opened for is over")

    def take_over(self, client: Lessee, shard: int, beginning: Sequence[bytes]) -> None:
        """The server that a client has leased takes part, in the block that began like this."""
        found = self.here[shard] = Participant(self._engine, self.pools[shard], shard, self.params)
        found.take_over(client)
        self.beginning, self.in_block = list(beginning), True

    # --- transactions ---------------------------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        return bool(self.beginning)

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
        """Commit, at all or at none; nobody takes part afterwards."""
        self.committing = True
        try:
            wrote = [one for one in self.here.values() if await _has_written(one)]
            if len(wrote) > 1:
                raise StatementRefused("a transaction that has written to several shards cannot be committed yet")
            for one in sorted(self.here.values(), key=lambda one: one in wrote):
                await self._commit_at(one, unknown=one in wrote)
        finally:
            self.committing = False
            self.release()

    async def _commit_at(self, one: Participant, *, unknown: bool) -> None:
        try:
            await one.ask(b"COMMIT")
        except TrunklineError as error:
            if unknown and error is one.lost:
                raise CommitOutcomeUnknown("a server was lost while a COMMIT was under way") from error
            raise

    async def rollback(self) -> None:
        """Undo everything; nobody takes part afterwards. What is lost has been undone."""
        await asyncio.gather(*[one.ask(b"ROLLBACK") for one in self.here.values() if one.status != "I"],
                             return_exceptions=True)  # fmt: skip
        self.release()

    async def settle(self) -> None:
        """What still runs in the client's transaction is stopped, and its end is heard."""
        for one in self.here.values():
            if one.running and one.server is not None and one.lost is None:
                one.pool.pools.cancel(one.pool, one.server)
                with suppress(TrunklineError):
                    await one.until_ready()

    def release(self, reason: str = "its client has what it asked for") -> None:
        """All leases end; what is in the middle of something is brought to an end that proves something."""
        here, self.here = list(self.here.values()), {}
        self.beginning, self.in_block = [], False
        for one in here:
            one.release(reason)
        for one in list(self.apart):
            self.close_apart(one)

    def stop(self) -> None:
        """Cancel what runs for the client, unless it commits."""
        for one in (*self.here.values(), *self.apart):
            if one.running and one.server is not None and not self.committing:
                one.pool.pools.cancel(one.pool, one.server)


async def _has_written(one: Participant) -> bool:
    if one.status != "T":
        return False
    rows = await one.ask(b"SELECT pg_catalog.pg_current_xact_id_if_assigned()")
    return rows[0][0] is not None
