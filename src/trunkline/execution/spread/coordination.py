"""Coordination: what the transactions of one database have in common, over all its shards and clients.

Its gate, its decisions, the commits that are under way, who looks for deadlocks, recovery, and ids that were drawn. One
of each for each database with shards, made at the start or with the settings that say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from trunkline.config.settings import Config
from trunkline.errors import TrunklineError
from trunkline.execution.spread.deadlocks import Deadlocks, Elsewhere
from trunkline.execution.spread.decisions import Decisions
from trunkline.execution.spread.gate import Gate, Ticket
from trunkline.execution.spread.id_blocks import Blocks
from trunkline.execution.spread.jobs import Jobs
from trunkline.execution.spread.names import Life, Name
from trunkline.execution.spread.placement import Placement
from trunkline.execution.spread.recovery import Recovery
from trunkline.execution.spread.tidings import Tidings
from trunkline.net.tasks import Tasks
from trunkline.pool.errands import Errands

if TYPE_CHECKING:
    from trunkline.execution.spread.two_phase import Commit, Party
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

_AGAIN_S = 0.2


class Coordination:
    """Of one database."""

    def __init__(self, everything: Coordinations, database: str) -> None:
        errands = everything.errands
        self.pools = everything.pools
        self.database = database
        self.life = everything.life
        self.tasks = everything.tasks
        self.gate = everything.make_gate(database)
        self.decisions = Decisions(errands)
        self.deadlocks = Deadlocks(errands, self.gate, self.tasks, database, everything.elsewhere)
        self.recovery = Recovery(self, errands)
        self.placement = Placement(self.pools, database, errands, self.tasks)
        self.tidings = Tidings(self.tasks, database, everything.tell_of_schema)
        self.ids = Blocks(errands)
        self.jobs = Jobs()
        self.active: dict[str, Commit] = {}  # by the names of their decisions

    def __repr__(self) -> str:
        return f"<Coordination {self.database} {len(self.active)} active {self.gate!r}>"

    async def check_writable(self, pools: Sequence[Pool]) -> None:
        """A second shard is written to: TrunklineError if their transaction could not be committed over both."""
        await asyncio.gather(*(self.decisions.check_prepared(pool) for pool in pools))

    async def begin(self, commit: Commit, coordinator: Party, others: Sequence[Party]) -> Name:
        """A name for a commit, once its coordinator can decide; TrunklineError if it, or another, cannot take part."""
        pools = [one.pool for one in others]
        cluster, _ = await asyncio.gather(self.decisions.cluster_of(coordinator.pool), self.check_writable(pools))
        mask = sum(1 << one.shard for one in (coordinator, *others))
        name = self.life.name(cluster, mask, coordinator.shard)
        self.active[str(name)] = commit
        return name

    def ended(self, name: Name) -> None:
        """A commit is over, or somebody else's."""
        self.active.pop(str(name), None)

    def finished(self, name: Name, coordinator: Pool) -> None:
        """All have done what was decided: nobody will ask for the decision any more."""
        self.recovery.forget_soon(str(name), coordinator)

    async def outcome_of(self, name: Name, coordinator: Pool, patience_s: float) -> str:
        """What was decided, by now at the latest; empty if the coordinator does not say within this time."""
        outcome = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not outcome:
                    with suppress(TrunklineError):
                        outcome = await self.decisions.settle(coordinator, name)
                    if not outcome:
                        await asyncio.sleep(_AGAIN_S)
        return outcome

    def hand_over(self, name: Name, left: Mapping[int, Pool], outcome: str, ticket: Ticket) -> asyncio.Event:
        """Recovery brings these shards to the end, whatever it takes, and leaves the gate then; the event says when."""
        return self.recovery.take_over(name, left, outcome, ticket)

    async def patience(self, over: asyncio.Event, limit_s: float) -> None:
        """Until that is over, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await over.wait()


class Coordinations:
    """All of a process."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks = Tasks()
        self.errands = Errands(pools)
        self.life = Life.begin("")
        self.make_gate: Callable[[str], Gate] = lambda database: Gate()
        self.elsewhere: Elsewhere | None = None
        self._all: dict[str, Coordination] = {}

    def __iter__(self) -> Iterator[Coordination]:
        return iter(list(self._all.values()))

    def of(self, database: str) -> Coordination:
        """The one of a database with shards."""
        found = self._all.get(database)
        if found is None:
            found = Coordination(self, database)
            self._all[database] = found
        return found

    def on_schema_change(self, database: str) -> None:
        """DDL has been committed here."""
        if database in self._all:
            self._all[database].placement.schema_changed()
            self._all[database].tidings.changed()

    def hear_of_schema(self, database: str) -> None:
        """DDL has been committed by another worker."""
        if database in self._all:
            self._all[database].placement.on_schema()

    async def tell_of_schema(self, database: str) -> None:
        """The other workers, if there are any."""
        if self.elsewhere is not None:
            await self.elsewhere.schema_changed(database)

    def share(self, make_gate: Callable[[str], Gate], elsewhere: Elsewhere) -> None:
        """There are other processes of this instance, which have gates in common with it. Before anything begins."""
        self.make_gate, self.elsewhere = make_gate, elsewhere

    def begin(self, listens_at: str, elders_before: int = 0) -> None:
        """The process begins to serve: what an earlier one has left is looked for. Those that have begun before this
        time, in nanoseconds since 1970, may serve still."""
        self.life = Life.begin(listens_at, elders_before)
        self.reconfigure(self.pools.config)

    def reconfigure(self, config: Config) -> None:
        """At the start and after a reload."""
        wanted = [one.name for one in config.databases.values() if one.sharding is not None and not one.shard_by]
        for database in self._all.keys() - set(wanted):
            gone = self._all.pop(database)
            gone.recovery.stop()
            gone.placement.stop()
        for database in wanted:
            self.of(database).recovery.start()

    def tick(self, now: float) -> None:
        self.errands.tick(now)
