"""Commits over two real shards, from the vote to the last COMMIT PREPARED, and what is left of those that fail."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.in_process import Stage, coordination_of, stage, write
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until
from trunkline.errors import ServerRefused
from trunkline.execution.spread.two_phase import Commit
from trunkline.shard_errors import CommitFailed, DecisionsMissing, PreparedDisabled


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "phase", tmp_path) as made:
        yield made


async def decisions(shop: Stage, shard: int = 0) -> list[tuple[object, ...]]:
    return await shop.fetch(shard, "SELECT decision FROM trunkline.decisions WHERE gid LIKE 'trunkline%'")


async def test_both_shards_commit_and_the_decision_is_removed_later(shop: Stage) -> None:
    async with shop.instance() as instance:
        coordination = coordination_of(instance, shop)
        parties = await shop.begin(instance)
        await write(parties)
        await Commit(parties, coordination).run()
        assert await shop.names() == ["new", "new"]
        assert await shop.prepared() == []
        assert await decisions(shop) == [("commit",)]
        coordination.recovery.hurry()
        await wait_until(lambda: _no_decisions(shop))


async def _no_decisions(shop: Stage) -> bool:
    return not await decisions(shop)


async def test_one_writer_commits_without_a_table_of_decisions(shop: Stage) -> None:
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties[1:])
        await parties[0].ask(b"SELECT * FROM customers")
        await Commit(parties, coordination_of(instance, shop)).run()
        assert await shop.names() == ["new"]
        assert await shop.fetch(1, "SELECT to_regclass('trunkline.decisions')") == [(None,)]


@pytest.mark.parametrize("shard", [0, 1])
async def test_a_constraint_that_is_checked_at_commit_undoes_both(shop: Stage, shard: int) -> None:
    sql = "ALTER TABLE customers ADD CONSTRAINT one UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
    await shop.fetch(shard, sql)
    await shop.fetch(shard, "INSERT INTO customers VALUES (9, 'new')")
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties)
        with pytest.raises(ServerRefused) as refused:
            await Commit(parties, coordination_of(instance, shop)).run()
        assert refused.value.sqlstate == "23505"
        assert await shop.names() == ["new"]
        assert await shop.prepared() == []


async def test_what_postgresql_does_not_prepare_undoes_both_in_its_words(shop: Stage) -> None:
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties)
        await parties[1].ask(b"CREATE TEMP TABLE t (i int)")
        with pytest.raises(ServerRefused, match="temporary") as refused:
            await Commit(parties, coordination_of(instance, shop)).run()
        assert refused.value.sqlstate == "0A000"
        assert await shop.names() == []


async def test_a_shard_that_is_lost_before_it_has_prepared_undoes_both(shop: Stage) -> None:
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties)
        parties[1].before["PREPARE"] = parties[1].connection.close
        with pytest.raises(CommitFailed):
            await Commit(parties, coordination_of(instance, shop)).run()
        assert await shop.names() == []


async def test_a_coordinator_that_is_lost_after_its_commit_has_decided(shop: Stage) -> None:
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties)
        ask = parties[0].ask

        async def commits_and_dies(sql: bytes) -> object:
            said = await ask(sql)
            if sql == b"COMMIT":
                await parties[0].connection.close()
                await ask(b"SELECT 1")
            return said

        parties[0].ask = commits_and_dies  # type: ignore[assignment, method-assign]
        await Commit(parties, coordination_of(instance, shop)).run()
        assert await shop.names() == ["new", "new"]
        assert await shop.prepared() == []


async def test_a_coordinator_that_is_lost_before_its_commit_can_never_commit(shop: Stage) -> None:
    async with shop.instance() as instance:
        parties = await shop.begin(instance)
        await write(parties)
        parties[0].before["COMMIT"] = parties[0].connection.close
        with pytest.raises(CommitFailed):
            await Commit(parties, coordination_of(instance, shop)).run()
        assert await shop.names() == []
        assert await shop.prepared() == []
        assert await decisions(shop) == [("rollback",)]


async def test_a_participant_that_is_lost_after_the_decision_is_committed_before_the_client_hears_of_it(
    shop: Stage,
) -> None:
    async with shop.instance() as instance:
        coordination = coordination_of(instance, shop)
        parties = await shop.begin(instance)
        await write(parties)
        parties[1].before["COMMIT PREPARED"] = parties[1].connection.close
        await Commit(parties, coordination).run()
        assert await shop.names() == ["new", "new"]
        assert not coordination.gate.inside


async def test_a_role_that_may_not_make_the_table_is_told_what_an_operator_has_to_run(
    shop: Stage, postgres: Postgres
) -> None:
    role = f"plain_{uuid.uuid4().hex[:8]}"
    await postgres.create_role(role, "secret")
    shop.users[role] = {"password": "secret"}
    for shard in (0, 1):
        await shop.fetch(shard, f"GRANT ALL ON customers TO {role}")
    async with shop.instance() as instance:
        coordination = coordination_of(instance, shop)
        parties = await shop.begin(instance)
        for one in parties:
            one.pool = instance.pools.pool(one.pool.database, role)
            await one.ask(f"SET LOCAL ROLE {role}".encode())
        await write(parties)
        with pytest.raises(DecisionsMissing) as missing:
            await Commit(parties, coordination).run()
        assert missing.value.sqlstate == "42501"
        assert missing.value.hint is not None
        await shop.fetch(0, missing.value.hint.partition(": ")[2])
        for one in parties:
            await one.ask(b"BEGIN")
            await one.ask(f"SET LOCAL ROLE {role}".encode())
        await write(parties)
        await Commit(parties, coordination).run()
        assert await shop.names() == ["new", "new"]
    await shop.close()
    for shard in (0, 1):
        await shop.fetch(shard, f"DROP OWNED BY {role}")
    await postgres.fetch(f"DROP ROLE {role}")


async def test_ten_clients_commit_at_once(shop: Stage) -> None:
    async with shop.instance() as instance:
        coordination = coordination_of(instance, shop)

        async def one(number: int) -> None:
            parties = await shop.begin(instance)
            for party in parties:
                await party.ask(f"INSERT INTO customers VALUES ({number}, 'new')".encode())
            await Commit(parties, coordination).run()

        await asyncio.gather(*(one(number) for number in range(10)))
        assert len(await shop.names()) == 20
        assert await shop.prepared() == []


async def test_row_74_a_server_that_prepares_nothing_is_found_when_a_second_shard_is_written(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    await own_postgres.fetch("ALTER SYSTEM SET max_prepared_transactions = 0")
    await own_postgres.stop("fast")
    await own_postgres.start()
    async with stage(own_postgres, "phase", tmp_path) as shop, shop.instance() as instance:
        parties = await shop.begin(instance)
        with pytest.raises(PreparedDisabled) as disabled:
            await coordination_of(instance, shop).check_writable([one.pool for one in parties])
        assert disabled.value.sqlstate == "55000"
        await write(parties)
        with pytest.raises(PreparedDisabled):
            await Commit(parties, coordination_of(instance, shop)).run()
        assert await shop.names() == []
