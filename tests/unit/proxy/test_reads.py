"""Whole requests that only read go to a replica; everything else, and who has just written, to the primary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from tests.unit.proxy.test_routed import CATALOG as SPREAD
from tests.unit.proxy.test_routed import EVEN, ODD, RULE
from tests.unit.relay import (
    IN_TRANSACTION,
    READY,
    SYNC,
    FarEnd,
    Relay,
    bind,
    config,
    error,
    execute,
    parse,
    query,
    rows,
)
from tests.unit.routing.planning.test_replicas import CATALOG
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.config.sharding import ShardingSettings, ShardSettings
from trunkline.errors import ServerUnavailable
from trunkline.execution.readers import Readers
from trunkline.execution.router import Router
from trunkline.execution.whole import WholeRouter
from trunkline.pool.policy import Trouble
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Observation, Sight
from trunkline.protocol.messages import command_complete, message
from trunkline.proxy.routed import Route
from trunkline.routing.keys.sharding import Sharding

APP = DatabaseSettings(
    "app", hosts=("h1",), replicas=(ServerAddress("h2"),), reads="replica", health_check_user="watcher"
)
SHARDS = ("s0", "s1")
READ, WRITE = b"SELECT id FROM t", b"INSERT INTO t VALUES (1)"
POSITION = b"SELECT pg_catalog.pg_current_wal_insert_lsn()"


@dataclass
class Stage:
    """A client, and one server of the primary and of the replica each."""

    made: Relay
    watches: ReplicaWatches
    client: FarEnd
    primary: FarEnd
    replica: FarEnd

    def say(self, *messages: bytes) -> None:
        self.client.send(*messages)
        self.made.turn()

    def answer(self, server: FarEnd, *messages: bytes) -> None:
        server.send(*messages)
        self.made.turn()

    def stop_checks(self) -> None:
        (watch,) = self.watches
        watch.stop()

    def replayed(self, position: int) -> None:
        (watch,) = self.watches
        watch.heard("h1:5432", Sight(Observation(0.0, False, 1, 7, 1, 1000)))
        watch.heard("h2:5432", Sight(Observation(0.0, True, 1, 7, 2, None, position, position)))


@asynccontextmanager
async def stage(database: DatabaseSettings = APP) -> AsyncIterator[Stage]:
    made = Relay(config(databases={"app": database}, health_check_interval=3600.0, read_after_write_wait=0.0))
    watches = ReplicaWatches(made.pools)
    watches.reconfigure()
    try:
        link, client = made.client()
        router = WholeRouter("app")
        router.learn(CATALOG, Sharding(("",), 0))
        pools = [made.pools.pool(name, "u") for name in ("app", "app/replica1")]
        readers = Readers(made.pools, watches, "app", "u")
        link.begin(pools[0], made.opener.params, False, 1 << 30, Route(router, lambda: pools[:1], readers))
        servers = []
        for pool in pools:
            server, far = made.opener.connect(pool)
            pool.profiles.rebase(server.params)
            pool.settle(server)
            servers.append(far)
        on = Stage(made, watches, client, *servers)
        on.replayed(100)
        yield on
    finally:
        await watches.tasks.cancel()
        await made.close()


async def test_a_read_goes_to_the_replica_and_a_write_to_the_primary() -> None:
    async with stage() as on:
        on.say(query(READ))
        assert (on.primary.frames(), on.replica.frames()) == ([], [("Q", READ + b"\0")])
        on.answer(on.replica, rows(b"1"), READY)
        on.say(query(WRITE))
        assert (on.primary.frames(), on.replica.frames()) == ([("Q", WRITE + b"\0")], [])


async def test_a_batch_of_reads_goes_there_whole_and_one_with_a_write_does_not() -> None:
    async with stage() as on:
        reads = parse(b"", READ) + bind(b"") + execute()
        on.say(reads + reads + SYNC)
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "PBEPBES")
        on.answer(on.replica, *(b"1\0\0\0\4", b"2\0\0\0\4", command_complete("SELECT 0")) * 2, READY)
        on.say(reads + parse(b"", WRITE) + bind(b"") + execute() + SYNC)
        assert (on.primary.kinds(), on.replica.kinds()) == ("PBEPBES", "")


@pytest.mark.parametrize("sent", [parse(b"", READ) + SYNC, (parse(b"", READ) + bind(b"") + execute())[:-1]])
async def test_what_is_not_all_here_or_asks_for_nothing_is_the_primarys(sent: bytes) -> None:
    async with stage() as on:
        on.say(sent)
        assert on.replica.kinds() == ""
        assert on.primary.kinds().startswith("P")


async def test_a_block_is_the_primarys() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("QQ", "")
        on.answer(on.primary, command_complete("BEGIN"), IN_TRANSACTION, rows(b"1"), IN_TRANSACTION)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_a_write_behind_a_read_waits_for_its_answer_and_a_read_does_not() -> None:
    async with stage() as on:
        on.say(query(READ), query(READ), query(WRITE))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "QQ")
        on.answer(on.replica, rows(b"1"), READY)
        assert on.primary.kinds() == ""
        on.answer(on.replica, rows(b"2"), READY)
        assert on.primary.frames() == [("Q", WRITE + b"\0")]


async def wrote(on: Stage, *position: bytes) -> None:
    """A write, and what is said of the position behind it."""
    on.say(query(WRITE))
    assert on.primary.frames() == [("Q", WRITE + b"\0")]
    on.answer(on.primary, command_complete("INSERT 0 1"), READY)
    assert on.client.kinds() == "CZ"
    assert on.primary.frames() == [("Q", POSITION + b"\0")]
    on.answer(on.primary, *position, READY)
    assert on.client.kinds() == ""


async def test_who_has_written_reads_from_a_replica_that_has_replayed_it() -> None:
    async with stage() as on:
        await wrote(on, located(90))
        on.say(query(READ))
        assert (on.primary.frames(), on.replica.frames()) == ([], [("Q", READ + b"\0")])


async def test_what_comes_before_the_position_is_known_waits_for_it() -> None:
    async with stage() as on:
        on.say(query(WRITE))
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("QQ", "")
        on.answer(on.primary, located(90), READY)
        assert on.replica.frames() == [("Q", READ + b"\0")]


async def test_who_has_lost_its_server_before_the_position_was_known_reads_from_the_primary() -> None:
    async with stage() as on:
        on.say(query(WRITE))
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        on.primary.close()
        await on.made.settle()
        on.say(query(READ))
        await on.made.settle()
        assert on.replica.frames() == []


async def test_a_replica_that_is_behind_is_waited_for_and_then_the_primary_asked() -> None:
    async with stage() as on:
        await wrote(on, located(200))
        on.say(query(READ))
        await on.made.settle()
        assert (on.primary.frames(), on.replica.frames()) == ([("Q", READ + b"\0")], [])


async def test_a_position_that_cannot_be_had_sends_reads_to_the_primary() -> None:
    async with stage() as on:
        await wrote(on, error("42501"))
        on.say(query(READ))
        await on.made.settle()
        assert (on.primary.frames(), on.replica.frames()) == ([("Q", READ + b"\0")], [])


@dataclass
class Shards:
    """A client of two shards, each a primary and a replica; ids are spread by their remainder."""

    made: Relay
    client: FarEnd
    far: dict[str, FarEnd]

    def say(self, *messages: bytes) -> None:
        self.client.send(*messages)
        self.made.turn()

    def heard(self) -> dict[str, str]:
        """What each server has been sent, but for those that were sent nothing."""
        return {name: kinds for name, far in self.far.items() if (kinds := far.kinds())}


@asynccontextmanager
async def two_shards() -> AsyncIterator[Shards]:
    shards = [
        replace(APP, name=f"shop/{name}", hosts=(f"{name}-1",), replicas=(ServerAddress(f"{name}-2"),))
        for name in SHARDS
    ]
    sharding = ShardingSettings(tuple(ShardSettings(name) for name in SHARDS), "s0", (0, 1))
    shop = replace(APP, name="shop", sharding=sharding, shards=tuple(shards))
    made = Relay(config(databases={"app": APP, "shop": shop}, health_check_interval=3600.0))
    watches = ReplicaWatches(made.pools)
    watches.reconfigure()
    try:
        for number, name in enumerate(SHARDS):
            watch = watches.of("shop", name)
            assert watch is not None
            watch.heard(f"{name}-1:5432", Sight(Observation(0.0, False, 1, 7 + number, 1, 100)))
            watch.heard(f"{name}-2:5432", Sight(Observation(0.0, True, 1, 7 + number, 2, None, 100, 100)))
        link, client = made.client()
        router = Router("shop")
        router.learn(SPREAD, Sharding(SHARDS, 0, {"t": RULE}))
        pools = [made.pools.pool(shard.name, "u") for shard in shards]
        route = Route(router, lambda: pools, Readers(made.pools, watches, "shop", "u"))
        link.begin(pools[0], made.opener.params, False, 1 << 30, route)
        far = {}
        for shard in shards:
            for name in (shard.name, f"{shard.name}/replica1"):
                pool = made.pools.pool(name, "u")
                server, far[name] = made.opener.connect(pool)
                pool.profiles.rebase(server.params)
                pool.settle(server)
        yield Shards(made, client, far)
    finally:
        await watches.tasks.cancel()
        await made.close()


async def test_a_read_goes_to_a_replica_of_its_shard_and_no_other() -> None:
    async with two_shards() as on:
        on.say(query(EVEN), query(ODD))
        assert on.heard() == {"shop/s0/replica1": "Q"}
        on.far["shop/s0/replica1"].send(rows(b"8"), READY)
        on.made.turn()
        assert on.heard() == {"shop/s1/replica1": "Q"}


async def test_a_batch_for_two_shards_is_answered_by_no_replica() -> None:
    async with two_shards() as on:
        on.say(parse(b"", EVEN) + bind(b"") + execute() + parse(b"", ODD) + bind(b"") + execute() + SYNC)
        assert not [name for name in on.heard() if "replica" in name]


async def test_what_cannot_be_said_of_a_read_is_not_said_of_a_large_write_behind_it() -> None:
    async with stage() as on:
        await wrote(on, located(90))
        on.say(query(READ))
        on.answer(on.replica, rows(b"1"), READY)
        on.replica.frames()
        large = query(WRITE[:-1] + b", ('" + b"x" * 200_000 + b"'))")
        on.say(large[:1000])
        on.say(large[1000:])
        assert on.replica.frames() == []
        on.primary.bytes()
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        assert on.primary.bytes().endswith(POSITION + b"\0")


async def test_a_replica_that_could_not_be_had_is_asked_again_when_it_is_time() -> None:
    async with stage() as on:
        pool = on.made.pools.pool("app/replica1", "u")
        pool.trouble = Trouble(on.made.pools.now, 1, on.made.pools.now + 3600)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
        on.answer(on.primary, rows(b"1"), READY)
        pool.trouble = Trouble(0.0, 1, 0.0)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")


async def test_a_request_for_which_the_replica_has_no_server_goes_to_the_primary() -> None:
    async with stage() as on:
        for server in list(on.made.pools.pool("app/replica1", "u").idle):
            server.drop("test")
        on.stop_checks()  # to them too no server would open
        on.made.opener.refusal = ServerUnavailable("cannot connect to the server")
        on.say(query(READ))
        await on.made.settle()
        assert on.primary.frames() == [("Q", READ + b"\0")]
        assert on.client.kinds() == ""


async def test_who_is_in_line_at_a_replica_that_fails_again_and_again_is_answered_elsewhere() -> None:
    async with stage(replace(APP, pool_size=1)) as on:
        other, _ = on.made.client()
        assert on.made.pools.pool("app/replica1", "u").request(other) is not None
        on.say(query(READ))
        await on.made.settle()
        assert on.primary.kinds() == ""
        for _ in range(5):
            on.made.pools.breakers.not_opened("h2:5432", ServerUnavailable("cannot connect to the server"))
        await on.made.settle()
        assert (on.primary.kinds(), on.client.kinds()) == ("Q", "")


async def test_a_read_that_is_not_to_fall_back_is_refused_and_the_client_goes_on() -> None:
    async with stage(replace(APP, replica_fallback="error")) as on:
        pool = on.made.pools.pool("app/replica1", "u")
        pool.shut = True
        on.say(query(READ), parse(b"", READ) + bind(b"") + execute() + SYNC, query(WRITE))
        first, ready, second, end = on.client.frames()
        assert (first[0], ready[0], second[0], end[0]) == ("E", "Z", "E", "Z")
        assert b"C57P03\0" in first[1] and b"circuit breaker" in first[1] and first == second
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        on.primary.bytes()
        on.answer(on.primary, located(1000), READY)
        pool.shut = False
        on.say(query(READ))
        await on.made.settle()  # its own write is all that it waits for
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


def located(position: int) -> bytes:
    """The answer to the question for a position."""
    text = b"0/%X" % position
    row = message(b"D", b"\0\1" + len(text).to_bytes(4, "big") + text)
    return row + command_complete("SELECT 1")


async def test_a_sticky_client_reads_from_the_primary_behind_its_write() -> None:
    async with stage(replace(APP, read_after_write="sticky:3600s")) as on:
        on.say(query(WRITE))
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        assert on.primary.kinds() == "Q"  # and nobody asks for the position
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_and_no_longer_than_that() -> None:
    async with stage(replace(APP, read_after_write="sticky:1e-06s")) as on:
        on.say(query(WRITE))
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        until = on.made.pools.now + 1e-06
        while on.made.pools.now <= until:
            on.made.turn()
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "Q")


@pytest.mark.parametrize("setting", ["off", "sticky:1e-06s"])
@pytest.mark.parametrize("writes", [False, True])
async def test_a_token_is_read_behind_whatever_writes_do(setting: str, writes: bool) -> None:
    async with stage(replace(APP, read_after_write=setting)) as on:
        on.say(query(b"SET trunkline.min_lsn = '0/FF'"))
        on.answer(on.primary, command_complete("SET"), READY)
        assert on.primary.kinds() == "Q"
        if writes:
            on.say(query(WRITE))
            on.answer(on.primary, command_complete("INSERT 0 1"), READY)
            assert on.primary.kinds() == "Q"
        until = on.made.pools.now + 1e-06
        while on.made.pools.now <= until:
            on.made.turn()
        on.say(query(READ))
        await on.made.settle()
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
