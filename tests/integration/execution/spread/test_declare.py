"""Tables that are declared while Trunkline runs: moved, made on every shard, and known at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS, create_database
from tests.integration.transcript import errors, messages, session
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, describe, execute, parse

DATABASE = "declared_tables"
EVERYWHERE = """
CREATE TABLE filed (id int8 PRIMARY KEY, body text);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FUNCTION loudly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
"""
SCHEMA = """
CREATE SCHEMA sales;
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE customers (
    id int8 PRIMARY KEY, name text COLLATE "C" DEFAULT 'no''body', country text REFERENCES countries,
    feeling mood DEFAULT 'ok', seen timestamptz[] DEFAULT '{}', CHECK (id <> 13));
CREATE TABLE sales.orders (
    customer_id int8 NOT NULL, id int4 GENERATED ALWAYS AS IDENTITY, total numeric(10, 2) NOT NULL, note text,
    twice numeric GENERATED ALWAYS AS (total * 2) STORED, PRIMARY KEY (customer_id, id));
CREATE INDEX "by Total" ON sales.orders (total DESC) INCLUDE (note) WHERE total > 1;
COMMENT ON TABLE sales.orders IS 'what''s sold';
ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON sales.orders FOR SELECT TO PUBLIC USING (note <> 'hidden');
CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION loudly();
CREATE TRIGGER quiet BEFORE INSERT ON sales.orders FOR EACH ROW EXECUTE FUNCTION loudly();
ALTER TABLE sales.orders DISABLE TRIGGER quiet;
GRANT SELECT ON sales.orders TO PUBLIC;
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'Fran''ce\\');
INSERT INTO customers SELECT i, 'n' || i, CASE WHEN i % 3 = 0 THEN 'de' END FROM generate_series(20, 220) i;
INSERT INTO sales.orders (customer_id, total, note)
    SELECT i % 200 + 20, i, E'a\\tb\\\\n' FROM generate_series(1, 500) i;
CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL);
INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 20) i;
"""
ORDERS = "SELECT count(*), sum(total), sum(twice), min(note), max(note), sum(id) FROM sales.orders"


@pytest.fixture
async def settings(postgres: Postgres) -> dict[str, Any]:
    """Two shards, of which the second lacks the tables."""
    shards = []
    for shard in SHARDS:
        await create_database(postgres, f"{DATABASE}_{shard}", EVERYWHERE + (SCHEMA if shard == "s0" else ""))
        shards.append({"name": shard, "primary": f"postgres://127.0.0.1:{postgres.port}/{DATABASE}_{shard}"})
    return {"home": "s0", "shards": shards, "tables": {"filed": {"shard_by": "id"}}}


@pytest.fixture
async def proxy(start_proxy: ProxyFactory, settings: dict[str, Any]) -> Proxy:
    started: Proxy = await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 4, "gather_max_bytes": "32kB"}, databases={DATABASE: settings}
    )
    return started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as opened:
        yield opened


async def done(wire: Wire, sql: str) -> list[bytes]:
    """The bodies of the rows."""
    reply = await wire.query(sql)
    assert not errors(reply), (sql, messages(reply))
    return [frame.body for frame in reply if frame.type == "D"]


async def on_shards(postgres: Postgres, sql: str) -> list[Any]:
    return [(await postgres.fetch(sql, database=f"{DATABASE}_{shard}")) for shard in SHARDS]


async def drift(proxy: Proxy) -> list[tuple[str, str]]:
    return [(row["name"], row["difference"]) for row in await proxy.admin("SHOW DRIFT") if row["kind"] != "function"]


async def test_tables_with_rows_go_to_every_shard_and_come_home(proxy: Proxy, postgres: Postgres, wire: Wire) -> None:
    before = await done(wire, ORDERS)
    await done(wire, "SELECT create_reference_table('countries')")
    await done(wire, "SELECT create_distributed_table('customers', 'id', colocate_with => 'none')")
    await wire.send(
        parse("SELECT create_distributed_table($1, $2, colocate_with => $3) AS done")
        + bind(values=[b"sales.orders", b"customer_id", b"customers"]) + describe("P") + execute() + SYNC
    )  # fmt: skip
    reply = await wire.read_until("Z")
    assert not errors(reply), messages(reply)
    assert [frame.type for frame in reply] == list("12TDCZ")
    assert await done(wire, ORDERS) == before
    assert await done(wire, "SELECT sum(id), count(feeling), min(country) FROM customers") == await done(
        wire, "SELECT sum(i), count(*), 'de'::text FROM generate_series(20, 220) i"
    )
    counts = await on_shards(postgres, "SELECT count(*) FROM sales.orders")
    assert sum(found[0][0] for found in counts) == 500
    assert all(found[0][0] > 100 for found in counts)
    assert await on_shards(postgres, "SELECT name FROM countries ORDER BY 1") == [[("Fran'ce\\",), ("Germany",)]] * 2
    for sql in (
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'orders' ORDER BY 1",
        "SELECT pg_get_constraintdef(oid), conname FROM pg_constraint WHERE conrelid::regclass::text IN"
        " ('sales.orders', 'customers', 'countries') ORDER BY 2",
        "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT obj_description('sales.orders'::regclass), relacl::text, relrowsecurity FROM pg_class"
        " WHERE oid = 'sales.orders'::regclass",
        "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy",
    ):
        home, other = await on_shards(postgres, sql)
        assert home == other, sql
    found = [(row["table"], row["kind"], row["group"]) for row in await proxy.admin("SHOW TABLES")]
    assert ("public.countries", "reference", "") in found
    assert ("sales.orders", "sharded", "public.customers") in found
    assert await drift(proxy) == []
    joined = "FROM customers c JOIN sales.orders o ON o.customer_id = c.id"
    assert (
        await done(wire, f"SELECT count(*), sum(total), sum(twice), min(note), max(note), sum(o.id) {joined}") == before
    )
    assert errors(await wire.query("INSERT INTO sales.orders (customer_id, total) VALUES (1000, 1)")) == []
    for table in ("sales.orders", "customers", "countries"):
        await done(wire, f"SELECT undistribute_table('{table}')")
    await done(wire, "DELETE FROM sales.orders WHERE customer_id = 1000")
    assert await done(wire, ORDERS) == before
    assert (await on_shards(postgres, "SELECT to_regclass('sales.orders')::text"))[1] == [(None,)]


async def test_what_cannot_be_is_refused_and_leaves_nothing(wire: Wire, postgres: Postgres) -> None:
    await done(wire, "CREATE VIEW seen AS SELECT * FROM accounts")
    await done(wire, "CREATE TABLE mails (id int8, mail text UNIQUE, owner int8 REFERENCES accounts, raw float8)")
    await done(wire, "CREATE TABLE parts (id int8) PARTITION BY RANGE (id)")
    await done(wire, "CREATE TABLE wide (id int8 PRIMARY KEY, body text)")
    await done(wire, "INSERT INTO wide SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i")
    for sql, code in (
        ("SELECT create_distributed_table('nothing', 'id')", "42P01"),
        ("SELECT create_distributed_table('wide', 'nothing')", "42703"),
        ("SELECT create_distributed_table('wide')", "42883"),
        ("SELECT create_distributed_table('wide', 'id', 'append')", "0A000"),
        ("SELECT create_distributed_table('wide', 'id', shard_count := 4)", "0A000"),
        ("SELECT create_distributed_table('wide', 'id', colocate_with => 'accounts')", "55000"),
        ("SELECT create_distributed_table('wide', 'id'), 1", "0A000"),
        ("SELECT create_distributed_table('wide', 'id')", "53200"),
        ("SELECT create_distributed_table('mails', 'raw')", "0A000"),
        ("SELECT create_distributed_table('mails', 'id')", "0A000"),
        ("SELECT create_distributed_table('accounts', 'id')", "2BP01"),
        ("SELECT create_distributed_table('parts', 'id')", "0A000"),
        ("SELECT create_distributed_table('filed', 'id')", "55000"),
        ("SELECT undistribute_table('filed')", "55000"),
        ("SELECT undistribute_table('wide')", "55000"),
    ):
        reply = await wire.query(sql)
        assert errors(reply) == [code], (sql, messages(reply))
    await postgres.fetch("CREATE TABLE wide ()", database=f"{DATABASE}_s1")
    await done(wire, "DELETE FROM wide WHERE id > 10")
    assert errors(await wire.query("SELECT create_distributed_table('wide', 'id')")) == ["42P07"]
    assert await done(wire, "SELECT count(*) FROM wide") == [b"\0\1\0\0\0\00210"]
    assert await postgres.fetch("SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'trunkline%'") == []


async def test_nobody_is_answered_by_the_old_placement(proxy: Proxy, postgres: Postgres) -> None:
    """Transfers and sums while a table goes to all shards and comes home, again and again."""
    over = asyncio.Event()
    sums: list[int] = []

    async def transfer(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE), autocommit=True) as client:
            place = number
            while not over.is_set():
                place = (place + 7) % 20
                async with client.transaction():
                    for key, by in sorted([(place + 1, -1), ((place + number) % 20 + 1, 1)]):
                        await client.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (by, key))

    async def look() -> None:
        async with await psycopg.AsyncConnection.connect(proxy.dsn(DATABASE), autocommit=True) as client:
            while not over.is_set():
                found = await (await client.execute("SELECT sum(balance)::int8 FROM accounts")).fetchone()
                assert found is not None
                sums.append(found[0])

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for work in (transfer(3), transfer(11), look(), look()):
            group.create_task(work)
        for sql in (
            "SELECT create_distributed_table('accounts', 'id')", "SELECT undistribute_table('accounts')",
            "SELECT create_reference_table('accounts')", "SELECT undistribute_table('accounts')",
        ):  # fmt: skip
            await proxy.fetch(sql, database=DATABASE)
            seen = len(sums)
            await wait_until(lambda seen=seen: len(sums) > seen + 5)
        over.set()
    assert set(sums) == {2000}
    assert await on_shards(postgres, "SELECT to_regclass('accounts')::text") == [[("accounts",)], [(None,)]]
    assert await postgres.fetch("SELECT sum(balance)::int8 FROM accounts", database=f"{DATABASE}_s0") == [(2000,)]


async def test_a_declaration_ends_with_its_table(proxy: Proxy, postgres: Postgres, wire: Wire) -> None:
    await done(wire, "CREATE TABLE passing (id int8 PRIMARY KEY)")
    for create in ("create_distributed_table('passing', 'id')", "create_reference_table('passing')"):
        await done(wire, f"SELECT {create}")
        assert errors(await wire.query("CREATE TABLE passing (id int8)")) == ["42P07"]
        await done(wire, "BEGIN")
        await done(wire, "DROP TABLE passing")
        await done(wire, "ROLLBACK")
        await done(wire, "INSERT INTO passing SELECT generate_series(1, 50)")
        assert await done(wire, "SELECT count(*) FROM passing") == [b"\0\1\0\0\0\00250"]
        await done(wire, "BEGIN")
        await done(wire, "DROP TABLE passing")
        await done(wire, "CREATE TABLE passing (id int8 PRIMARY KEY)")
        await done(wire, "COMMIT")
        await done(wire, "INSERT INTO passing SELECT generate_series(1, 40)")
        assert await done(wire, "SELECT count(*) FROM passing") == [b"\0\1\0\0\0\00240"]
        assert await on_shards(postgres, "SELECT to_regclass('passing')::text") == [[("passing",)], [(None,)]]
        await done(wire, "DELETE FROM passing")
    await done(wire, "SELECT create_distributed_table('passing', 'id')")
    assert await postgres.fetch("SELECT count(*) FROM trunkline.tables", database=f"{DATABASE}_s0") == [(1,)]


async def test_what_a_declared_table_is_known_by_is_not_renamed(wire: Wire) -> None:
    await done(wire, "SELECT create_distributed_table('accounts', 'id')")
    for sql in (
        "ALTER TABLE accounts RENAME TO others",
        "ALTER TABLE accounts SET SCHEMA sales",
        "ALTER TABLE accounts RENAME COLUMN id TO number",
        "ALTER TABLE accounts RENAME id TO number",
    ):
        assert errors(await wire.query(sql)) == ["0A000"], sql
    await done(wire, "ALTER TABLE accounts RENAME COLUMN balance TO amount")
    assert await done(wire, "SELECT sum(amount)::int8 FROM accounts") == [b"\0\1\0\0\0\0042000"]


async def test_a_flush_before_the_call_runs_is_no_error(wire: Wire) -> None:
    await wire.send(parse("SELECT create_reference_table($1)") + bind(values=[b"countries"]) + FLUSH)
    assert [frame.type for frame in await wire.read_until("2")] == ["1", "2"]
    await wire.send(describe("P") + execute() + SYNC)
    reply = await wire.read_until("Z")
    assert not errors(reply), messages(reply)
    assert [frame.type for frame in reply] == list("TDCZ")
