"""Blocks of ids: what a process has drawn from a sequence on the home shard and not given away yet.

Theory of operation. Every id is a value of PostgreSQL's own nextval(), on a control connection of the client's user and
outside of all transactions; so no other process, instance or session gets it too, whatever each of them keeps. A
sequence that is asked rarely is asked for what is needed; one that is asked again within `SOON_S` for twice as many as
the last time. What is left of a block is let go after a while: a gap, as CACHE leaves one.

Rules:
1. Blocks belong to a pool: one user's rights are not another's.
2. A sequence that has been set, or began anew, gives nothing that was drawn before, and is asked for no more than is
   needed until what is under way is over.
3. The draw has committed durably before a value is given away: a crash of the home shard does not bring it back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from trunkline.errors import ServerRefused, StatementRefused, TrunklineError
from trunkline.execution.spread.decisions import DURABLE
from trunkline.shard_errors import IdsMissing, SequenceBehind

if TYPE_CHECKING:
    from trunkline.pool.errands import Errands
    from trunkline.pool.pool import Pool

SOON_S = 1.0
KEPT_S = 10.0
MAX_BLOCK = 1024
OWN = '"trunkline"."ids"'  # the sequence behind snowflake()
OWN_KEPT_S = 1.0  # it says what is new by its last bits, which come again after four million
CREATE_OWN = (
    "CREATE SCHEMA IF NOT EXISTS trunkline; GRANT USAGE ON SCHEMA trunkline TO PUBLIC;"
    " CREATE SEQUENCE IF NOT EXISTS trunkline.ids; GRANT USAGE ON SEQUENCE trunkline.ids TO PUBLIC"
)
_ABSENT = ("42P01", "3F000")
# As many as are wanted, but what a sequence has left if that is less, unless more is needed: which it refuses itself.
# A transaction with a number is written down before it says that it has committed.
_DRAW = """
SELECT pg_catalog.nextval(s.seqrelid::pg_catalog.regclass), pg_catalog.txid_current()
FROM pg_catalog.pg_sequence AS s CROSS JOIN LATERAL pg_catalog.generate_series(1, greatest({needed}, least({wanted},
  pg_catalog.trunc(CASE WHEN s.seqincrement > 0
    THEN s.seqmax - coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid), s.seqstart - s.seqincrement::numeric)
    ELSE coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid), s.seqstart - s.seqincrement::numeric) - s.seqmin END
    / abs(s.seqincrement::numeric)))::pg_catalog.int4))
WHERE s.seqrelid = {name}::pg_catalog.regclass AND NOT s.seqcycle
"""
_STANDING = """
SELECT pg_catalog.pg_sequence_last_value(s.seqrelid) FROM pg_catalog.pg_sequence AS s
WHERE s.seqrelid = pg_catalog.to_regclass({name}) AND s.seqincrement = 1
"""


@dataclass(slots=True)
class _Block:
    left: deque[int] = field(default_factory=deque)
    size: int = 1  # of the last draw
    drawn_at: float = -KEPT_S
    shy_until: float = 0.0
    is_checked: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Blocks:
    """Those of one database."""

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._blocks: dict[tuple[Pool, str], _Block] = {}
        self._generation = -1

    def know(self, generation: int) -> None:
        """The catalog has been read so often: when it is another, a sequence may have been altered."""
        if generation != self._generation:
            self._generation = generation
            self.forget(None)

    def forget(self, sequence: str | None) -> None:
        """This one, or any, has been set or begins anew."""
        for (_, name), block in self._blocks.items():
            if sequence in (None, name):
                block.left.clear()
                block.shy_until = monotonic() + KEPT_S

    async def draw(self, pools: Sequence[Pool], home: int, sequence: str, count: int) -> list[int]:
        """So many values, in their order; a TrunklineError if the sequence does not give them."""
        block = self._blocks.setdefault((pools[home], sequence), _Block())
        async with block.turn:
            await self._check(block, pools, home, sequence)
            if _is_old(block, sequence):
                block.left.clear()
            given = [block.left.popleft() for _ in range(min(count, len(block.left)))]
            if len(given) < count:
                needed = count - len(given)
                more = await self._refill(block, pools[home], sequence, needed)
                given += more[:needed]
                block.left.extend(more[needed:])
            return given

    def take(self, pools: Sequence[Pool], home: int, sequence: str, count: int) -> list[int] | None:
        """So many values of those that are here already; None if one has to be drawn, or others wait for theirs."""
        block = self._blocks.get((pools[home], sequence))
        if block is None or len(block.left) < count or block.turn.locked() or _is_old(block, sequence):
            return None
        return [block.left.popleft() for _ in range(count)]

    def give_back(self, pools: Sequence[Pool], home: int, sequence: str, values: Sequence[int]) -> None:
        """What was taken just now, and is not used."""
        self._blocks[pools[home], sequence].left.extendleft(reversed(values))

    async def _refill(self, block: _Block, pool: Pool, sequence: str, needed: int) -> list[int]:
        now = monotonic()
        again = now - block.drawn_at < SOON_S and now >= block.shy_until
        block.size = min(block.size * 2, MAX_BLOCK) if again else 1
        block.drawn_at = now
        sql = _DRAW.format(needed=needed, wanted=max(block.size, needed), name=literal(sequence))
        try:
            rows = await self._errands.rows(pool, f"{DURABLE}; {sql}")
        except ServerRefused as refusal:
            if sequence != OWN or refusal.sqlstate not in _ABSENT:
                raise
            await self._create(pool)
            rows = await self._errands.rows(pool, f"{DURABLE}; {sql}")
        values = [int(row[0] or 0) for row in rows if len(row) == 2]
        if not values:
            raise StatementRefused(
                f"the sequence {sequence} cycles, so its values are no ids", hint="ALTER SEQUENCE ... NO CYCLE."
            )
        return values

    async def _create(self, pool: Pool) -> None:
        try:
            await self._errands.rows(pool, CREATE_OWN)
        except ServerRefused as refusal:
            message = f"trunkline.ids cannot be made on shard {pool.database}: {refusal.message}"
            raise IdsMissing(message, hint=f"Let somebody who may say there: {CREATE_OWN}") from None

    async def _check(self, block: _Block, pools: Sequence[Pool], home: int, sequence: str) -> None:
        """Where the shards have counted for themselves before, home goes on behind the highest of them."""
        if block.is_checked or sequence == OWN:
            return
        sql = _STANDING.format(name=literal(sequence))
        standing = []
        complete = True
        for pool in pools:
            try:
                rows = await self._errands.rows(pool, sql)
            except ServerRefused:
                rows = []  # this role may not look
            except TrunklineError:
                complete, rows = False, []  # whoever needs that shard hears of it
            standing.append(int(rows[0][0] or 0) if rows and rows[0][0] is not None else None)
        here = standing[home]
        highest = max((one for one in standing if one is not None), default=0)
        if highest > (here or 0):
            raise SequenceBehind(
                f"the sequence {sequence} stands at {here or 0} on the home shard, and at {highest} on another",
                hint=f"SELECT setval({literal(sequence)}, {highest}) through the proxy; the home shard's is the one.",
            )
        block.is_checked = complete


def _is_old(block: _Block, sequence: str) -> bool:
    return monotonic() - block.drawn_at > (OWN_KEPT_S if sequence == OWN else KEPT_S)


def literal(name: str) -> str:
    """A text of SQL with this value."""
    return "'" + name.replace("'", "''") + "'"
