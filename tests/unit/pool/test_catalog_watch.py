"""When the shards of a database are asked for their schema, by whom, and what comes of their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, FarEnd, Relay, error, relay
from trunkline.config.address import ServerAddress
from trunkline.config.key_kinds import Lookup
from trunkline.config.settings import DatabaseSettings
from trunkline.config.sharding import ShardingSettings, ShardSettings, TableSettings
from trunkline.errors import ServerLost, ServerRefused, ServerUnavailable
from trunkline.pool import catalog_watch
from trunkline.pool.catalog_watch import CatalogWatch
from trunkline.protocol.messages import command_complete, message
from trunkline.routing.keys.sharding import KeyMissing, Kind
from trunkline.routing.schema.drift import Difference

SHARDING = ShardingSettings(
    (ShardSettings("s0"), ShardSettings("s1")), "s0", (0, 1), {"t": TableSettings(("id",), group="t")}
)


def database(sharding: ShardingSettings = SHARDING) -> DatabaseSettings:
    shards = tuple(
        DatabaseSettings(f"shop/{name}", hosts=(f"127.0.0.{number}",))
        for number, name in enumerate(sharding.shard_names(), 1)
    )
    return DatabaseSettings("shop", hosts=("127.0.0.1",), sharding=sharding, shards=shards)


APP = DatabaseSettings("app", hosts=("127.0.0.1",))


def answer(type: str = "int8") -> bytes:
    """A schema of one table with one column."""
    columns = [["id", type, True, None, False, True, False, -1]]
    rest = json.dumps(["r", columns, *[None] * 7, "p", None]).encode()
    rows = message(b"D", row(b"relation", b"public", b"t", b"0", rest))
    return command_complete("SET") + rows + command_complete("SELECT 1") + READY


def entries(*rows: tuple[bytes, bytes]) -> bytes:
    """A directory."""
    return b"".join(message(b"D", row(*values)) for values in rows) + command_complete("SELECT 1") + READY


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[Relay, CatalogWatch]]:
    async with relay(databases={"app": APP, "shop": database()}) as made:
        yield made, CatalogWatch(made.pools, "shop")


async def until(made: Relay, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            made.engine.dispatch()
            await asyncio.sleep(0)


async def say(made: Relay, number: int, said: bytes, about: bytes = b"pg_class") -> None:
    """Wait for the server with this number to be asked, and answer."""
    await until(made, lambda: len(made.opener.opened) > number)
    server, far = made.opener.opened[number]
    await until(made, lambda: server.setup is not None)
    assert about in far.bytes()
    far.send(said)


def asked(made: Relay) -> list[str]:
    """The hosts: of the home shard 127.0.0.1."""
    return [target.address.host for target in made.opener.calls]


async def known(made: Relay, watch: CatalogWatch, home: bytes, other: bytes) -> None:
    ready = asyncio.ensure_future(watch.ready("ann"))
    await say(made, 0, home)
    await until(made, ready.done)
    await ready
    await say(made, 1, other)
    assert watch._reading is not None
    await until(made, watch._reading.done)


async def again(made: Relay, watch: CatalogWatch, number: int, home: bytes, other: bytes) -> None:
    """The reading under way, of both shards."""
    await say(made, number, home)
    await say(made, number + 1, other)
    assert watch._reading is not None
    await until(made, watch._reading.done)


async def test_the_home_shard_is_read_first_and_makes_the_rules() -> None:
    async with watching() as (made, watch):
        ready = asyncio.ensure_future(watch.ready("ann"))
        await say(made, 0, answer())
        await until(made, ready.done)
        assert (watch.known, watch.catalog.version) == (True, 1)
        rule = watch.built.sharding.rule_of("public", "t")
        assert rule.kind is Kind.SHARDED and rule.function is not None and rule.function.types == ("int8",)
        assert not made.opener.opened[0][0].opened
        assert made.opener.calls[0].credentials.user == "ann"


async def test_the_other_shards_are_compared_with_it() -> None:
    async with watching() as (made, watch):
        await known(made, watch, answer(), answer("int4"))
        assert watch.drift == (Difference("s1", "table", "public.t", "column id is of type int4, at home int8"),)
        assert list(watch.catalogs) == ["s0", "s1"]
        assert made.pools.pool("shop/s0", "ann").servers == made.pools.pool("shop/s1", "ann").servers == 0


async def test_who_waits_is_served_by_one_reading() -> None:
    async with watching() as (made, watch):
        waiting = [asyncio.ensure_future(watch.ready(user)) for user in ("ann", "bob", "ann")]
        await say(made, 0, answer())
        await until(made, lambda: all(one.done() for one in waiting))
        await asyncio.gather(*waiting)
        assert asked(made).count("127.0.0.1") == 1


async def test_what_the_server_says_is_for_all_who_wait_as_the_same_user() -> None:
    async with watching() as (made, watch):
        waiting = [asyncio.ensure_future(watch.ready(user)) for user in ("ann", "ann", "bob")]
        await say(made, 0, error("42501", "not for you") + READY)
        await say(made, 1, answer())
        await until(made, lambda: all(one.done() for one in waiting))
        first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(first, ServerRefused)
        assert first is second
        assert third is None


async def test_a_server_that_is_lost_on_the_way_is_an_error_and_the_next_asks_again() -> None:
    async with watching() as (made, watch):
        ready = asyncio.ensure_future(watch.ready("ann"))
        await until(made, lambda: bool(made.opener.opened))
        made.opener.opened[0][1].close()
        await until(made, ready.done)
        with pytest.raises(ServerLost):
            await ready
        retry = asyncio.ensure_future(watch.ready("ann"))
        await say(made, 1, answer())
        await until(made, retry.done)
        assert watch.known


async def test_a_change_makes_a_new_catalog_and_is_told() -> None:
    async with watching() as (made, watch):
        await known(made, watch, answer(), answer())
        told: list[int] = []
        watch.on_change = lambda: told.append(watch.catalog.version)
        watch.stale()
        await again(made, watch, 2, answer("int4"), answer("int4"))
        assert (told, watch.drift) == ([2], ())
        watch.stale()
        await again(made, watch, 4, answer("int4"), answer("int4"))
        assert told == [2]


async def test_what_changes_while_it_is_read_is_read_again() -> None:
    async with watching() as (made, watch):
        await known(made, watch, answer(), answer())
        first = watch.stale()
        await until(made, lambda: len(made.opener.opened) > 2)
        assert watch.stale() is first
        await say(made, 2, answer())
        await say(made, 3, answer())
        await say(made, 4, answer("int4"))
        await say(made, 5, answer("int4"))
        assert first is not None
        await until(made, first.done)
        assert watch.catalog.version == 2


async def test_another_map_is_a_change_though_the_schema_is_the_same() -> None:
    async with watching() as (made, watch):
        await known(made, watch, answer(), answer())
        told: list[bool] = []
        watch.on_change = lambda: told.append(True)
        moved = database(replace(SHARDING, bucket_map=(1, 1)))
        made.pools.reconfigure(replace(made.pools.config, databases={"app": APP, "shop": moved}))
        watch.stale()
        await again(made, watch, 2, answer(), answer())
        function = watch.built.sharding.rule_of("public", "t").function
        assert function is not None
        assert (told, watch.catalog.version, function.shards_of((1,))) == ([True], 1, 2)


async def test_a_directory_is_read_before_anybody_goes_by_it_and_kept_over_other_maps() -> None:
    async with watching() as (made, watch):
        table = TableSettings(("id",), method="lookup", lookup=Lookup("t", "id", "id"), group="t")
        shop = database(replace(SHARDING, tables={"t": table}))
        made.pools.reconfigure(replace(made.pools.config, databases={"app": APP, "shop": shop}))
        ready = asyncio.ensure_future(watch.ready("ann"))
        await say(made, 0, answer())
        await until(made, lambda: len(made.opener.opened) > 1)
        directory = made.opener.opened[1][1]
        await hear(made, directory, b"LISTEN trunkline_directory", READY)
        await hear(made, directory, b'FROM "public"."t"', READY)
        await hear(made, directory, b"FETCH", entries((b"7", b"s1"), (b"8", b"s9")))
        await hear(made, directory, b"FETCH", entries())
        assert not ready.done()
        await hear(made, directory, b"CLOSE", READY)
        await until(made, ready.done)
        function = watch.built.sharding.rule_of("public", "t").function
        assert function is not None
        assert function.shards_of((7,)) == 2
        with pytest.raises(KeyMissing):
            function.shards_of((8,))
        moved = database(replace(SHARDING, bucket_map=(1, 1), tables={"t": table}))
        made.pools.reconfigure(replace(made.pools.config, databases={"app": APP, "shop": moved}))
        watch.reconfigured()
        other = watch.built.sharding.rule_of("public", "t").function
        assert other is not None and other is not function
        assert other.shards_of((7,)) == 2


async def hear(made: Relay, far: FarEnd, about: bytes, said: bytes) -> None:
    """Wait for a query about this on a connection, and answer."""
    heard = bytearray()

    def is_there() -> bool:
        heard.extend(far.bytes())
        return about in heard

    await until(made, is_there)
    far.send(said)


async def test_a_shard_that_cannot_be_read_stops_nobody() -> None:
    async with watching() as (made, watch):
        ready = asyncio.ensure_future(watch.ready("ann"))
        await say(made, 0, answer())
        await until(made, ready.done)
        made.opener.refusal = ServerUnavailable("down")
        assert watch._reading is not None
        await until(made, watch._reading.done)
        assert (watch.known, list(watch.catalogs), watch.drift) == (True, ["s0"], ())


async def test_the_catalog_of_a_database_without_shards_is_read_again_after_a_failure_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog_watch, "AGAIN_S", 0.01)
    whole = replace(APP, replicas=(ServerAddress("h2"),), reads="replica")
    async with relay(databases={"app": whole}) as made:
        watch = CatalogWatch(made.pools, "app")
        ready = asyncio.ensure_future(watch.ready("ann"))
        await say(made, 0, answer())
        await until(made, ready.done)
        assert watch._reading is not None
        await until(made, watch._reading.done)
        made.opener.refusal = ServerUnavailable("down")
        reading = watch.stale()
        assert reading is not None
        await until(made, reading.done)
        made.opener.refusal = None
        await say(made, 1, answer("text"))
        await until(made, lambda: watch.catalog.version == 2)


async def test_nobody_reads_before_somebody_has_asked() -> None:
    async with watching() as (made, watch):
        assert watch.stale() is None
        assert made.opener.calls == []
