"""Decisions: of a commit and of who wants it out of the way only one can be right, and PostgreSQL says which."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.in_process import Party, Stage, coordination_of, stage
from tests.integration.postgres import Postgres
from trunkline.execution.spread.decisions import Decisions, insertion
from trunkline.execution.spread.names import Name
from trunkline.proxy.instance import Instance
from trunkline.shard_errors import DecisionsMissing


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "decide", tmp_path) as made:
        yield made


async def begun(shop: Stage, instance: Instance) -> tuple[Decisions, Name, Party]:
    coordination = coordination_of(instance, shop)
    [party] = await shop.begin(instance, shards=[0])
    cluster = await coordination.decisions.cluster_of(party.pool)
    return coordination.decisions, coordination.life.name(cluster, 3, 0), party


async def test_a_commit_is_a_decision(shop: Stage) -> None:
    async with shop.instance() as instance:
        decisions, name, party = await begun(shop, instance)
        await party.ask(insertion(name))
        assert await decisions.read(party.pool, name) == ""
        assert await decisions.settle(party.pool, name) == ""  # it is under way
        await party.ask(b"COMMIT")
        assert await decisions.read(party.pool, name) == "commit"
        assert await decisions.settle(party.pool, name) == "commit"


async def test_after_a_rollback_it_is_settled_for_ever(shop: Stage) -> None:
    async with shop.instance() as instance:
        decisions, name, party = await begun(shop, instance)
        await party.ask(insertion(name))
        await party.ask(b"ROLLBACK")
        assert await decisions.settle(party.pool, name) == "rollback"
        await party.ask(b"BEGIN")
        with pytest.raises(Exception, match="duplicate key"):
            await party.ask(insertion(name))


async def test_many_who_settle_at_once_agree(shop: Stage) -> None:
    async with shop.instance() as instance, shop.instance() as other:
        decisions, name, party = await begun(shop, instance)
        others = coordination_of(other, shop).decisions
        there = other.pools.pool(party.pool.database, "postgres")
        found = await asyncio.gather(
            decisions.settle(party.pool, name), others.settle(there, name), decisions.settle(party.pool, name)
        )
        assert set(found) == {"rollback"}


async def test_many_who_need_the_table_at_once_find_one_cluster(shop: Stage) -> None:
    async with shop.instance() as one, shop.instance() as another:
        clusters = await asyncio.gather(
            *(
                coordination_of(made, shop).decisions.cluster_of(made.pools.pool(f"{shop.database}/s1", "postgres"))
                for made in (one, another, one)
            )
        )
        assert len(set(clusters)) == 1


async def test_a_coordinator_that_hears_nothing_more_undoes_itself(shop: Stage) -> None:
    async with shop.instance() as instance:
        _, name, party = await begun(shop, instance)
        await party.ask(insertion(name))
        assert await party.ask(b"SHOW idle_in_transaction_session_timeout") == [("15s",)]


async def test_a_decision_outlives_a_crash_whatever_the_session_has_set(shop: Stage) -> None:
    async with shop.instance() as instance:
        _, name, party = await begun(shop, instance)
        await party.ask(b"SET LOCAL synchronous_commit = off")
        await party.ask(insertion(name))
        assert await party.ask(b"SHOW synchronous_commit") == [("on",)]


async def test_everybody_may_decide_and_nobody_may_change_a_decision(shop: Stage, postgres: Postgres) -> None:
    role = f"anybody_{uuid.uuid4().hex[:8]}"
    await postgres.create_role(role)
    try:
        async with shop.instance() as instance:
            _, name, party = await begun(shop, instance)
            await party.ask(f"SET LOCAL ROLE {role}".encode())
            await party.ask(insertion(name))
            await party.ask(b"COMMIT")
            for sql in ("DELETE FROM trunkline.decisions", "UPDATE trunkline.decisions SET decision = 'rollback'"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection = await postgres.connect(f"{shop.database}_s0")
                    async with connection:
                        await connection.execute(f"SET ROLE {role}".encode())
                        await connection.execute(sql.encode())
    finally:
        await postgres.fetch(f"DROP ROLE {role}")


async def test_a_role_without_rights_has_no_table(shop: Stage, postgres: Postgres) -> None:
    role = f"foreign_{uuid.uuid4().hex[:8]}"
    await postgres.create_role(role, "secret")
    shop.users[role] = {"password": "secret"}
    try:
        async with shop.instance() as instance:
            decisions, _, _ = await begun(shop, instance)
            await shop.fetch(0, "REVOKE ALL ON SCHEMA trunkline FROM PUBLIC")
            pool = instance.pools.pool(f"{shop.database}/s0", role)
            assert (await decisions.facts(pool)).cluster == ""
            with pytest.raises(DecisionsMissing, match="permission denied"):
                await decisions.cluster_of(pool)
    finally:
        await postgres.fetch(f"DROP ROLE {role}")
