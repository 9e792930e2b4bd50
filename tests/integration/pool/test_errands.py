"""Errands: questions of our own to the servers behind pools, on connections that are kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.in_process import Stage, stage
from tests.integration.postgres import Postgres
from trunkline.errors import ServerLost, ServerRefused, ServerUnavailable
from trunkline.pool.errands import KEPT_S, Errands, quote_name

PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "errand", tmp_path) as made:
        yield made


async def test_one_connection_serves_all_questions_until_nobody_asks(shop: Stage) -> None:
    async with shop.instance() as instance:
        errands, pool = Errands(instance.pools), instance.pools.pool(f"{shop.database}/s1", "postgres")
        first, second = await asyncio.gather(errands.rows(pool, PID), errands.rows(pool, PID))
        assert first == second
        errands.tick(instance.pools.now)
        assert await errands.rows(pool, PID) == first
        errands.tick(instance.pools.now + KEPT_S + 1)
        assert await errands.rows(pool, PID) != first


async def test_a_refusal_keeps_the_connection_and_a_silence_does_not(shop: Stage) -> None:
    async with shop.instance() as instance:
        errands, pool = Errands(instance.pools), instance.pools.pool(f"{shop.database}/s1", "postgres")
        before = await errands.rows(pool, PID)
        with pytest.raises(ServerRefused, match="division"):
            await errands.rows(pool, "SELECT 1/0")
        assert await errands.rows(pool, PID) == before
        with pytest.raises((ServerUnavailable, ServerLost)):
            await errands.rows(pool, "SELECT pg_sleep(60)", 0.05)
        assert await errands.rows(pool, PID) != before


async def test_a_server_that_died_meanwhile_is_replaced(shop: Stage) -> None:
    async with shop.instance() as instance:
        errands, pool = Errands(instance.pools), instance.pools.pool(f"{shop.database}/s1", "postgres")
        [(pid,)] = await errands.rows(pool, PID)
        await shop.fetch(0, f"SELECT pg_terminate_backend({pid}, 5000)")
        try:
            found = await errands.rows(pool, PID)
        except (ServerRefused, ServerLost):  # its end is noticed by who asks first
            found = await errands.rows(pool, PID)
        assert found != [(pid,)]


async def test_a_role_is_taken_on_for_one_question_alone(shop: Stage) -> None:
    async with shop.instance() as instance:
        errands, pool = Errands(instance.pools), instance.pools.pool(f"{shop.database}/s1", "postgres")
        assert await errands.rows(pool, "SELECT current_user", role="pg_monitor") == [("pg_monitor",)]
        assert await errands.rows(pool, "SELECT current_user") == [("postgres",)]


def test_a_name_is_quoted_whatever_it_holds() -> None:
    assert quote_name('a"b') == '"a""b"'
