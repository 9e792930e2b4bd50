"""Whole requests that only read go to a replica; everything else, and who has just written, to the primary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

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
from trunkline.execution.readers import Readers
from trunkline.execution.whole import WholeRouter
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.topology import Observation, Sight
from trunkline.protocol.messages import command_complete, message
from trunkline.proxy.routed import Route
from trunkline.routing.keys.sharding import Sharding

APP = DatabaseSettings(
    "app", hosts=("h1",), replicas=(ServerAddress("h2"),), reads="replica", health_check_user="watcher"
)
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

    def replayed(self, position: int) -> None:
        (watch,) = self.watches
        watch.heard("h1:5432", Sight(Observation(0.0, False, 1, 7, 1, 1000)))
        watch.heard("h2:5432", Sight(Observation(0.0, True, 1, 7, 2, None, position, position)))


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    made = Relay(config(databases={"app": APP}, health_check_interval=3600.0, read_after_write_wait=0.0))
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


def located(position: int) -> bytes:
    """The answer to the question for a position."""
    text = b"0/%X" % position
    row = message(b"D", b"\0\1" + len(text).to_bytes(4, "big") + text)
    return row + command_complete("SELECT 1")
