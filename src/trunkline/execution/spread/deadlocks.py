"""Deadlocks over several shards: clients that wait for each other, each at another shard, where none of the shards sees
more than its own half. The clients may be of several workers, each of which looks, and ends its own clients only.

While transactions over several shards wait, the shards are asked every second who waits for whom there. What is known
of a client at all shards is one node; so is each session that is nobody's. A cycle that is there twice in a row, and
is not one shard's alone (PostgreSQL finds those itself), has its youngest client cancelled with 40P01.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trunkline.errors import TrunklineError
from trunkline.execution.spread.gate import Gate
from trunkline.net.tasks import Tasks
from trunkline.pool.errands import Errands

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool

log = logging.getLogger("trunkline.transactions")

LOOK_S = 0.7
SURE_S = 0.2
_GATE = -1
QUERY = (
    "SELECT pid, pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(pid), ',')"
    " FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) AS waiting"
)

Edge = tuple[int, Hashable, Hashable]  # the shard where the first waits for the second


class Member(Protocol):
    """A transaction over several shards."""

    number: int  # within its process
    began_at: float
    pools: Sequence[Pool]  # of all shards

    def __hash__(self) -> int: ...

    def places(self) -> Iterable[tuple[Pool, int, int]]:
        """Of each server that it has: its pool, the number of its shard, and its process id."""
        ...

    @property
    def waits(self) -> bool:
        """Whether something was asked and is not answered."""
        ...

    def condemn(self) -> None:
        """It ends, with `DistributedDeadlock`."""
        ...


class Other(NamedTuple):
    """A transaction over several shards that another worker has; `places` are shards and process ids there."""

    worker: int
    number: int
    began_at: float
    places: tuple[tuple[int, int], ...]


class Elsewhere(Protocol):
    """The other workers of the instance; `worker` is the own number."""

    @property
    def worker(self) -> int: ...

    async def others(self, database: str) -> Sequence[Other]:
        """The transactions over several shards that they have."""
        ...

    async def gate_waits(self, database: str) -> Sequence[tuple[tuple[int, int], tuple[int, int]]]:
        """Of all workers, who waits at the gate for whom: each a worker, and a number there."""
        ...

    async def schema_changed(self, database: str) -> None:
        """DDL has been committed; it ends when all have heard."""
        ...


class Deadlocks:
    """Of one database; `elsewhere` is None where the process is alone."""

    def __init__(
        self, errands: Errands, gate: Gate, tasks: Tasks, database: str = "", elsewhere: Elsewhere | None = None
    ) -> None:
        self.members: set[Member] = set()
        self.found = 0
        self._errands = errands
        self._gate = gate
        self._tasks = tasks
        self._database = database
        self._elsewhere = elsewhere
        self._enough = 2 if elsewhere is None else 1  # of these a cycle can be made
        self._looking: asyncio.Task[None] | None = None

    def enter(self, member: Member) -> None:
        """It is at several shards from now on."""
        self.members.add(member)
        if len(self.members) >= self._enough and (self._looking is None or self._looking.done()):
            self._looking = self._tasks.spawn(self._look(), "deadlocks")

    def leave(self, member: Member) -> None:
        self.members.discard(member)

    async def _look(self) -> None:
        """While there are enough of them."""
        while len(self.members) >= self._enough:
            await asyncio.sleep(LOOK_S)
            if sum(one.waits for one in self.members) < self._enough:
                continue
            first = await self._victims()
            if not first & self.members:
                continue
            await asyncio.sleep(SURE_S)
            again = first & await self._victims()
            for member in [one for one in self.members if one in again]:
                log.warning("a deadlock over several shards of %s: a client is cancelled", self._database)
                self.found += 1
                member.condemn()

    async def _victims(self) -> set[Hashable]:
        """Who has to give way, of all workers."""
        others = await self._elsewhere.others(self._database) if self._elsewhere is not None else ()
        ages: dict[Hashable, float] = {member: member.began_at for member in self.members}
        ages |= {other: other.began_at for other in others}
        return victims([*await self._lock_waits(others), *await self._gate_waits(others)], ages)

    async def _lock_waits(self, others: Sequence[Other]) -> list[Edge]:
        """Who waits for whom at the shards."""
        shards: dict[int, Pool] = {}
        owners: dict[tuple[int, int], Hashable] = {}
        for member in self.members:
            for pool, shard, pid in member.places():
                shards[shard] = pool
                owners[shard, pid] = member
        for other in others:
            for shard, pid in other.places:
                owners[shard, pid] = other
                if shard not in shards and self.members:
                    shards[shard] = next(iter(self.members)).pools[shard]
        found = await asyncio.gather(*(self._at(shard, pool) for shard, pool in shards.items()))
        return [
            (shard, owners.get((shard, one), (shard, one)), owners.get((shard, other), (shard, other)))
            for shard, waits in zip(shards, found, strict=True)
            for one, other in waits
        ]

    async def _gate_waits(self, others: Sequence[Other]) -> list[Edge]:
        """Who waits for whom at the gate."""
        if self._elsewhere is None:
            waits: Iterable[tuple[Hashable, Hashable]] = self._gate.waits()
            return [(_GATE, one, other) for one, other in waits if one is not None and other is not None]
        nodes: dict[tuple[int, int], Hashable] = {(other.worker, other.number): other for other in others}
        nodes |= {(self._elsewhere.worker, member.number): member for member in self.members}
        found = await self._elsewhere.gate_waits(self._database)
        return [(_GATE, nodes.get(one, one), nodes.get(other, other)) for one, other in found]

    async def _at(self, shard: int, pool: Pool) -> list[tuple[int, int]]:
        try:
            rows = await self._errands.rows(pool, QUERY)
        except TrunklineError as error:
            log.debug("%s was not asked who waits: %s", pool.database, error.message)
            return []
        return [(int(pid or 0), int(other)) for pid, others in rows for other in (others or "").split(",") if other]


def victims(edges: Iterable[Edge], ages: Mapping[Hashable, float]) -> set[Hashable]:
    """The youngest member of each cycle that is over several shards; who has an age is a member."""
    graph: dict[Hashable, dict[Hashable, int]] = {}
    for shard, one, other in edges:
        if one != other:
            graph.setdefault(one, {})[other] = shard
    found: set[Hashable] = set()
    while (cycle := _cycle(graph)) is not None:
        shards = {graph[one][other] for one, other in _pairs(cycle)}
        known = [one for one in cycle if one in ages]
        if len(shards) > 1 and known:
            victim = max(known, key=ages.__getitem__)
            found.add(victim)
            del graph[victim]
        else:  # its server's to find
            one, other = next(_pairs(cycle))
            del graph[one][other]
    return found


def _pairs(cycle: list[Hashable]) -> Iterator[tuple[Hashable, Hashable]]:
    return zip(cycle, [*cycle[1:], cycle[0]], strict=True)


def _cycle(graph: Mapping[Hashable, Mapping[Hashable, int]]) -> list[Hashable] | None:
    """Any cycle there is."""
    done: set[Hashable] = set()
    for start in graph:
        path: list[Hashable] = [start]
        ways = [iter(graph.get(start, ()))]
        while ways:
            node = next((one for one in ways[-1] if one not in done), None)
            if node is None:
                ways.pop()
                done.add(path.pop())
            elif node in path:
                return path[path.index(node) :]
            else:
                path.append(node)
                ways.append(iter(graph.get(node, ())))
    return None
