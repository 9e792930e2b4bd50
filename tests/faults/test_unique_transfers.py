"""Whatever is killed in a commit that changes a global unique index: the values that are kept are those of the rows.

The clients are those of `transfers`, whose rows have an index over both shards: each transfer writes at home as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.test_transfers import POINTS
from tests.faults.transfers import DATABASE, Bank, bank
from tests.integration.postgres import Farm
from tests.integration.transcript import errors, messages, session

pytestmark = pytest.mark.timeout(300)

HOME = 0
INDEX = "moves_id_amount_key"


@asynccontextmanager
async def indexed(farm: Farm, directory: Path, seed: int) -> AsyncIterator[Bank]:
    async with bank(farm, directory, seed) as made:
        async with session(made.proxy, database=DATABASE) as wire:
            reply = await wire.query("SELECT create_unique_index('moves', 'id', 'amount')")
            assert not errors(reply), messages(reply)
        yield made


async def agree(made: Bank, what: str) -> None:
    """All is over: what is kept at home are the rows of all shards, and no note is left."""
    await made.check(what)
    rows = [row for server in made.servers for row in await server.fetch("SELECT id, amount, account FROM moves")]
    kept = await made.servers[HOME].fetch(f"SELECT id, amount, account FROM trunkline.unique_{INDEX}")
    assert sorted(kept) == sorted(rows), what
    for server in made.servers:
        assert await server.fetch("SELECT count(*) FROM trunkline.unique_changes") == [(0,)]
    assert made.findings == []


async def is_still_kept(made: Bank) -> None:
    """Nobody waits for a value any more, and one that is there is found."""
    server = made.servers[1]
    number, amount = (await server.fetch("SELECT id, amount FROM moves LIMIT 1"))[0]
    async with session(made.proxy, database=DATABASE) as wire:
        reply = await wire.query(f"INSERT INTO moves VALUES ({number}, 0, {amount})")
        assert errors(reply) == ["23505"], messages(reply)


async def test_a_proxy_that_is_killed_leaves_the_values_of_the_rows(farm: Farm, tmp_path: Path) -> None:
    async with indexed(farm, tmp_path, seed=11) as made:
        for number, point in enumerate(POINTS):
            made.open(writers=4)
            await made.goes_on()
            await made.kill_proxy(point, hit=1 + number)
            await made.goes_on()
            await made.close()
            await agree(made, f"proxy at {point}")
        await is_still_kept(made)


@pytest.mark.parametrize("shard", [HOME, 1])
async def test_a_shard_that_is_killed_leaves_the_values_of_the_rows(farm: Farm, tmp_path: Path, shard: int) -> None:
    async with indexed(farm, tmp_path, seed=12) as made:
        for point in POINTS[1:]:
            made.open(writers=4)
            await made.goes_on()
            await made.kill_shard(point, 3, shard)
            await made.goes_on()
            await made.close()
            await agree(made, f"shard {shard} at {point}")
        await is_still_kept(made)
