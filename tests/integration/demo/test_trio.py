"""Three servers that take turns: each commit is on the next primary, and all three are there again afterwards."""

from __future__ import annotations

from tests.integration.postgres import Farm
from trunkline.demo.trio import Trio


async def test_a_primary_is_killed_its_replica_promoted_and_it_comes_back(farm: Farm) -> None:
    async with Trio(farm.prepare("embedded")) as trio:
        first, second, third = trio.servers
        await first.fetch("CREATE TABLE told AS SELECT 1 AS n")
        await first.kill()
        assert await trio.promote() is first
        assert trio.servers == (second, third)
        assert await second.fetch("SELECT n FROM told") == [(1,)]
        await second.fetch("INSERT INTO told VALUES (2)")  # which waits for nobody now
        assert await trio.follow()
        await trio.take_back(first)
        assert trio.servers == (second, third, first)
        assert trio.synchronous is third
        await second.fetch("INSERT INTO told VALUES (3)")
        ((waited_for,),) = await second.fetch(
            "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'"
        )
        assert waited_for == third.directory.name
        await second.wait_for_replicas(2)
        assert await first.fetch("SELECT n, pg_is_in_recovery() FROM told") == [(1, True), (2, True), (3, True)]
