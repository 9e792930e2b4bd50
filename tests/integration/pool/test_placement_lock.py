"""The lock that processes share while they agree where tables lie: held, wanted, given up and lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.in_process import Stage, stage
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until
from trunkline.errors import ServerLost
from trunkline.pool.placement_lock import EXCLUSIVE, PlacementLock
from trunkline.proxy.instance import Instance

LINKS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trunkline placement%'"


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "placement_lock", tmp_path) as made:
        yield made


def lock_of(instance: Instance, shop: Stage) -> PlacementLock:
    made = PlacementLock(instance.pools, shop.database, instance.routers.coordinations.tasks)
    made.user = "postgres"
    return made


async def test_it_is_shared_and_had_exclusively_when_all_have_given_it_up(shop: Stage) -> None:
    async with shop.instance() as instance:
        first, second = lock_of(instance, shop), lock_of(instance, shop)
        asked = asyncio.Event()
        second.on_asked = asked.set
        for one in (first, second):
            await one.take()
            assert one.held
        assert not await first.is_wanted()
        [changes, _] = await shop.begin(instance)
        changing = asyncio.ensure_future(changes.ask(EXCLUSIVE.encode()))
        await wait_until(first.is_wanted)
        await first.ask_others()
        await asked.wait()
        assert len(await first.holders()) == 2
        await first.give_up()
        assert not changing.done()
        await second.give_up()
        await changing
        again = asyncio.ensure_future(first.take())
        await second.probe()
        assert not first.held
        await changes.ask(b"ROLLBACK")
        await again
        assert first.held


async def test_a_connection_that_is_lost_takes_it_along(shop: Stage) -> None:
    async with shop.instance() as instance:
        lock, lost = lock_of(instance, shop), asyncio.Event()
        lock.on_lost = lost.set
        await lock.take()
        [(pid,)] = await shop.fetch(0, LINKS.replace("count(*)", "pid"))
        await shop.fetch(0, f"SELECT pg_terminate_backend({pid})")
        await lost.wait()
        assert not lock.held
        with pytest.raises(ServerLost):
            await lock.probe()
        await lock.take()
        assert lock.held
        await lock.probe()
        lock.close("the test is over")
        assert not lock.held


async def test_ddl_is_told_to_all_others(shop: Stage) -> None:
    async with shop.instance() as instance:
        locks = [lock_of(instance, shop) for _ in range(3)]
        told: list[int] = []
        for number, one in enumerate(locks):
            one.on_schema = lambda number=number: told.append(number)
            one.on_asked = lambda: pytest.fail("nobody wants the lock")
            await one.take()
        await locks[1].tell_of_schema()
        for one in locks:
            await one.probe()  # a notification is told before the next answer
        assert sorted(told) == [0, 2]
