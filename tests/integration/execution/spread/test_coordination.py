"""Coordination: which databases have one, and what becomes of it when the settings change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.in_process import Stage, coordination_of, stage
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "coordinate", tmp_path) as made:
        yield made


async def test_each_database_with_shards_has_one_from_the_start(shop: Stage) -> None:
    async with shop.instance() as instance:
        assert [one.database for one in instance.routers.coordinations] == [shop.database]
        assert coordination_of(instance, shop) is coordination_of(instance, shop)
        config = instance.config
        instance.routers.coordinations.reconfigure(type(config)(config.settings, {}, {}, {}, ""))
        assert list(instance.routers.coordinations) == []


async def test_who_waits_for_an_outcome_hears_nothing_from_a_server_that_does_not_say(shop: Stage) -> None:
    async with shop.instance() as instance:
        coordination = coordination_of(instance, shop)
        pool = instance.pools.pool(f"{shop.database}/s0", "postgres")
        name = coordination.life.name("0" * 12, 3, 0)
        assert await coordination.outcome_of(name, pool, 0.05) == ""
        await coordination.decisions.cluster_of(pool)
        assert await coordination.outcome_of(name, pool, 5) == "rollback"


async def test_what_is_looked_for_at_the_start_keeps_no_connection_for_long(shop: Stage) -> None:
    async with shop.instance() as instance:
        gate = coordination_of(instance, shop).gate
        await wait_until(lambda: not gate.inside)
        assert len(instance.pools.control) == 2
        instance.routers.coordinations.tick(instance.pools.now + 60)
        assert len(instance.pools.control) == 0
