"""Which servers are asked, as whom and how often, and what is told of their answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, FarEnd, Relay, config, error, relay
from trunkline.config.address import ServerAddress
from trunkline.config.settings import DatabaseSettings
from trunkline.config.sharding import ShardingSettings, ShardSettings
from trunkline.pool.replica_watch import ReplicaWatch, ReplicaWatches
from trunkline.pool.topology import Observation, Sight
from trunkline.pool.topology_lag import Lag
from trunkline.protocol.messages import command_complete, message

PRIMARY, REPLICA = "h1:5432", "h2:5432"
APP = DatabaseSettings("app", hosts=("h1",), replicas=(ServerAddress("h2"),), health_check_user="watcher")
SOON = 0.01


def answer(*, recovers: bool, started: int, timeline: int = 1, at: int = 0x100) -> bytes:
    """What a server says of itself."""
    place, file = b"0/%X" % at, b"%08X0000000000000001" % timeline
    kind = (b"t", None, None, place, place) if recovers else (b"f", file, place, None, None)
    said, file_name, written, received, replayed = kind
    values = (said, b"7", b"%d" % started, file_name, b"%d" % timeline, b"0", None, None, written, received, replayed)
    return message(b"D", row(*values, None)) + command_complete("SELECT 1") + READY


IS_PRIMARY = answer(recovers=False, started=1)
IS_REPLICA = answer(recovers=True, started=2)


@asynccontextmanager
async def watching(database: DatabaseSettings = APP, **settings: Any) -> AsyncIterator[tuple[Relay, ReplicaWatches]]:
    options = {"health_check_interval": SOON, **settings}
    async with relay(databases={"app": database}, **options) as made:
        watches = ReplicaWatches(made.pools)
        watches.reconfigure()
        yield made, watches
        await watches.tasks.cancel()


async def until(made: Relay, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            made.engine.dispatch()
            await asyncio.sleep(0)


async def asked(made: Relay, number: int) -> FarEnd:
    """The server of this connection, once it is asked."""
    await until(made, lambda: len(made.opener.opened) > number)
    server, far = made.opener.opened[number]
    await until(made, lambda: server.setup is not None)
    return far


async def say(made: Relay, number: int, said: bytes) -> None:
    far = await asked(made, number)
    assert b"pg_is_in_recovery" in far.bytes()
    server = made.opener.opened[number][0]
    question = server.setup
    far.send(said)
    await until(made, lambda: server.setup is not question)


def states(watch: ReplicaWatch) -> dict[str, tuple[str, str]]:
    return {name: (str(one.role), str(one.state)) for name, one in watch.topology.members.items()}


BOTH = {PRIMARY: ("primary", "up"), REPLICA: ("replica", "up")}


async def test_each_server_is_asked_again_and_again_on_one_connection() -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        for _ in range(3):
            await say(made, 0, IS_PRIMARY)
            await say(made, 1, IS_REPLICA)
        assert states(watch) == BOTH
        assert repr(watch) == "<ReplicaWatch app h1:5432=primary:up h2:5432=replica:up>"
        assert [target.address.host for target in made.opener.calls] == ["h1", "h2"]
        assert not made.pool.servers


async def test_a_server_is_logged_in_to_as_the_user_of_the_settings_with_names_that_mean_what_they_say() -> None:
    async with watching() as (made, _):
        await asked(made, 1)
        target = made.opener.calls[1]
        assert (target.credentials.user, target.database) == ("watcher", "app")
        assert (b"search_path", b"pg_catalog") in target.parameters


async def test_the_user_and_database_of_a_url_come_first_and_those_of_the_database_second() -> None:
    own = ServerAddress("h2", dbname="other", user="reader", password="r")
    settings = replace(APP, user="forced", password="f", dbname="real", replicas=(own, ServerAddress("h3")))
    async with watching(settings) as (made, _):
        await asked(made, 2)
        known = [(t.credentials.user, t.credentials.password, t.database) for t in made.opener.calls]
        assert known == [("forced", "f", "real"), ("reader", "r", "other"), ("forced", "f", "real")]


async def test_without_a_user_the_first_one_who_logs_in_is_taken_and_the_next_if_he_is_refused() -> None:
    async with watching(replace(APP, health_check_user=None, name="app")) as (made, watches):
        (watch,) = watches
        made.pools.pool("app", "v")
        assert watch.users == ("u", "v")  # the relay has a pool of u
        targets = [watch.target(watch.addresses[REPLICA], attempt) for attempt in range(3)]
        assert [target.credentials.user for target in targets if target is not None] == ["u", "v", "u"]


async def test_nobody_is_asked_as_long_as_there_is_nobody_to_log_in_as() -> None:
    other = replace(APP, name="other", health_check_user=None)
    async with relay(databases={"app": APP, "other": other}, health_check_interval=SOON) as made:
        watch = ReplicaWatch(made.pools, made.pools.tasks, "other", "", other)
        await made.settle(50)
        assert (made.opener.calls, states(watch)[PRIMARY]) == ([], ("", "unseen"))
        made.pools.pool("other", "ann")
        await say(made, 0, IS_PRIMARY)
        made.pools.drop_empty(made.pools.pool("other", "ann"))
        assert watch.users == ()
        await say(made, 0, IS_PRIMARY)  # it goes on all the same
        assert {target.credentials.user for target in made.opener.calls} == {"ann"}


async def test_a_database_named_by_a_pattern_is_watched_by_way_of_one_that_every_server_has() -> None:
    async with watching() as (made, _):
        watch = ReplicaWatch(made.pools, made.pools.tasks, "t_*", "", replace(APP, name="t_*"))
        target = watch.target(watch.addresses[PRIMARY], 0)
        assert target is not None and target.database == "postgres"


async def test_a_server_that_says_an_error_is_unreachable_with_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "trunkline.pool"):
        async with watching() as (made, watches):
            (watch,) = watches
            await say(made, 0, IS_PRIMARY)
            await say(made, 1, error("42501", "not for you") + READY)
            await until(made, lambda: states(watch)[REPLICA] == ("", "unreachable"))
            assert watch.topology.members[REPLICA].why == "not for you"
            await say(made, 2, error("42501", "not for you") + READY)
            await say(made, 3, IS_REPLICA)
            await until(made, lambda: states(watch) == BOTH)
    said = [(record.levelname, record.message) for record in caplog.records if record.message.startswith("app: ")]
    assert said == [
        ("INFO", "app: h1:5432 is primary, up, timeline 1"),
        ("WARNING", "app: h2:5432 is unknown, unreachable: not for you"),
        ("INFO", "app: h2:5432 is replica, up, timeline 1"),
    ]


async def test_lag_is_told_by_what_the_primary_had_written() -> None:
    async with watching() as (_, watches):
        (watch,) = watches
        watch.stop()
        first = Observation(1.0, False, 1, 7, 1, written=100)
        watch.heard(PRIMARY, Sight(first))
        watch.heard(PRIMARY, Sight(replace(first, at=2.0, written=300)))
        watch.heard(REPLICA, Sight(Observation(2.5, True, 1, 7, 2, replayed=120)))
        assert (watch.lag(REPLICA), watch.lag(PRIMARY)) == (Lag(180, 1.5), None)
        # The positions of a promoted server have nothing to do with those of the old one.
        watch.heard(REPLICA, Sight(Observation(3.0, False, 2, 7, 2, written=130)))
        watch.heard(PRIMARY, Sight(Observation(3.0, True, 2, 7, 1, replayed=120)))
        assert watch.lag(PRIMARY) == Lag(10, 0.0)
        watch.heard(PRIMARY, Sight(Observation(4.0, True, 2, 8, 1, replayed=10)))
        assert watch.lag(PRIMARY) is None


# --- settings ---------------------------------------------------------------------------------------------------------


def use(made: Relay, watches: ReplicaWatches, database: DatabaseSettings, **settings: Any) -> None:
    options = {"health_check_interval": SOON, **settings}
    made.pools.reconfigure(config(databases={"app": database}, **options))
    watches.reconfigure()


async def test_each_shard_with_replicas_is_watched_and_what_has_none_is_not() -> None:
    sharding = ShardingSettings((ShardSettings("s0"), ShardSettings("s1")), "s0", (0, 1), {})
    shards = (replace(APP, name="app/s0"), replace(APP, name="app/s1", replicas=()))
    async with watching(replace(APP, sharding=sharding, shards=shards)) as (made, watches):
        assert [(str(watch), watch.database, watch.shard) for watch in watches] == [("app/s0", "app", "s0")]
        use(made, watches, replace(APP, replicas=()))
        assert list(watches) == []


@pytest.mark.parametrize("change", [{"replicas": ()}, {"disabled": True}, {"health_check_interval": 0.0}], ids=str)
async def test_what_is_no_longer_watched_is_disconnected(change: dict[str, Any]) -> None:
    async with watching() as (made, watches):
        await say(made, 0, IS_PRIMARY)
        await asked(made, 1)
        settings = {name: value for name, value in change.items() if name == "health_check_interval"}
        rest = {name: value for name, value in change.items() if name not in settings}
        use(made, watches, replace(APP, **rest), **settings)
        await until(made, lambda: not any(server.opened for server, _ in made.opener.opened))
        assert list(watches) == []


async def test_a_reload_that_changes_no_server_changes_nothing() -> None:
    async with watching() as (made, watches):
        await say(made, 0, IS_PRIMARY)
        use(made, watches, replace(APP, pool_size=3))
        await say(made, 1, IS_REPLICA)
        (watch,) = watches
        await until(made, lambda: states(watch) == BOTH)
        assert len(made.opener.calls) == 2


async def test_servers_that_are_listed_with_others_now_are_looked_at_as_before() -> None:
    async with watching(health_check_interval=3600.0) as (made, watches):
        (watch,) = watches
        await say(made, 0, IS_PRIMARY)
        await say(made, 1, IS_REPLICA)
        await until(made, lambda: states(watch) == BOTH)
        use(
            made,
            watches,
            replace(APP, replicas=(ServerAddress("h3"), ServerAddress("h2"))),
            health_check_interval=3600.0,
        )
        assert states(watch) == {PRIMARY: ("primary", "up"), "h3:5432": ("", "unseen"), REPLICA: ("replica", "up")}
        assert watch.standing.at == (PRIMARY,)
        await asked(made, 2)
        use(made, watches, APP, health_check_interval=3600.0)
        await until(made, lambda: not made.opener.opened[2][0].opened)
        assert [server.opened for server, _ in made.opener.opened] == [True, True, False]
        use(made, watches, replace(APP, user="another"), health_check_interval=3600.0)
        assert watch.standing.at == ()
        await asked(made, 4)


async def test_other_servers_are_asked_anew_and_what_was_known_of_the_cluster_is_kept_with_one_of_them() -> None:
    async with watching() as (made, watches):
        (watch,) = watches
        watch.heard(PRIMARY, Sight(Observation(1.0, False, 3, 7, 1, written=100)))
        use(made, watches, replace(APP, hosts=("h2",), replicas=(ServerAddress("h3"),)))
        assert list(watches) == [watch]
        assert states(watch) == {"h2:5432": ("", "unseen"), "h3:5432": ("", "unseen")}
        assert (watch.topology.memory.system, watch.topology.memory.timeline) == (7, 3)
        use(made, watches, replace(APP, hosts=("h8",), replicas=(ServerAddress("h9"),)))
        assert (watch.topology.memory.system, watch.topology.memory.timeline) == (None, 0)
