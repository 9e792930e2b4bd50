"""A global unique index is made or dropped: on every shard, with the values that are there, in one transaction of all.

Nothing else of any process is under way meanwhile (`placement`), and a lock of the table keeps other writers out. A
duplicate among the rows that are there is told as CREATE UNIQUE INDEX tells it, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import ServerRefused
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.declaration import Declared, declaration
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.unique_values import DUPLICATE
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import unique_index
from trunkline.routing.spreading.indexing import MAKE, Indexing, wanted
from trunkline.routing.spreading.unique_index import UniqueIndex
from trunkline.shard_errors import StatementFailed

_NO_RIGHT = "42501"


async def index(program: Indexing, asked: Asked, participants: Participants) -> Declared:
    """Do it, and return when it is committed."""
    values = program.values([None if one is None else one.decode() for one in asked.values])
    async with declaration(program.function, asked, participants) as (watch, home):
        found = wanted(program, values, watch.built.sharding, watch.catalog)
        if isinstance(found, Refusal):
            raise refused(found)
        await _change(found, program.function == MAKE, home, participants)
    watch.stale()  # it is known by the catalog alone
    return Declared()


async def _change(found: UniqueIndex, makes: bool, home: Participant, participants: Participants) -> None:
    everyone = await participants.at_all((1 << len(participants.pools)) - 1)
    everyone.sort(key=lambda one: one is not home)
    for one in everyone:
        await one.ask(f"LOCK TABLE ONLY {found.said} IN SHARE ROW EXCLUSIVE MODE".encode())
    await (_make(found, everyone) if makes else _drop(found, everyone))
    for one in everyone:
        one.notices.clear()


async def _drop(found: UniqueIndex, everyone: Sequence[Participant]) -> None:
    for one in everyone:
        for text in unique_index.dropped(found.name):
            await one.ask(text.encode())


async def _make(found: UniqueIndex, everyone: Sequence[Participant]) -> None:
    keeper = everyone[0]
    for one in everyone:
        await _prepare(one)
    columns = await _values_at(keeper, found)
    await keeper.ask(unique_index.applying(found, columns).encode())
    await keeper.ask(unique_index.answering(found, columns).encode())
    for one in everyone:
        for text in unique_index.on_shard(found):
            await one.ask(text.encode())
    settings = keeper.pool.pools.config.settings
    budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
    try:
        for one in everyone:
            await _fill(found, one, keeper, budget)
    finally:
        budget.release()


async def _prepare(one: Participant) -> None:
    """What all indexes of a shard need."""
    if await one.ask(unique_index.IS_READY.encode()) == [(b"t",)]:
        return
    try:
        await one.ask(unique_index.SETUP.encode())
    except ServerRefused as error:
        if error.sqlstate == _NO_RIGHT:
            error.hint = f"Let a role that may create schemas on {one.pool.database} run: {unique_index.SETUP}"
        raise


async def _values_at(keeper: Participant, found: UniqueIndex) -> list[unique_index.Column]:
    """Make the table of values; its columns."""
    for text in unique_index.table_of_values(found):
        await keeper.ask(text.encode())
    return unique_index.columns_of(await keeper.ask(unique_index.columns_query(found).encode()))


async def _fill(found: UniqueIndex, one: Participant, keeper: Participant, budget: Budget) -> None:
    rows = await one.ask(unique_index.rows_there(found).encode())
    for (packed,) in rows:
        budget.take(len(packed or b""), found.said)
    for (packed,) in rows:
        try:
            await keeper.ask(unique_index.applied(found.name, [(packed or b"").decode()]).encode())
        except StatementFailed as error:
            if error.sqlstate != DUPLICATE:
                raise
            error.said = b""
            error.message = f'could not create unique index "{found.name}"'
            error.detail = (error.detail or "").replace(") already exists.", ") is duplicated.") or None
            raise
