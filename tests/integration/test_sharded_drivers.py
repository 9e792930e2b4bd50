"""The clients that applications use, at a database with two shards: all that changes is that statements have keys."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.test_drivers import assert_all_done, run_tool

DATABASE = "driven"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
KEYS = (FIRST, OTHER, FIRST)
BENCH = """
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int, bid int, tbalance int, filler char(84), PRIMARY KEY (bid, tid));
CREATE TABLE pgbench_accounts (aid int, bid int, abalance int, filler char(84), PRIMARY KEY (bid, aid));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE accounts_by_aid (aid int PRIMARY KEY, abalance int);
CREATE TABLE customers (id int8 PRIMARY KEY, name text NOT NULL);
CREATE TABLE notes (id int, body text);
"""
TABLES = {
    **{f"pgbench_{name}": {"shard_by": "bid"} for name in ("branches", "tellers", "accounts", "history")},
    "accounts_by_aid": {"shard_by": "aid"},
    "customers": {"shard_by": "id"},
}
BRANCHES, TELLERS, ACCOUNTS = 8, 3, 9
TPCB = f"""
\\set bid random(1, {BRANCHES})
\\set tid random(1, {TELLERS})
\\set aid random(1, {ACCOUNTS})
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid AND bid = :bid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND bid = :bid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid AND bid = :bid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
"""
SELECT = "SELECT abalance FROM accounts_by_aid WHERE aid = :aid;\n"
SELECT_ONLY = f"\\set aid random(1, 40)\n{SELECT}"
PIPELINED = f"\\set aid random(1, 40)\n\\startpipeline\n{SELECT}{SELECT}\\endpipeline\n"  # one transaction: one key


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await create(postgres, DATABASE, BENCH, TABLES)
    started: Proxy = await start_proxy({"default_pool_size": 2}, databases={DATABASE: settings})
    for key in (FIRST, OTHER):
        await started.fetch(f"INSERT INTO customers VALUES ({key}, 'customer {key}')", database=DATABASE)
    return started


# --- psql and pgbench -------------------------------------------------------------------------------------------------


async def test_psql_describes_copies_and_selects(postgres: Postgres, proxy: Proxy) -> None:
    file = proxy.directory / "notes.csv"
    file.write_text("1,one\n2,two\n")
    script = [rf"\copy notes FROM '{file}' CSV", r"\d customers", r"\dt", r"\copy notes TO STDOUT"]
    script += [f"SELECT name FROM customers WHERE id = {key}" for key in KEYS]
    arguments = [part for line in script for part in ("-c", line)]
    options = ("-X", "-A", "-t", "-v", "ON_ERROR_STOP=1")
    printed = await run_tool(postgres, "psql", *options, *arguments, proxy.dsn(DATABASE))
    described = ("COPY 2", "id|bigint||not null|", "public|notes|table|postgres", "1\tone")
    for line in (*described, *(f"customer {key}" for key in KEYS)):
        assert line in printed.splitlines(), printed


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("select only", "simple"),
        ("select only", "extended"),
        ("select only", "prepared"),
        ("tpcb-like", "simple"),
        ("tpcb-like", "extended"),
        ("tpcb-like", "prepared"),
        ("pipelined", "extended"),
        ("pipelined", "prepared"),
    ],
)
async def test_pgbench_asks_each_shard(postgres: Postgres, proxy: Proxy, mode: str, name: str) -> None:
    connection = await proxy.connect(DATABASE)
    async with connection:
        for bid in range(1, BRANCHES + 1):
            await connection.execute("INSERT INTO pgbench_branches VALUES (%s, 0)", (bid,))
            await connection.execute("INSERT INTO pgbench_tellers SELECT t, %s, 0 FROM generate_series(1, 3) t", (bid,))
            await connection.execute(
                "INSERT INTO pgbench_accounts SELECT a, %s, 0 FROM generate_series(1, 9) a", (bid,)
            )
        for aid in range(1, 41):
            await connection.execute("INSERT INTO accounts_by_aid VALUES (%s, 0)", (aid,))
    script = proxy.directory / "script.sql"
    script.write_text({"select only": SELECT_ONLY, "tpcb-like": TPCB, "pipelined": PIPELINED}[name])
    output = await run_tool(
        postgres, "pgbench", "-n", "-M", mode, "-f", str(script), "-c", "6", "-j", "6", "-t", "20", proxy.dsn(DATABASE)
    )
    assert_all_done(output, 120)
    if name == "tpcb-like":
        assert await balances(postgres, "s0") > 0
        assert await balances(postgres, "s1") > 0


async def balances(postgres: Postgres, shard: str) -> int:
    """How much was done on a shard, where the sums of all tables agree."""
    tables = (("accounts", "abalance"), ("tellers", "tbalance"), ("branches", "bbalance"), ("history", "delta"))
    sums = [
        (await postgres.fetch(f"SELECT sum({column}) FROM pgbench_{table}", database=f"{DATABASE}_{shard}"))[0][0]
        for table, column in tables
    ]
    assert len(set(sums)) == 1, sums
    found = await postgres.fetch("SELECT count(*) FROM pgbench_history", database=f"{DATABASE}_{shard}")
    return int(found[0][0])


# --- psycopg ----------------------------------------------------------------------------------------------------------


async def in_thread(function: Any, *arguments: Any) -> None:
    """Run a client that blocks; what it raises is raised here."""
    await asyncio.wait_for(asyncio.to_thread(function, *arguments), 30)


@pytest.mark.parametrize("threshold", [0, None, 5])
async def test_psycopg_synchronously(proxy: Proxy, threshold: int | None) -> None:
    def work() -> None:
        with psycopg.connect(proxy.dsn(DATABASE), prepare_threshold=threshold) as connection:
            for key in KEYS * 5:
                assert connection.execute("SELECT name FROM customers WHERE id = %s", (key,)).fetchone() == (
                    f"customer {key}",
                )
                with connection.transaction():
                    connection.execute("UPDATE customers SET name = 'lost' WHERE id = %s", (key,))
                    raise_and_catch(connection)
                connection.rollback()
                assert connection.execute("SELECT count(*) FROM customers").fetchone() == (2,)
                connection.rollback()

    await in_thread(work)


def raise_and_catch(connection: psycopg.Connection[Any]) -> None:
    """A nested transaction, which is a savepoint, that fails."""
    with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
        connection.execute("SELECT 1/0")


async def test_psycopg_asynchronously_with_a_cursor_of_the_server(proxy: Proxy) -> None:
    connection = await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE))
    async with connection:
        for key in KEYS:
            async with connection.transaction(), connection.cursor("named") as cursor:
                await cursor.execute("SELECT n FROM customers, generate_series(1, 30) n WHERE id = %s", (key,))
                cursor.itersize = 7
                assert [n async for (n,) in cursor] == list(range(1, 31))


@pytest.mark.parametrize("autocommit", [True, False])
async def test_psycopg_in_pipelines(proxy: Proxy, autocommit: bool) -> None:
    """Each statement is a unit of its own with autocommit; without, all of a transaction concern one shard."""
    connection = await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE), autocommit=autocommit)
    async with connection:
        for number in range(4):
            key = KEYS[number % 2]
            async with connection.pipeline() as pipeline:
                cursors = []
                for _ in range(5):
                    cursors.append(await connection.execute("SELECT name FROM customers WHERE id = %s", (key,)))
                    if autocommit:
                        await pipeline.sync()
                assert [await cursor.fetchone() for cursor in cursors] == [(f"customer {key}",)] * 5
                if not autocommit:
                    await connection.commit()
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT count(*) FROM customers") for _ in range(3)]
            assert [await cursor.fetchone() for cursor in cursors] == [(2,)] * 3
        await connection.rollback()
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)


async def test_two_phases_need_the_shard_since_what_is_prepared_has_to_be_found_again(proxy: Proxy) -> None:
    def work() -> None:
        with psycopg.connect(proxy.dsn(DATABASE)) as connection:
            connection.tpc_begin("lost")
            connection.execute("UPDATE customers SET name = 'lost' WHERE id = %s", (OTHER,))
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.tpc_prepare()
            connection.close()
        for shard, key in (("s0", FIRST), ("s1", OTHER)):
            with psycopg.connect(proxy.dsn(DATABASE, options=f"-c trunkline.shard={shard}")) as connection:
                for name, end in (("kept", connection.tpc_commit), ("gone", connection.tpc_rollback)):
                    connection.tpc_begin(name)
                    connection.execute("UPDATE customers SET name = %s WHERE id = %s", (name, key))
                    connection.tpc_prepare()
                    end()
                    found = connection.execute("SELECT name FROM customers WHERE id = %s", (key,)).fetchone()
                    assert found == ("kept",)
                    connection.rollback()

    await in_thread(work)


# --- asyncpg and pg8000 -----------------------------------------------------------------------------------------------


async def test_asyncpg_with_transactions_cursors_and_many(proxy: Proxy) -> None:
    pool = await asyncpg.create_pool(
        host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, min_size=3, max_size=3
    )
    async with pool:

        async def work(key: int) -> None:
            async with pool.acquire() as connection, connection.transaction():
                assert await connection.fetchval("SELECT name FROM customers WHERE id = $1", key) == f"customer {key}"
                with pytest.raises(asyncpg.DivisionByZeroError):
                    async with connection.transaction():
                        await connection.execute("SELECT 1/0")
                sql = "SELECT n FROM customers, generate_series(1, 9) n WHERE id = $1"
                assert [row["n"] async for row in connection.cursor(sql, key, prefetch=2)] == list(range(1, 10))

        await asyncio.gather(*(work(key) for key in KEYS * 5))
        new = keys_of(1, 20)[5:]
        await pool.executemany("INSERT INTO customers VALUES ($1, $2)", [(key, "many") for key in new])
        for key in new:
            assert await pool.fetchval("SELECT name FROM customers WHERE id = $1", key) == "many"


@pytest.mark.parametrize("key", KEYS[:2])
async def test_asyncpg_asks_about_types_wherever_its_transaction_is(proxy: Proxy, key: int) -> None:
    connection = await asyncpg.connect(
        host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, statement_cache_size=0
    )
    try:
        for first in (True, False):
            async with connection.transaction():
                if not first:
                    await connection.execute("UPDATE customers SET name = name WHERE id = $1", key)
                sql = "SELECT array_agg(id) FROM customers WHERE id = ANY ($1)"
                assert await connection.fetchval(sql, [key]) == [key]
                assert await connection.fetchval("SELECT oid FROM pg_type WHERE typname = 'int8'") == 20
                both = "SELECT relname FROM customers, pg_class WHERE id = $1 AND relname = 'customers'"
                assert await connection.fetchval(both, key) == "customers"
            await connection.reload_schema_state()
    finally:
        await connection.close()


async def test_pg8000_begins_its_transactions_by_itself(proxy: Proxy) -> None:
    def work() -> None:
        connection = pg8000.dbapi.connect(USER, host=HOST, port=proxy.port, password=PASSWORD, database=DATABASE)
        try:
            cursor = connection.cursor()
            for key in KEYS:
                cursor.execute("UPDATE customers SET name = name || '!' WHERE id = %s", (key,))
                connection.rollback()
                cursor.execute("SELECT name FROM customers WHERE id = %s", (key,))
                assert list(cursor.fetchone()) == [f"customer {key}"]
                connection.commit()
        finally:
            connection.close()

    await in_thread(work)
