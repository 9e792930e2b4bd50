"""What PostgreSQL does in no transaction, done at each shard: tried again where that may help, and tidied up where not.

Theory of operation. An index is made, or dropped, at the home shard first, where two clients who want the same meet;
then at the others at once. All else begins everywhere. Every step leases a server for itself, so that none is held
while another is waited for, and none that was cancelled is asked on.

Rules:
1. It goes on when its client has left, as PostgreSQL does; a cancel request ends it.
2. An index that a failed attempt has left half built is dropped: before the next try, and at the end.
3. Whether an attempt that was lost has done its work is asked of the catalog, behind whoever may still be at it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from trunkline.errors import QueryCanceled, StatementRefused, TrunklineError
from trunkline.execution.spread import index_states
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.jobs import OVER, TRIES, Part, State, is_lost, is_transient, pause_s
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import stop_running, to_end
from trunkline.protocol.messages import query
from trunkline.routing.spreading.quoting import full
from trunkline.routing.spreading.shard_jobs import Has, ShardJobs, Step, Work, steps

log = logging.getLogger("trunkline.jobs")

_TIDYING = {b"lock_timeout": b"10s", b"statement_timeout": b"0"}


class ShardWork:
    """One statement's, from its beginning to its end at all shards."""

    def __init__(self, program: ShardJobs, asked: Asked, participants: Participants) -> None:
        assert asked.request is not None
        self._program = program
        self._home = asked.home
        self._participants = participants
        self._coordination = participants.coordination
        pools = participants.pools
        job = self._coordination.jobs.begin(pools[0].user, asked.request.sql, time.time())
        shards = [shard for shard in range(len(pools)) if program.mask >> shard & 1]
        job.parts = [Part(shard, pools[shard].database.rpartition("/")[2], time.time()) for shard in shards]
        self.job = job
        self.notices: dict[int, list[bytes]] = {}
        self._name, self._index = "", program.index
        self.called = program.called
        self._before: dict[int, set[str]] = {}  # what was unfinished at a shard before
        self._running: set[Participant] = set()
        self._stopped = asyncio.Event()

    # --- from outside ---------------------------------------------------------------------------------------------

    def stop(self) -> list[asyncio.Task[None]]:
        """Its client wants it to end."""
        self._stopped.set()
        return stop_running(self._running)

    async def run(self) -> TrunklineError | None:
        """Do it; what hindered it from beginning anywhere."""
        try:
            todo = await self._decided()
            await self._do_all(todo)
        except TrunklineError as error:
            return error
        finally:
            for part in self.job.parts:
                if part.state not in OVER:
                    self._enter(part, State.NOT_BEGUN if part.state is State.WAITING else State.FAILED)
        return None

    async def _do_all(self, todo: Mapping[int, Step]) -> None:
        parts = self.job.parts
        for part in parts:
            if todo.get(part.shard) is not Step.RUN:
                self._enter(part, State.PASSED if part.shard in todo else State.NOT_BEGUN)
        begun = [part for part in parts if part.state is State.WAITING]
        first = [part for part in begun if part.shard == self._home and self._program.work in (Work.CREATE, Work.DROP)]
        for part in first:
            await self._do(part)
        others = [part for part in begun if part not in first]
        if all(part.state is State.DONE for part in first):
            await asyncio.gather(*(self._do(part) for part in others))
        if any(part.state is State.FAILED for part in parts):
            self._coordination.pools.schema_changed(self._coordination.database)  # what was left is drift

    # --- what is to be done ---------------------------------------------------------------------------------------

    async def _decided(self) -> dict[int, Step]:
        program = self._program
        if program.work not in (Work.CREATE, Work.DROP) or (program.work is Work.DROP and not program.index):
            return dict.fromkeys((part.shard for part in self.job.parts), Step.RUN)
        if not program.index:
            return await self._named()
        seen = await self._look_everywhere(program.index)
        return steps(program, self._home, _states(seen), equal=await self._is_wanted(seen))

    async def _look_everywhere(self, index: str) -> dict[int, tuple[Has, bytes]]:
        seen = {}
        for part in self.job.parts:
            try:
                async with self._at(part) as one:
                    seen[part.shard] = await index_states.look(one, index, self._program.table)
            except TrunklineError as error:
                part.error = error
                raise
        return seen

    async def _is_wanted(self, seen: dict[int, tuple[Has, bytes]]) -> bool:
        """Whether the indexes that are valid are what the statement would make; asked where that decides."""
        there = {definition for has, definition in seen.values() if has is Has.VALID}
        if self._program.work is Work.DROP or not there or Has.VALID not in _states(seen).values():
            return True
        if self._program.unless or all(has is Has.VALID for has, _ in seen.values()):
            return True
        try:
            async with self._at(self._part_at_home()) as one:
                ((_, definition),) = await index_states.wanted(one, self._program)
        except TrunklineError:
            return False  # PostgreSQL says what it makes of it
        return there == {definition}

    async def _named(self) -> dict[int, Step]:
        """Of an index without a name: the first that PostgreSQL would give and that is free on all shards.

        Or that of an earlier attempt, which is what is wanted, and is not everywhere.
        """
        async with self._at(self._part_at_home()) as one:
            names = await index_states.wanted(one, self._program)
        assert self._program.table is not None
        for name, definition in names:
            index = full(self._program.table[0], name)
            seen = await self._look_everywhere(index)
            free = [has for has, _ in seen.values() if has in (Has.NOTHING, Has.LEFTOVER)]
            rest = [found for found in seen.values() if found[0] not in (Has.NOTHING, Has.LEFTOVER)]
            if free and all(found == (Has.VALID, definition) for found in rest):
                self.called = self._name = name
                self._index = index
                return steps(self._program, self._home, _states(seen), equal=True)
        raise StatementRefused("all names that PostgreSQL would give the index are taken", hint="Give it a name.")

    def _part_at_home(self) -> Part:
        return next((part for part in self.job.parts if part.shard == self._home), self.job.parts[0])

    # --- one shard's part -----------------------------------------------------------------------------------------

    async def _do(self, part: Part) -> None:
        while True:
            part.tries += 1
            try:
                self._go_on()
                self._enter(part, State.RUNNING)
                if not await self._is_done(part):
                    await self._say(part)
                self._enter(part, State.DONE)
                return
            except TrunklineError as error:
                part.error = error
            if self._stopped.is_set() or part.tries == TRIES or not is_transient(part.error):
                break
            self._enter(part, State.RETRYING)
            await self._pause(part.tries)
        await self._tidy_at_the_end(part)
        self._enter(part, State.FAILED)
        log.warning("%s at shard %s failed: %s", self._program.tag.decode(), part.name, part.error.message)

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise QueryCanceled("canceling statement due to user request")

    async def _pause(self, tries: int) -> None:
        try:
            async with asyncio.timeout(pause_s(tries)):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _say(self, part: Part) -> None:
        async with self._at(part) as one:
            one.request(query(self._program.text(part.shard, self._name)), ("query",))
            try:
                await to_end(one)
            finally:
                self.notices[part.shard] = list(one.notices)  # of the last try

    async def _is_done(self, part: Part) -> bool:
        """Whether the last try has done it after all; what it has left behind goes."""
        program = self._program
        if program.work is Work.UPKEEP or (program.work is Work.DROP and part.tries == 1):
            return False
        async with self._at(part) as one:
            await self._wait_for_others(one, part)
            if program.work is Work.DROP:
                return bool(self._index) and (await index_states.look(one, self._index, None))[0] is Has.NOTHING
            if program.work is Work.CREATE:
                return await self._is_created(one, part)
            await self._drop_unfinished(one, part)
        return False

    async def _wait_for_others(self, one: Participant, part: Part) -> None:
        if part.error is not None and is_lost(part.error) and self._program.table is not None:
            await index_states.wait_for_others(one, self._program.table)

    async def _is_created(self, one: Participant, part: Part) -> bool:
        has, _ = await index_states.look(one, self._index, self._program.table)
        if has is Has.LEFTOVER:
            await index_states.drop(one, self._index)
        return has is Has.VALID and part.error is not None and is_lost(part.error)

    async def _drop_unfinished(self, one: Participant, part: Part) -> None:
        if self._program.table is None:
            return
        found = set(await index_states.unfinished(one, self._program.table))
        before = self._before.setdefault(part.shard, found)
        for index in sorted(found - before):
            await index_states.drop(one, index)

    async def _tidy_at_the_end(self, part: Part) -> None:
        """Nothing half built stays, if that can be helped."""
        if self._program.work not in (Work.CREATE, Work.REBUILD):
            return
        self._enter(part, State.CLEANING)
        try:
            async with self._at(part, tidying=True) as one:
                await self._wait_for_others(one, part)
                if self._program.work is Work.REBUILD:
                    await self._drop_unfinished(one, part)
                else:
                    await self._is_created(one, part)
        except TrunklineError as error:
            part.leftover = True
            log.warning("an index may be left half built at shard %s: %s", part.name, error.message)

    @asynccontextmanager
    async def _at(self, part: Part, *, tidying: bool = False) -> AsyncIterator[Participant]:
        """A server of this shard, for one step."""
        pool, params = self._participants.pools[part.shard], self._participants.params
        if tidying and params is not None:
            params = params.with_extra({**params.extra, **_TIDYING})
        one = Participant(pool.pools.engine, pool, part.shard, params)
        self._running.add(one)
        try:
            await one.lease()
            yield one
        finally:
            self._running.discard(one)
            one.release("its part is over")

    def _enter(self, part: Part, state: State) -> None:
        part.enter(state, time.time())


def _states(seen: dict[int, tuple[Has, bytes]]) -> dict[int, Has]:
    return {shard: has for shard, (has, _) in seen.items()}
