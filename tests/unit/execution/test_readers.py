"""A read goes to a replica that is up and has replayed what its client wrote: to the one with the least to do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.relay import Relay, relay
from trunkline.config.address import ServerAddress
from trunkline.config.replica_kinds import LagLimit
from trunkline.config.settings import DatabaseSettings
from trunkline.execution.readers import Readers
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Observation, Sight
from trunkline.proxy.client import ClientLink

REPLICAS = (ServerAddress("h2"), ServerAddress("h3"))
APP = DatabaseSettings("app", hosts=("h1",), replicas=REPLICAS, reads="replica", health_check_user="watcher")


def sight(started: int, at: int, *, recovers: bool = True) -> Sight:
    return Sight(Observation(0.0, recovers, 1, 7, started, None if recovers else at, at, at if recovers else None))


@asynccontextmanager
async def reading(
    database: DatabaseSettings = APP, **settings: str
) -> AsyncIterator[tuple[Relay, ReplicaWatches, Readers]]:
    """A primary and two replicas that have replayed up to 100 and 200."""
    async with relay(databases={"app": database}, health_check_interval=3600.0, **settings) as made:
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
        assert [chosen(readers, None) for _ in range(4)] == ["app/replica1", "app/replica2"] * 2


async def test_a_client_reads_from_a_replica_that_has_replayed_its_writes() -> None:
    async with reading() as (_, _, readers):
        assert [chosen(readers, position) for position in (100, 101, 200, 201)] == [
            "app/replica1", "app/replica2", "app/replica2", None,
        ]  # fmt: skip


def weighted(*weights: int, zones: tuple[str, str] = ("", ""), **settings: object) -> DatabaseSettings:
    pairs = zip(REPLICAS, weights, zones, strict=True)
    replicas = tuple(replace(one, weight=weight, zone=zone) for one, weight, zone in pairs)
    return replace(APP, replicas=replicas, **settings)  # type: ignore[arg-type]


class Load:
    """Reads that are under way: the pools of those that are in line."""

    def __init__(self, made: Relay, readers: Readers) -> None:
        self.made, self.readers = made, readers
        self.under_way: list[ClientLink] = []
        self.asked: Counter[str] = Counter()

    def begin(self) -> None:
        pool = self.readers.choose(0, None)
        assert pool is not None
        self.asked[pool.database] += 1
        link, far = self.made.client()
        far.close()
        pool.place_client(link, pool.waiting)
        self.under_way.append(link)

    def end(self, number: int) -> None:
        link = self.under_way.pop(number)
        self.made.pool.place_client(link, self.made.pool.clients)
        link.close()


@pytest.mark.parametrize("balance", ["least", "round-robin", "random"])
@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("clients", [1, 2, 3, 16])
async def test_reads_are_spread_by_the_weights_at_any_load(
    balance: str, weights: tuple[int, int], clients: int
) -> None:
    async with reading(weighted(*weights, balance=balance)) as (made, _, readers):
        load, order = Load(made, readers), random.Random(clients)
        for _ in range(clients):
            load.begin()
        for _ in range(600):
            load.end(order.randrange(clients))
            load.begin()
        share = load.asked["app/replica1"] / load.asked.total()
        assert share == pytest.approx(weights[0] / sum(weights), rel=0.25 if balance == "random" else 0.1)


async def test_a_replica_that_does_not_get_on_is_asked_less() -> None:
    """Of the first, nothing comes to an end."""
    async with reading() as (made, _, readers):
        load = Load(made, readers)
        stuck = made.pools.pool("app/replica1", "u")
        for _ in range(20):
            load.begin()
            if load.under_way[-1].place is not stuck.waiting:
                load.end(-1)
        assert load.asked == {"app/replica1": 2, "app/replica2": 18}


async def test_a_replica_that_has_come_up_does_not_make_up_for_what_it_missed() -> None:
    async with reading(weighted(1, 1)) as (_, watches, readers):
        (watch,) = watches
        watch.heard("h3:5432", Sight(None, "no answer"))
        assert {chosen(readers, None) for _ in range(1000)} == {"app/replica1"}
        watch.heard("h3:5432", sight(3, 200))
        assert Counter(chosen(readers, None) for _ in range(10)) == {"app/replica1": 5, "app/replica2": 5}


async def test_a_replica_that_could_not_be_asked_makes_up_for_little() -> None:
    async with reading(weighted(1, 1)) as (made, _, readers):
        assert chosen(readers, None) == "app/replica1"
        behind = made.pools.pool("app/replica2", "u")
        behind.shut = True
        assert {chosen(readers, None) for _ in range(1000)} == {"app/replica1"}
        behind.shut = False
        counts = Counter(chosen(readers, None) for _ in range(1000))
        assert counts["app/replica2"] <= 530


async def test_weight_0_is_only_where_there_is_no_other() -> None:
    async with reading(weighted(0, 1)) as (made, _, readers):
        assert {chosen(readers, None) for _ in range(5)} == {"app/replica2"}
        assert chosen(readers, 200) == "app/replica2"
        made.pools.pool("app/replica2", "u").shut = True
        assert chosen(readers, None) == "app/replica1"


async def test_the_proxys_zone_is_read_from_until_all_its_servers_are_in_use() -> None:
    """A pool of one server is full as soon as one more is in line."""
    database = weighted(1, 1, zones=("eu-1", "eu-2"), pool_size=1)
    async with reading(database, zone="eu-2") as (made, _, readers):
        assert {chosen(readers, None) for _ in range(5)} == {"app/replica2"}
        near, far = (made.pools.pool(f"app/replica{n}", "u") for n in (2, 1))
        near.full = True
        assert chosen(readers, None) == "app/replica1"
        far.full = True
        assert chosen(readers, None) == "app/replica2"
        server, _ = made.opener.connect(near)
        near.settle(server)
        far.full = False
        assert chosen(readers, None) == "app/replica2"
        near.shut = True
        assert chosen(readers, None) == "app/replica1"


async def test_a_zone_without_a_replica_is_no_zone() -> None:
    async with reading(weighted(1, 1, zones=("eu-1", "eu-2")), zone="us-1") as (_, _, readers):
        assert [chosen(readers, None) for _ in range(4)] == ["app/replica1", "app/replica2"] * 2


@pytest.mark.parametrize("limit", [LagLimit(size_bytes=100), LagLimit(time_s=5.0)])
async def test_a_replica_that_is_too_far_behind_is_not_read_from(limit: LagLimit) -> None:
    """The primary was at 300 at 0 s, and at 400 at 10 s; the first replica has 100, the second 300."""
    async with reading(replace(APP, max_replica_lag=limit)) as (_, watches, readers):
        (watch,) = watches
        watch.heard("h3:5432", sight(3, 300))
        watch.heard("h1:5432", Sight(Observation(10.0, False, 1, 7, 1, 400, 400, None)))
        watch.heard("h2:5432", Sight(Observation(10.5, True, 1, 7, 2, None, 100, 100, 9.0)))
        watch.heard("h3:5432", Sight(Observation(10.5, True, 1, 7, 3, None, 400, 400)))
        assert {chosen(readers, None) for _ in range(4)} == {"app/replica2"}
        watch.heard("h2:5432", Sight(Observation(11.0, True, 1, 7, 2, None, 400, 400)))
        assert {chosen(readers, None) for _ in range(4)} == {"app/replica1", "app/replica2"}


async def test_with_off_a_position_is_that_of_a_token_and_counts() -> None:
    async with reading(replace(APP, read_after_write="off")) as (_, _, readers):
        assert chosen(readers, None) == "app/replica1"
        assert chosen(readers, 10_000) is None


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
        assert {chosen(readers, None) for _ in range(2)} == {"app/primary", "app/replica2"}


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
