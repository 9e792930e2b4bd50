"""The transaction in which a declaration changes: where a table lies, or what is unique in all of it.

No process answers by what was declared before while it is open (`placement`), and it is committed at all shards or at
none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.gather_copy import PLAIN
from trunkline.execution.spread.modes import TransactionMode
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.pool.catalog_watch import CatalogWatch
from trunkline.protocol.messages import message
from trunkline.shard_errors import NotInTransaction

BEGIN = "; ".join(
    [
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        "SET LOCAL search_path = pg_catalog, pg_temp",
        "SET LOCAL row_security = off",
        *(f"SET LOCAL {name} = '{value}'" for name, value in PLAIN),
        "SELECT pg_catalog.set_config('lock_timeout', coalesce(nullif(pg_catalog.current_setting('lock_timeout'), '0'),"
        " '10s'), true)",
    ]
).encode()


class Declared:
    """The answer: one row with nothing in it."""

    async def rows(self) -> AsyncIterator[bytes]:
        """That row."""
        yield message(b"D", b"\0\1\0\0\0\0")

    def tag(self) -> bytes:
        return b"SELECT 1"


@asynccontextmanager
async def declaration(
    function: str, asked: Asked, participants: Participants
) -> AsyncIterator[tuple[CatalogWatch, Participant]]:
    """What is declared now, read in a moment when nobody else changes it, and the home shard, in the transaction; it is
    committed behind the block. NotInTransaction, StatementRefused and PlacementBusy before it."""
    if participants.in_transaction:
        raise NotInTransaction(f"{function} cannot run inside a transaction block")
    if participants.modes.transaction is not TransactionMode.TWO_PHASE:
        raise StatementRefused(f"{function} needs two-phase commit", hint="Use transaction_mode two_phase.")
    placement = participants.coordination.placement
    async with placement.alone(participants) as watch:
        home = await _begin(asked.home, participants)
        await placement.exclude(home)
        await watch.read_now()  # what others have changed is committed
        yield watch, home
        await participants.commit()


async def _begin(home: int, participants: Participants) -> Participant:
    """The transaction of all shards, at the home shard."""
    await participants.will_write((1 << len(participants.pools)) - 1)
    await participants.coordination.decisions.cluster_of(participants.pools[home])  # which makes the schema by itself
    await participants.begin(BEGIN)
    return await participants.at(home)
