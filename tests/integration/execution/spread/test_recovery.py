"""Recovery on real shards: what a proxy that is gone has left is brought to its end, and nothing else is."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.in_process import PREPARED, Party, Stage, coordination_of, stage, write
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until
from trunkline.demo.free_port import free_port
from trunkline.execution.spread import recovery
from trunkline.execution.spread.decisions import insertion
from trunkline.execution.spread.names import Name
from trunkline.execution.spread.recovery import Case
from trunkline.proxy.instance import Instance
from trunkline.shard_errors import ResolveRefused


@pytest.fixture
async def shop(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(postgres, "doubt", tmp_path) as made:
        yield made


async def half(shop: Stage, instance: Instance, *, decided: bool) -> tuple[Name, list[Party]]:
    """A commit as a proxy leaves it that goes away behind the first phase, or behind the decision."""
    coordination = coordination_of(instance, shop)
    parties = await shop.begin(instance)
    await write(parties)
    name = coordination.life.name(await coordination.decisions.cluster_of(parties[0].pool), 3, 0)
    await parties[1].ask(f"PREPARE TRANSACTION '{name.at(1)}'".encode())
    await parties[0].ask(insertion(name))
    await parties[0].ask(b"COMMIT" if decided else b"SELECT 1")
    return name, parties


async def nothing_left(shop: Stage) -> None:
    async def empty() -> bool:
        return await shop.prepared() == []

    await wait_until(empty)


@pytest.mark.parametrize("decided", [True, False])
async def test_the_next_life_of_an_instance_ends_what_the_last_one_has_left(shop: Stage, decided: bool) -> None:
    shop.listens_at = free_port()
    async with shop.instance() as instance:
        name, parties = await half(shop, instance, decided=decided)
    await parties[0].connection.close()
    async with shop.instance():
        await nothing_left(shop)
    assert await shop.names() == (["new", "new"] if decided else [])
    said = await shop.fetch(0, f"SELECT decision FROM trunkline.decisions WHERE gid = '{name}'")
    assert said == [("commit" if decided else "rollback",)]


async def test_after_an_upgrade_the_old_program_may_still_commit(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.listens_at = free_port()
    async with shop.instance() as instance:
        name, parties = await half(shop, instance, decided=False)
    async with shop.instance(elders_before=time.time_ns()) as successor:
        looking = coordination_of(successor, shop).recovery
        await looking.round()
        assert [(one.gid, one.case) for one in looking.doubts] == [(name.at(1), Case.YOUNG)]
        await parties[0].ask(b"COMMIT")
        monkeypatch.setattr(recovery, "YOUNG_S", 0.0)
        looking.hurry()
        await nothing_left(shop)
    assert await shop.names() == ["new", "new"]


async def test_another_instance_leaves_the_young_alone_and_ends_the_old(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop.instance() as instance:
        name, _ = await half(shop, instance, decided=True)
        async with shop.instance() as other:
            looking = coordination_of(other, shop).recovery
            await looking.round()
            assert [(one.gid, one.case) for one in looking.doubts] == [(name.at(1), Case.YOUNG)]
            monkeypatch.setattr(recovery, "YOUNG_S", 0.0)
            await looking.round()
            assert await shop.prepared() == []
    assert await shop.names() == ["new", "new"]


async def test_nothing_is_rolled_back_while_its_coordinator_may_still_commit(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "YOUNG_S", 0.0)
    async with shop.instance() as instance, shop.instance() as other:
        _, parties = await half(shop, instance, decided=False)
        looking = coordination_of(other, shop).recovery
        await looking.round()
        assert [one.why for one in looking.doubts] == ["its commit is under way at its coordinator"]
        await parties[0].ask(b"COMMIT")
        await looking.round()
        assert await shop.prepared() == []
    assert await shop.names() == ["new", "new"]


async def test_a_commit_cannot_come_once_recovery_has_rolled_back(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "YOUNG_S", 0.0)
    async with shop.instance() as instance, shop.instance() as other:
        coordination = coordination_of(instance, shop)
        parties = await shop.begin(instance)
        await write(parties)
        name = coordination.life.name(await coordination.decisions.cluster_of(parties[0].pool), 3, 0)
        await parties[1].ask(f"PREPARE TRANSACTION '{name.at(1)}'".encode())
        await coordination_of(other, shop).recovery.round()
        assert await shop.prepared() == []
        with pytest.raises(Exception, match="duplicate key"):
            await parties[0].ask(insertion(name))
    assert await shop.names() == []


async def test_row_75_what_others_have_prepared_is_never_touched(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "YOUNG_S", 0.0)
    foreign = ["mine", f"trunkline_{'f' * 12}_{'0' * 8}_1_1_3_0@1", "trunkline_x"]
    async with shop.instance() as instance:
        for number, gid in enumerate(foreign):
            connection = await shop.postgres.connect(f"{shop.database}_s1")
            async with connection:
                await connection.execute("BEGIN")
                await connection.execute(f"INSERT INTO customers VALUES ({number}, '')")
                await connection.execute(f"PREPARE TRANSACTION '{gid}'")
        looking = coordination_of(instance, shop).recovery
        await coordination_of(instance, shop).decisions.cluster_of(
            instance.pools.pool(f"{shop.database}/s0", "postgres")
        )
        await looking.round()
        await looking.round()
        assert await shop.prepared() == sorted(foreign)
        assert [one.case for one in looking.doubts] == [Case.FOREIGN]


async def test_a_transaction_of_another_role_is_ended_in_its_name(shop: Stage, postgres: Postgres) -> None:
    role = f"nobody_{uuid.uuid4().hex[:8]}"
    await postgres.create_role(role, options="NOLOGIN")
    shop.listens_at = free_port()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(postgres.fetch, f"DROP ROLE {role}")
        for shard in (0, 1):
            await shop.fetch(shard, f"GRANT ALL ON customers TO {role}")
            stack.push_async_callback(shop.fetch, shard, f"DROP OWNED BY {role}")
        async with shop.instance() as instance:
            coordination = coordination_of(instance, shop)
            parties = await shop.begin(instance)
            cluster = await coordination.decisions.cluster_of(parties[0].pool)
            name = coordination.life.name(cluster, 3, 0)
            await parties[1].ask(f"SET LOCAL ROLE {role}".encode())
            await write(parties[1:])
            await parties[1].ask(f"PREPARE TRANSACTION '{name.at(1)}'".encode())
        async with shop.instance():
            await nothing_left(shop)
        await shop.close()


async def test_readers_wait_for_the_first_look_at_every_shard(shop: Stage) -> None:
    async with shop.instance() as instance:
        gate = coordination_of(instance, shop).gate
        assert [ticket.least for ticket in gate.inside] == [1]
        await wait_until(lambda: not gate.inside)


async def test_old_decisions_are_removed_when_nothing_needs_them(shop: Stage) -> None:
    async with shop.instance() as instance:
        recovery = coordination_of(instance, shop).recovery
        recovery.stop()  # a round of its own, just before, would have this one end what is prepared
        await wait_until(lambda: recovery.is_over)
        name, _ = await half(shop, instance, decided=True)
        gone = str(name).replace("_3_0", "_5_0")
        await shop.fetch(0, f"INSERT INTO trunkline.decisions VALUES ('{gone}')")
        await shop.fetch(0, "UPDATE trunkline.decisions SET decided = now() - interval '1 hour' WHERE gid <> 'cluster'")
        await shop.fetch(0, "INSERT INTO trunkline.decisions VALUES ('trunkline_young')")
        await recovery.round()
        left = await shop.fetch(0, "SELECT gid FROM trunkline.decisions ORDER BY decided")
        assert sorted(left) == sorted([(str(name),), ("cluster",), ("trunkline_young",)])
        assert await shop.fetch(1, PREPARED) == [(name.at(1),)]


@pytest.mark.parametrize("outcome", ["commit", "rollback"])
async def test_an_operator_ends_one_and_what_is_decided_stays_decided(shop: Stage, outcome: str) -> None:
    async with shop.instance() as instance, shop.instance() as other:
        name, parties = await half(shop, instance, decided=False)
        await parties[0].ask(b"ROLLBACK")
        looking = coordination_of(other, shop).recovery
        assert await looking.resolve("trunkline_nothing", outcome) == []
        assert await looking.resolve(str(name), outcome) == [f"{name.at(1)}: {outcome}"]
        assert await shop.names() == (["new"] if outcome == "commit" else [])
        assert await looking.resolve(str(name), outcome) == []


async def test_an_operator_cannot_undo_a_decision(shop: Stage) -> None:
    async with shop.instance() as instance, shop.instance() as other:
        name, _ = await half(shop, instance, decided=True)
        with pytest.raises(ResolveRefused, match="decided otherwise: commit"):
            await coordination_of(other, shop).recovery.resolve(name.at(1), "rollback")
        await coordination_of(other, shop).recovery.resolve(name.at(1), "commit")
        assert await shop.names() == ["new", "new"]
