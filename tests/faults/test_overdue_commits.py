"""A limit of time that strikes while a transaction over several shards commits: its client is told the truth.

What is not decided yet is stopped, and rolled back; what is decided goes on, and its client waits for it, or hears that
nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.fault_proxy import Blackhole, FaultProxy, Rule, Stall
from tests.faults.sharded import FIRST, OTHER
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create
from tests.integration.transcript import session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, Wire, bind, error_fields, execute, parse, rows

DATABASE = "overdue"
SLOW = """
CREATE FUNCTION check_slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION check_slowly()
"""


@asynccontextmanager
async def behind_faults(
    postgres: Postgres, start_proxy: ProxyFactory, **config: Any
) -> AsyncIterator[tuple[Proxy, FaultProxy, FaultProxy]]:
    """Two shards, the way to each of which is harmed by a proxy of its own."""
    settings = await create(postgres, DATABASE)
    ways = [FaultProxy("127.0.0.1", postgres.port, before_postgres=True) for _ in settings["shards"]]
    async with ways[0], ways[1]:
        for shard, way in zip(settings["shards"], ways, strict=True):
            shard["primary"] = shard["primary"].replace(f":{postgres.port}/", f":{way.port}/")
        started = await start_proxy({"pool_mode": "transaction", **config}, databases={DATABASE: settings})
        try:
            yield started, ways[0], ways[1]
        finally:
            sql = "SELECT gid, database FROM pg_prepared_xacts WHERE database LIKE %s"
            for name, database in await postgres.fetch(sql, f"{DATABASE}_s_"):
                await postgres.fetch(f"ROLLBACK PREPARED '{name}'", database=str(database))


async def change_both(wire: Wire) -> None:
    for key in (FIRST, OTHER):
        await wire.query(f"INSERT INTO customers VALUES ({key}, 'before')")
    await wire.query("BEGIN")
    for key in (FIRST, OTHER):
        assert shape(await wire.query(f"UPDATE customers SET name = 'changed' WHERE id = {key}")) == "CZ"


async def names(postgres: Postgres) -> list[str]:
    found = [await postgres.fetch("SELECT name FROM customers", database=f"{DATABASE}_{one}") for one in ("s0", "s1")]
    return [name for shard in found for (name,) in shard]


async def last_words(wire: Wire) -> tuple[str, str]:
    fields = error_fields((await wire.read_frames_to_end())[-1])
    return fields["S"], fields["C"]


@pytest.mark.parametrize(("limit", "code"), [("query_timeout", "57014"), ("transaction_timeout", "25P04")])
async def test_a_commit_that_still_checks_is_stopped_and_nothing_of_it_stays(
    postgres: Postgres, start_proxy: ProxyFactory, limit: str, code: str
) -> None:
    async with behind_faults(postgres, start_proxy, **{limit: 2.0}) as (proxy, _, _):
        await postgres.fetch(SLOW, database=f"{DATABASE}_s1")
        async with session(proxy, database=DATABASE) as wire:
            await change_both(wire)
            await wire.send_query("COMMIT")
            assert await last_words(wire) == ("FATAL", code)
        assert await names(postgres) == ["before", "before"]


async def test_a_commit_that_is_decided_is_waited_for(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    async with (
        behind_faults(postgres, start_proxy, query_timeout=0.7) as (proxy, _, way),
        session(proxy, database=DATABASE) as wire,
    ):
        await change_both(wire)
        fault = way.add(Rule("fe", "Q", re="^COMMIT PREPARED"), Stall(2000))
        assert shape(await wire.query("COMMIT")) == "CZ"
        assert fault.done == 1
        assert rows(await wire.query("SELECT name FROM customers")) == [[b"changed"]] * 2


async def test_a_commit_of_which_nobody_knows_is_told_as_such(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """Its coordinator does not answer: what the client hears is 08007, not that its query has been cancelled."""
    async with behind_faults(postgres, start_proxy, query_timeout=0.7) as (proxy, way, _):
        async with session(proxy, database=DATABASE) as wire:
            await change_both(wire)
            way.add(Rule("fe", "Q", re="^COMMIT$"), Blackhole())
            await wire.send_query("COMMIT")
            assert await last_words(wire) == ("FATAL", "08007")
        way.clear()

    async def is_whole() -> bool:
        prepared = await postgres.fetch("SELECT 1 FROM pg_prepared_xacts WHERE database LIKE %s", f"{DATABASE}_s_")
        return not prepared and await names(postgres) in (["before", "before"], ["changed", "changed"])

    await wait_until(is_whole, what="recovery has ended it")


async def test_a_transaction_over_shards_that_takes_too_long_is_ended(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    async with (
        behind_faults(postgres, start_proxy, transaction_timeout=1.0) as (proxy, _, _),
        session(proxy, database=DATABASE) as idle,
        session(proxy, database=DATABASE) as busy,
    ):
        for wire in (idle, busy):
            await wire.query("BEGIN")
            assert shape(await wire.query("SELECT id FROM customers")) == "TCZ"
        await busy.send_query("SELECT count(*), pg_sleep(60) FROM customers GROUP BY 2")
        assert await last_words(idle) == ("FATAL", "25P04")
        assert await last_words(busy) == ("FATAL", "25P04")


async def test_a_batch_over_shards_whose_sync_does_not_come_is_idle_in_a_transaction(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    async with (
        behind_faults(postgres, start_proxy, idle_transaction_timeout=0.5) as (proxy, _, _),
        session(proxy, database=DATABASE) as wire,
    ):
        await wire.send(parse("SELECT id FROM customers") + bind() + execute() + FLUSH)
        assert shape(await wire.read_until("C")) == "12C"
        assert await asyncio.wait_for(last_words(wire), 30) == ("FATAL", "25P03")
