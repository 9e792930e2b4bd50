"""A read goes to a replica that is up and has replayed what its client wrote: to the one with the least to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.unit.relay import Relay, relay
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.execution.readers import Readers
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Observation, Sight

REPLICAS = (ServerAddress("h2"), ServerAddress("h3"))
APP = DatabaseSettings("app", hosts=("h1",), replicas=REPLICAS, reads="replica", health_check_user="watcher")


def sight(started: int, at: int, *, recovers: bool = True) -> Sight:
    return Sight(Observation(0.0, recovers, 1, 7, started, None if recovers else at, at, at if recovers else None))


@asynccontextmanager
async def reading(database: DatabaseSettings = APP) -> AsyncIterator[tuple[Relay, ReplicaWatches, Readers]]:
    """A primary and two replicas that have replayed up to 100 and 200."""
    async with relay(databases={"app": database}, health_check_interval=3600.0) as made:
        watches = ReplicaWatches(made.pools)
        watches.reconfigure()
        for watch in watches:
            watch.heard("h1:5432", sight(1, 300, recovers=False))
            watch.heard("h2:5432", sight(2, 100))
            watch.heard("h3:5432", sight(3, 200))
        yield made, watches, Readers(made.pools, watches, "app", "u")
        await watches.tasks.cancel()


def chosen(readers: Readers, position: int | None) -> str | None:
    pool = readers.choose(0, position)
    return pool.database if pool is not None else None


async def test_whoever_has_written_nothing_reads_from_any_and_all_are_asked_as_often() -> None:
    async with reading() as (_, _, readers):
        asked = []
        for _ in range(4):
            pool = readers.choose(0, None)
            assert pool is not None
            pool.assignment_count += 1
            asked.append(pool.database)
        assert asked == ["app/replica1", "app/replica2"] * 2


async def test_a_client_reads_from_a_replica_that_has_replayed_its_writes() -> None:
    async with reading() as (_, _, readers):
        assert [chosen(readers, position) for position in (100, 101, 200, 201)] == [
            "app/replica1", "app/replica2", "app/replica2", None,
        ]  # fmt: skip


async def test_off_does_not_ask_what_was_replayed() -> None:
    async with reading(replace(APP, read_after_write="off")) as (_, _, readers):
        assert chosen(readers, 10_000) == "app/replica1"


async def test_a_replica_that_does_not_answer_or_cannot_be_leased_from_is_not_chosen() -> None:
    async with reading() as (made, watches, readers):
        made.pools.pool("app/replica1", "u").paused = True
        assert chosen(readers, None) == "app/replica2"
        (watch,) = watches
        watch.heard("h3:5432", Sight(None, "no answer"))
        assert chosen(readers, None) is None


async def test_who_is_a_replica_now_is_read_from_whatever_the_settings_call_it() -> None:
    async with reading() as (made, watches, readers):
        assert chosen(readers, None) == "app/replica1"
        assert {pool.database for pool in made.pools} == {"app", "app/replica1", "app/replica2"}
        (watch,) = watches
        promoted = Observation(0.0, False, 2, 7, 2, 400, None, None)
        watch.heard("h2:5432", Sight(promoted))
        assert chosen(readers, None) is None
        for name, started in (("h1:5432", 9), ("h3:5432", 3)):
            watch.heard(name, Sight(Observation(0.0, True, 2, 7, started, None, 400, 400)))
        asked = set()
        for _ in range(2):
            pool = readers.choose(0, None)
            assert pool is not None
            pool.assignment_count += 1
            asked.add(pool.database)
        assert asked == {"app/primary", "app/replica2"}


async def test_a_wait_ends_when_a_replica_has_replayed_so_far_or_in_time() -> None:
    async with reading() as (made, watches, readers):
        (watch,) = watches
        done = asyncio.Event()
        readers.wait(0, 250, done.set)
        await asyncio.sleep(0)
        assert not done.is_set()
        watch.heard("h2:5432", sight(2, 250))
        async with asyncio.timeout(10):
            await done.wait()
        assert chosen(readers, 250) == "app/replica1"
        late = asyncio.Event()
        readers.wait(0, 10_000, late.set)
        async with asyncio.timeout(10):
            await late.wait()
        assert made.pools.config.settings.read_after_write_wait < 1


async def test_a_reload_that_takes_the_replicas_away_sends_everybody_to_the_primary() -> None:
    async with reading() as (made, _, readers):
        assert chosen(readers, None) is not None
        made.pools.config = replace(made.pools.config, databases={"app": replace(APP, reads="primary")})
        assert chosen(readers, None) is None
