"""Deadlocks over several shards: clients that wait for each other, each at another shard, where none of the shards sees
more than its own half.

While transactions over several shards wait, the shards are asked every second who waits for whom there. What is known
of a client at all shards is one node; so is each session that is nobody's. A cycle that is there twice in a row, and
is not one shard's alone (PostgreSQL finds those itself), has its youngest client cancelled with 40P01.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

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

    began_at: float

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


class Deadlocks:
    """Of one database."""

    def __init__(self, errands: Errands, gate: Gate, tasks: Tasks) -> None:
        self.members: set[Member] = set()
        self.found = 0
        self._errands = errands
        self._gate = gate
        self._tasks = tasks
        self._looking: asyncio.Task[None] | None = None

    def enter(self, member: Member) -> None:
        """It is at several shards from now on."""
        self.members.add(member)
        if len(self.members) > 1 and (self._looking is None or self._looking.done()):
            self._looking = self._tasks.spawn(self._look(), "deadlocks")

    def leave(self, member: Member) -> None:
        self.members.discard(member)

    async def _look(self) -> None:
        """While two of them are there."""
        while len(self.members) > 1:
            await asyncio.sleep(LOOK_S)
            if sum(one.waits for one in self.members) < 2:
                continue
            first = victims(await self._edges(), self._ages())
            if not first:
                continue
            await asyncio.sleep(SURE_S)
            again = victims(await self._edges(), self._ages())
            for member in first & again & self.members:
                log.warning("a deadlock over several shards: %r is cancelled", member)
                self.found += 1
                member.condemn()

    def _ages(self) -> Mapping[Member, float]:
        return {member: member.began_at for member in self.members}

    async def _edges(self) -> list[Edge]:
        shards: dict[int, Pool] = {}
        owners: dict[tuple[int, int], Member] = {}
        for member in self.members:
            for pool, shard, pid in member.places():
                shards[shard] = pool
                owners[shard, pid] = member
        found = await asyncio.gather(*(self._at(shard, pool) for shard, pool in shards.items()))
        nodes: Mapping[Hashable, Hashable] = dict(owners)
        edges: list[Edge] = [
            (shard, nodes.get((shard, one), (shard, one)), nodes.get((shard, other), (shard, other)))
            for shard, waits in zip(shards, found, strict=True)
            for one, other in waits
        ]
        return edges + [
            (_GATE, one, other) for one, other in self._gate.waits() if one is not None and other is not None
        ]

    async def _at(self, shard: int, pool: Pool) -> list[tuple[int, int]]:
        try:
            rows = await self._errands.rows(pool, QUERY)
        except TrunklineError as error:
            log.debug("%s was not asked who waits: %s", pool.database, error.message)
            return []
        return [(int(pid or 0), int(other)) for pid, others in rows for other in (others or "").split(",") if other]


def victims(edges: Iterable[Edge], ages: Mapping[Member, float]) -> set[Member]:
    """The youngest member of each cycle that is over several shards."""
    graph: dict[Hashable, dict[Hashable, int]] = {}
    for shard, one, other in edges:
        if one != other:
            graph.setdefault(one, {})[other] = shard
    members: Mapping[Hashable, Member] = {member: member for member in ages}
    found: set[Member] = set()
    while (cycle := _cycle(graph)) is not None:
        shards = {graph[one][other] for one, other in _pairs(cycle)}
        known = [members[one] for one in cycle if one in members]
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
