"""A client whose statements concern several shards, in both protocols, in transactions and out of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, session, shape
from tests.integration.wire import FLUSH, SYNC, Wire, bind, describe, execute, parse, query, rows

DATABASE = "shop_of_several"
KEYS = [*keys_of(0, 3), *keys_of(1, 3)]
FIRST, OTHER = KEYS[0], KEYS[3]
NAMES = {b"customer %d" % key for key in KEYS}


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await create(postgres, DATABASE)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 2}, databases={DATABASE: settings})


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    """A client, with three customers on each shard."""
    async with session(proxy, database=DATABASE) as logged_in:
        for key in KEYS:
            assert shape(await logged_in.query(f"INSERT INTO customers VALUES ({key}, 'customer {key}')")) == "CZ"
        yield logged_in


async def test_rows_of_all_shards_come_to_a_simple_query(wire: Wire) -> None:
    reply = await wire.query("SELECT name FROM customers")
    assert shape(reply) == "TDDDDDDCZ"
    assert {name for (name,) in rows(reply)} == NAMES
    assert reply[-2].body == b"SELECT 6\0"


async def test_the_client_is_relayed_again_behind_it(wire: Wire) -> None:
    for _ in range(3):
        assert shape(await wire.query("SELECT name FROM customers")) == "TDDDDDDCZ"
        assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"customer %d" % OTHER]]


async def test_the_extended_protocol_gives_the_same(wire: Wire) -> None:
    await wire.send(parse("SELECT name FROM customers", "all") + describe("S", "all") + SYNC)
    assert shape(await wire.read_until("Z")) == "1tTZ"
    for _ in range(2):
        await wire.send(bind("all") + describe("P") + execute() + SYNC)
        reply = await wire.read_until("Z")
        assert shape(reply) == "2TDDDDDDCZ"
        assert {name for (name,) in rows(reply)} == NAMES


async def test_rows_are_taken_some_at_a_time(wire: Wire) -> None:
    await wire.send(parse("SELECT name FROM customers") + bind(portal="some") + execute("some", 4) + FLUSH)
    first = await wire.read_until("s")
    assert shape(first) == "12DDDDs"
    await wire.send(execute("some", 4) + SYNC)
    rest = await wire.read_until("Z")
    assert shape(rest) == "DDCZ"
    assert {name for (name,) in rows([*first, *rest])} == NAMES


async def test_what_does_not_parse_fails_as_postgresql_says(wire: Wire) -> None:
    await wire.send(parse("SELECT nothing FROM customers") + bind() + execute() + SYNC)
    reply = await wire.read_until("Z")
    assert shape(reply) == "EZ"
    assert errors(reply) == ["42703"]
    assert shape(await wire.query("SELECT name FROM customers")) == "TDDDDDDCZ"


# --- blocks ---------------------------------------------------------------------------------------------------------


async def test_a_block_goes_on_at_several_shards(wire: Wire) -> None:
    assert shape(await wire.query("BEGIN")) == "CZ"
    assert shape(await wire.query(f"UPDATE customers SET name = 'new' WHERE id = {FIRST}")) == "CZ"
    reply = await wire.query("SELECT name FROM customers")
    assert (shape(reply), reply[-1].body) == ("TDDDDDDCZ", b"T")
    assert [b"new"] in rows(reply)
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"customer %d" % OTHER]]
    reply = await wire.query("ROLLBACK")
    assert (shape(reply), reply[-1].body) == ("CZ", b"I")
    assert {name for (name,) in rows(await wire.query("SELECT name FROM customers"))} == NAMES


async def test_a_block_that_wrote_to_one_shard_is_committed(wire: Wire) -> None:
    for sql in ("BEGIN", "SELECT name FROM customers", f"UPDATE customers SET name = 'kept' WHERE id = {OTHER}"):
        assert "E" not in shape(await wire.query(sql))
    assert shape(await wire.query("COMMIT")) == "CZ"
    assert [b"kept"] in rows(await wire.query("SELECT name FROM customers"))


async def test_an_error_at_one_shard_fails_the_block(wire: Wire) -> None:
    for sql in ("BEGIN", "SELECT name FROM customers", f"UPDATE customers SET name = 'gone' WHERE id = {OTHER}"):
        assert "E" not in shape(await wire.query(sql))
    reply = await wire.query(f"SELECT 1 / (id - {FIRST}) FROM customers WHERE id = {FIRST}")
    assert (errors(reply), reply[-1].body) == (["22012"], b"E")
    assert errors(await wire.query("SELECT name FROM customers")) == ["25P02"]
    assert errors(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == ["25P02"]
    reply = await wire.query("COMMIT")
    assert (reply[0].body, reply[-1].body) == (b"ROLLBACK\0", b"I")
    assert {name for (name,) in rows(await wire.query("SELECT name FROM customers"))} == NAMES


async def test_a_savepoint_is_one_at_every_shard(wire: Wire) -> None:
    steps = (
        "BEGIN",
        f"UPDATE customers SET name = 'first' WHERE id = {FIRST}",
        "SAVEPOINT here",
        "SELECT name FROM customers",
    )
    for sql in steps:
        assert "E" not in shape(await wire.query(sql))
    assert errors(await wire.query(f"SELECT 1 / (id - {OTHER}) FROM customers WHERE id = {OTHER}")) == ["22012"]
    reply = await wire.query("ROLLBACK TO here")
    assert (shape(reply), reply[-1].body) == ("CZ", b"T")
    assert shape(await wire.query("COMMIT")) == "CZ"
    assert {name for (name,) in rows(await wire.query("SELECT name FROM customers"))} == NAMES - {
        b"customer %d" % FIRST
    } | {b"first"}


async def test_a_held_block_begins_at_several_shards(wire: Wire) -> None:
    assert shape(await wire.query("BEGIN ISOLATION LEVEL REPEATABLE READ")) == "CZ"
    assert shape(await wire.query("SELECT name FROM customers")) == "TDDDDDDCZ"
    assert rows(await wire.query("SHOW transaction_isolation")) == [[b"repeatable read"]]
    assert shape(await wire.query("COMMIT")) == "CZ"


async def test_a_block_in_which_nothing_was_asked_begins_anew_at_several_shards(wire: Wire) -> None:
    begins = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    for more in ((), ("SET LOCAL work_mem = '5MB'",), ("SAVEPOINT a", "SET LOCAL TimeZone = 'UTC'")):
        await wire.send(parse(begins) + bind() + execute() + SYNC)
        assert (await wire.read_until("Z"))[-1].body == b"T"
        for sql in more:
            assert shape(await wire.query(sql))[-2:] == "CZ"
        assert shape(await wire.query("SELECT name FROM customers")) == "TDDDDDDCZ"
        assert rows(await wire.query("SHOW transaction_isolation")) == [[b"repeatable read"]]
        if "SET LOCAL work_mem = '5MB'" in more:
            assert rows(await wire.query("SHOW work_mem")) == [[b"5MB"]]
        assert (await wire.query("COMMIT"))[-1].body == b"I"


async def test_servers_go_back_when_the_client_leaves_in_the_middle(proxy: Proxy, wire: Wire) -> None:
    async with session(proxy, database=DATABASE) as leaver:
        for sql in ("BEGIN", "SELECT name FROM customers"):
            assert "E" not in shape(await leaver.query(sql))
    for _ in range(4):
        async with session(proxy, database=DATABASE) as leaver:
            await leaver.send(query("BEGIN") + query("SELECT name FROM customers") + query("SELECT pg_sleep(60)"))
            await leaver.read_until("D")
    assert shape(await wire.query("SELECT name FROM customers")) == "TDDDDDDCZ"


async def test_a_cancel_while_a_long_text_is_planned_is_over_with_it(proxy: Proxy, wire: Wire) -> None:
    """It waited for the text to be sent to one server, which never came, and stopped a later statement."""
    long = f"SELECT count(*) FROM customers WHERE id IN ({', '.join(map(str, range(20_000)))})"
    for number in range(5):
        await wire.send_query(f"{long} AND id <> {number}")
        await asyncio.gather(wire.read_until("Z"), Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key))
        assert errors(await wire.query("SELECT pg_sleep(0.01)")) == []


async def test_a_driver_has_transactions_over_shards(proxy: Proxy, wire: Wire) -> None:
    connection = await asyncpg.connect(host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE)
    try:
        async with connection.transaction():
            assert len(await connection.fetch("SELECT name FROM customers")) == 6
            assert await connection.fetchval("SELECT name FROM customers WHERE id = $1", OTHER) == f"customer {OTHER}"
            assert await connection.fetchval("SELECT name FROM customers WHERE id = $1", FIRST) == f"customer {FIRST}"
            names = [row["name"] async for row in connection.cursor("SELECT name FROM customers", prefetch=2)]
            assert {name.encode() for name in names} == NAMES
        assert len(await connection.fetch("SELECT name FROM customers")) == 6
    finally:
        await connection.close()


# --- batches --------------------------------------------------------------------------------------------------------

NAME = "UPDATE customers SET name = $2 WHERE id = $1"


def renaming(*keys: int) -> bytes:
    return b"".join(bind("rename", [b"%d" % key, b"renamed"]) + execute() for key in keys)


async def test_a_batch_goes_on_at_another_shard_and_is_one_transaction(wire: Wire) -> None:
    await wire.send(parse(NAME, "rename") + renaming(FIRST, OTHER, FIRST) + SYNC)
    reply = await wire.read_until("Z")
    assert (shape(reply), reply[-1].body) == ("12C2C2CZ", b"I")
    found = {name for (name,) in rows(await wire.query("SELECT name FROM customers"))}
    assert found == NAMES - {b"customer %d" % FIRST, b"customer %d" % OTHER} | {b"renamed"}


async def test_a_batch_that_fails_at_another_shard_is_undone_where_it_began(wire: Wire) -> None:
    fails = parse(f"SELECT 1 / (id - {OTHER}) FROM customers WHERE id = {OTHER}") + bind() + execute()
    await wire.send(parse(NAME, "rename") + renaming(FIRST, OTHER) + fails + renaming(FIRST) + SYNC)
    reply = await wire.read_until("Z")
    assert (errors(reply), reply[-1].body) == (["22012"], b"I")
    assert {name for (name,) in rows(await wire.query("SELECT name FROM customers"))} == NAMES


async def test_a_batch_within_a_block_goes_on_at_another_shard(wire: Wire) -> None:
    assert shape(await wire.query("BEGIN")) == "CZ"
    await wire.send(parse(NAME, "rename") + renaming(FIRST, OTHER) + SYNC)
    reply = await wire.read_until("Z")
    assert (shape(reply), reply[-1].body) == ("12C2CZ", b"T")
    assert shape(await wire.query("ROLLBACK")) == "CZ"
    assert {name for (name,) in rows(await wire.query("SELECT name FROM customers"))} == NAMES


async def test_a_driver_runs_one_statement_with_many_values(proxy: Proxy, wire: Wire) -> None:
    connection = await asyncpg.connect(host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE)
    try:
        await connection.executemany(NAME, [(key, f"number {key}") for key in KEYS * 40])
        found = await connection.fetch("SELECT id, name FROM customers")
        assert {(row["id"], row["name"]) for row in found} == {(key, f"number {key}") for key in KEYS}
    finally:
        await connection.close()
