"""Locks, cursors, EXPLAIN and COPY of queries over two shards give what one PostgreSQL gives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER
from tests.integration.sharded import create, create_database, keys_of
from tests.integration.spread_pair import Pair
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, bind, describe, execute, parse, rows

DATABASE = "spread_reads"
TABLES = {
    "customers": {"shard_by": "id"},
    "orders": {"shard_by": "customer_id", "colocated_with": "customers"},
    "countries": {"reference": True},
}
A, B = keys_of(0, 20), keys_of(1, 20)
KEYS = sorted([*A, *B])
SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text, country text);
CREATE TABLE orders (customer_id int8, id int8, total numeric(10, 2), PRIMARY KEY (customer_id, id));
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France');
"""
_NAMES = ("plain", "two, words", 'a "quote"', "tab\tand\nlines", "back\\slash", "", "\\.", "x" * 40, "ä")
_made: set[int] = set()


def _fill() -> str:
    said = []
    for place, key in enumerate(KEYS):
        name = "NULL" if place % 7 == 6 else "'" + _NAMES[place % len(_NAMES)] + "'"
        said.append(f"({key}, {name}, '{'de' if place % 2 else 'fr'}')")
    orders = ", ".join(f"({key}, {number}, {key * number}.25)" for key in KEYS for number in range(3))
    return f"INSERT INTO customers VALUES {', '.join(said)}; INSERT INTO orders VALUES {orders}"


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    """The databases are made once: nothing here leaves anything in them."""
    config = {"pool_mode": "transaction", "default_pool_size": 3}
    shards = [
        {"name": shard, "primary": f"postgres://127.0.0.1:{postgres.port}/{DATABASE}_{shard}"} for shard in ("s0", "s1")
    ]
    settings = {"home": "s0", "shards": shards, "tables": TABLES}
    if postgres.port not in _made:
        await create(postgres, DATABASE, SCHEMA, TABLES)
        await create_database(postgres, f"{DATABASE}_whole", SCHEMA)
    proxy = await start_proxy(config, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as sharded, session(postgres, database=f"{DATABASE}_whole") as whole:
        if postgres.port not in _made:
            for wire in (sharded, whole):
                for sql in _fill().split("; "):
                    assert not errors(await wire.query(sql))
            _made.add(postgres.port)
        yield Pair(proxy, postgres, DATABASE, sharded, whole)


def data(reply: list[object]) -> bytes:
    return b"".join(one.body for one in reply if one.type == "d")  # type: ignore[attr-defined]


# --- COPY of a query ------------------------------------------------------------------------------------------------

QUERIES = (
    "SELECT id, name, country FROM customers ORDER BY id",
    "SELECT name FROM customers ORDER BY id DESC LIMIT 15",
    "SELECT country, count(*), sum(id) FROM customers GROUP BY country ORDER BY country",
    "SELECT c.id, o.total FROM customers c JOIN orders o ON o.id = c.id ORDER BY 1, 2",
)
OPTIONS = (
    "",
    " (FORMAT csv, HEADER)",
    " (FORMAT csv, FORCE_QUOTE *, DELIMITER ';', NULL 'none', QUOTE '|', ESCAPE '^')",
    " (DELIMITER 'a', NULL 'plain')",
    " (FORMAT binary)",
    " WITH CSV HEADER FORCE QUOTE name",
)


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_copy_of_a_query_is_one_servers(pair: Pair, options: str) -> None:
    for query in QUERIES:
        seen, wanted = [await wire.query(f"COPY ({query}) TO STDOUT{options}") for wire in (pair.sharded, pair.whole)]
        assert data(seen) == data(wanted), query
        assert errors(seen) == errors(wanted)
        for kind in "HcC":
            assert [one.body for one in seen if one.type == kind] == [one.body for one in wanted if one.type == kind]


async def test_a_copy_of_rows_in_no_order_has_all_of_them(pair: Pair) -> None:
    for options in ("", " (FORMAT csv, HEADER)"):
        sql = f"COPY (SELECT id, name FROM customers WHERE id > 3 /* ) */ -- all\n) TO STDOUT{options}"
        seen, wanted = [data(await wire.query(sql)) for wire in (pair.sharded, pair.whole)]
        assert sorted(seen) == sorted(wanted)
    await pair.both("COPY (SELECT id FROM customers ORDER BY id) TO STDOUT (FORMAT nothing)")
    await pair.both("COPY (SELECT nothing FROM customers) TO STDOUT")


# --- locks ----------------------------------------------------------------------------------------------------------


async def test_rows_are_locked_until_the_end_of_the_block(pair: Pair) -> None:
    await pair.both("BEGIN")
    await pair.both("SELECT id, name FROM customers WHERE country = 'de' ORDER BY id FOR UPDATE")
    await pair.both("SELECT o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.id = 1"
                    " ORDER BY o.total DESC FOR NO KEY UPDATE OF o")  # fmt: skip
    async with session(pair.proxy, database=DATABASE) as other:
        locked = "SELECT id FROM customers WHERE country = 'de' ORDER BY id FOR SHARE"
        assert errors(await other.query(f"{locked} NOWAIT")) == ["55P03"]
        assert rows(await other.query(f"{locked} SKIP LOCKED")) == []
        free = await other.query("SELECT id FROM customers ORDER BY id FOR KEY SHARE SKIP LOCKED")
        assert [int(one or b"") for (one,) in rows(free)] == [key for at, key in enumerate(KEYS) if at % 2 == 0]
        await pair.both("COMMIT")
        assert len(rows(await other.query(f"{locked} NOWAIT"))) == 20


async def test_what_would_lock_too_much_is_refused(pair: Pair) -> None:
    for sql in (
        "SELECT c.id FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY c.id LIMIT 3 FOR UPDATE",
        "SELECT c.id FROM customers c JOIN countries k ON k.code = c.country FOR UPDATE",
        "SELECT count(*) FROM (SELECT id FROM customers FOR UPDATE) q",
    ):
        assert errors(await pair.sharded.query(sql)) == ["0A000"], sql
    await pair.both("SELECT c.id FROM customers c JOIN countries k ON k.code = c.country ORDER BY 1 FOR UPDATE OF c")
    await pair.both("SELECT id FROM customers WHERE id > $1 ORDER BY id FOR UPDATE", [b"10"])
    await pair.both("SELECT id FROM customers ORDER BY id LIMIT 3 FOR UPDATE")


async def test_who_waits_for_several_shards_is_shown(pair: Pair) -> None:
    lock = "SELECT id FROM customers WHERE name = 'plain' FOR UPDATE"
    await pair.both("BEGIN")
    await pair.both(lock, in_order=False)
    async with session(pair.proxy, database=DATABASE) as other:
        await other.send_query(lock)

        (row,) = await wait_until(lambda: pair.proxy.admin("SHOW QUERIES"))
        assert [row[name] for name in ("database", "user", "shards")] == [DATABASE, USER, "s0,s1"]
        assert (row["state"], row["statement"]) == ("scatter", lock.lower().replace("'plain'", "?"))
        await pair.both("COMMIT")
        assert shape(await other.read_until("Z")).endswith("CZ")
    assert await pair.proxy.admin("SHOW QUERIES") == []


# --- EXPLAIN --------------------------------------------------------------------------------------------------------


async def explained(pair: Pair, sql: str) -> list[str]:
    reply = await pair.sharded.query(sql)
    assert not errors(reply), reply
    assert reply[-2].body == b"EXPLAIN\0"
    return [(one or b"").decode() for (one,) in rows(reply)]


async def test_plans_stand_under_the_names_of_their_shards(pair: Pair) -> None:
    lines = await explained(pair, "EXPLAIN (COSTS OFF) SELECT id FROM customers WHERE country = 'de' ORDER BY id")
    assert lines[0] == "Several Shards"
    assert [line for line in lines if "Shard " in line] == ["  ->  Shard s0", "  ->  Shard s1"]
    assert sum("Sort" in line and "->" in line for line in lines) == 2
    join = "SELECT c.id FROM customers c JOIN orders o ON o.id = c.id"
    gathered = await explained(pair, f"EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) {join}")
    assert sum("->  Shard" in line for line in gathered) == 1
    assert any("actual rows" in line for line in gathered)


async def test_each_format_is_read_as_what_it_is(pair: Pair) -> None:
    sql = "SELECT count(*) FROM customers"
    (plans,) = await explained(pair, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
    assert [(one["Shard"], "Plan" in one, "Execution Time" in one) for one in json.loads(plans)] == [
        ("s0", True, True), ("s1", True, True)]  # fmt: skip
    (xml,) = await explained(pair, f"EXPLAIN (FORMAT XML) {sql}")
    assert xml.count("<Query>") == xml.count("<Shard>") == xml.count("</Query>") == 2
    (yaml,) = await explained(pair, f"EXPLAIN (FORMAT YAML) {sql}")
    assert [line for line in yaml.splitlines() if line.startswith("-")] == ['- Shard: "s0"', '- Shard: "s1"']


async def test_a_write_is_explained_and_done_once(pair: Pair) -> None:
    await pair.both("BEGIN")
    lines = await explained(pair, "EXPLAIN ANALYZE UPDATE orders SET total = total + 1 WHERE id = 1")
    assert sum("Update on orders" in line for line in lines) == 2
    await pair.whole.query("UPDATE orders SET total = total + 1 WHERE id = 1")
    await pair.both("SELECT sum(total) FROM orders")
    await explained(pair, "EXPLAIN UPDATE orders SET total = total + 1 WHERE id = 1")
    await pair.both("SELECT sum(total) FROM orders")
    await pair.both("ROLLBACK")
    await pair.both("SELECT sum(total) FROM orders")


async def test_a_statement_with_parameters_is_explained(pair: Pair) -> None:
    sql = "EXPLAIN (COSTS OFF) SELECT id FROM customers WHERE name = $1 ORDER BY id LIMIT $2"
    await pair.sharded.send(parse(sql) + bind(values=[b"plain", b"3"]) + describe("P") + execute() + SYNC)
    reply = await pair.sharded.read_until("Z")
    assert not errors(reply)
    assert sum(b"Limit" in (one or b"") for (one,) in rows(reply)) == 2


# --- cursors --------------------------------------------------------------------------------------------------------

CURSORS = (
    "SELECT id, name FROM customers ORDER BY id",
    "SELECT id, name FROM customers ORDER BY id OFFSET 3 LIMIT 30",
    "SELECT country, count(*) FROM customers GROUP BY country ORDER BY country",
    "SELECT c.id, o.total FROM customers c JOIN orders o ON o.id = c.id ORDER BY 1, 2",
)


@pytest.mark.parametrize("query", CURSORS)
async def test_a_cursor_goes_forward(pair: Pair, query: str) -> None:
    await pair.both("BEGIN")
    await pair.both(f'DECLARE "C x" NO SCROLL CURSOR FOR {query}')
    for step in ("1", "NEXT", "FORWARD 2", "RELATIVE 2", "ABSOLUTE 12", "FORWARD ALL", "1", "PRIOR"):
        reply = await pair.both(f'{"MOVE" if step == "RELATIVE 2" else "FETCH"} {step} FROM "C x"')
        if errors(reply):
            break
    await pair.both("ROLLBACK")
    await pair.both("BEGIN")
    await pair.both(f'DECLARE "C x" NO SCROLL CURSOR FOR {query}')
    await pair.both('FETCH 3 FROM "C x"')
    await pair.both("UPDATE customers SET name = 'changed'")
    await pair.both('FETCH ALL FROM "C x"')
    await pair.both('FETCH ALL FROM "C x"')
    await pair.both('CLOSE "C x"')
    await pair.both("ROLLBACK")


@pytest.mark.parametrize("query", [CURSORS[0], CURSORS[3]])
async def test_a_cursor_scrolls(pair: Pair, query: str) -> None:
    await pair.both("BEGIN")
    await pair.both(f"DECLARE c SCROLL CURSOR FOR {query}")
    for step in ("FETCH 3", "FETCH PRIOR", "FETCH BACKWARD ALL", "FETCH PRIOR", "FETCH LAST", "FETCH NEXT",
                 "FETCH PRIOR", "FETCH ABSOLUTE -3", "FETCH RELATIVE -2", "FETCH FIRST", "FETCH 0", "MOVE ALL",
                 "FETCH BACKWARD 4", "MOVE ABSOLUTE 5", "FETCH FORWARD 2", "FETCH BACKWARD -2", "FETCH ABSOLUTE 0",
                 "FETCH ABSOLUTE 1000", "FETCH BACKWARD 1"):  # fmt: skip
        await pair.both(f"{step} FROM c")
    await pair.both("COMMIT")
    await pair.both("BEGIN")
    await pair.both("FETCH 1 FROM c")
    await pair.both("ROLLBACK")


async def test_a_cursor_with_hold_outlives_its_transaction(pair: Pair) -> None:
    await pair.both(f"DECLARE c NO SCROLL CURSOR WITH HOLD FOR {CURSORS[0]}")
    await pair.both("FETCH FORWARD 5 FROM c")
    await pair.both(f"SELECT name FROM customers WHERE id = {KEYS[0]}")
    await pair.both("BEGIN")
    await pair.both(f"SELECT name FROM customers WHERE id = {KEYS[1]}")
    await pair.both("FETCH NEXT FROM c")
    await pair.both("ROLLBACK")
    for given in (None, []):
        await pair.both("BEGIN")
        await pair.both(f"DECLARE c CURSOR FOR SELECT name FROM customers WHERE id = {B[0]}", given)
        await pair.both("ROLLBACK")
    await pair.both("FETCH PRIOR FROM c")
    await pair.both("FETCH ALL FROM c", [])
    await pair.both("CLOSE c")
    await pair.both("FETCH ALL FROM c")
    await pair.both("BEGIN")
    await pair.both(f"DECLARE c CURSOR WITH HOLD FOR {CURSORS[3]}")
    await pair.both("ROLLBACK")
    await pair.both("FETCH ALL FROM c")
    await pair.both(f"DECLARE c CURSOR WITH HOLD FOR {CURSORS[3]}")
    await pair.both("DISCARD ALL")
    await pair.both("FETCH ALL FROM c")


async def test_a_savepoint_takes_the_cursors_behind_it(pair: Pair) -> None:
    await pair.both("BEGIN")
    await pair.both(f"DECLARE a CURSOR FOR {CURSORS[0]}")
    await pair.both("SAVEPOINT one")
    await pair.both(f"DECLARE b CURSOR FOR {CURSORS[3]}")
    await pair.both("FETCH 2 FROM a")
    await pair.both("FETCH 2 FROM b")
    await pair.both("ROLLBACK TO one")
    await pair.both("FETCH 2 FROM a")
    await pair.both("FETCH 2 FROM b")
    await pair.both("ROLLBACK TO one")
    await pair.both("FETCH 2 FROM a")
    await pair.both(f"DECLARE b CURSOR FOR {CURSORS[3]}")
    await pair.both("RELEASE one")
    await pair.both("FETCH 2 FROM b")
    await pair.both(f"DECLARE b CURSOR FOR {CURSORS[0]}")
    await pair.both("COMMIT")


async def test_rows_that_are_kept_are_not_given_in_the_forms_of_other_settings(pair: Pair) -> None:
    await pair.both("BEGIN")
    await pair.both(f"DECLARE c SCROLL CURSOR FOR {CURSORS[3]}")
    await pair.both("SET LOCAL extra_float_digits = 0")
    assert errors(await pair.sharded.query("FETCH 1 FROM c")) == ["0A000"]
    for wire in (pair.sharded, pair.whole):
        await wire.query("ROLLBACK")


async def test_a_cursor_is_declared_in_a_block(pair: Pair) -> None:
    await pair.both(f"DECLARE c CURSOR FOR {CURSORS[0]}")
    await pair.both("BEGIN")
    await pair.both(f"DECLARE one CURSOR FOR SELECT name FROM customers WHERE id = {B[0]}")
    await pair.both(f"DECLARE c CURSOR FOR {CURSORS[0]}")
    await pair.both(f"DECLARE two CURSOR FOR SELECT name FROM customers WHERE id = {B[1]}")
    await pair.both("FETCH 2 FROM two")
    await pair.both("FETCH 2 FROM one")
    await pair.both("FETCH 2 FROM c", [])
    await pair.both("CLOSE ALL")
    await pair.both("FETCH 2 FROM c")
    await pair.both("ROLLBACK")


async def test_drivers_read_by_cursors(pair: Pair) -> None:
    found: list[list[tuple[object, ...]]] = []
    for port, database in ((pair.proxy.port, DATABASE), (pair.postgres.port, f"{DATABASE}_whole")):
        url = f"host={HOST} port={port} user={USER} password='{PASSWORD}' dbname={database}"
        seen: list[tuple[object, ...]] = []
        async with await psycopg.AsyncConnection.connect(url) as connection:
            for binary in (False, True):
                async with connection.cursor("named", binary=binary) as cursor:
                    cursor.itersize = 7
                    await cursor.execute("SELECT id, name FROM customers WHERE id > %s ORDER BY id", (KEYS[2],))
                    async for row in cursor:
                        seen.append(row)
                        if len(seen) % 5 == 0:
                            await connection.execute("SELECT count(*) FROM orders")
            async with connection.cursor("scrolls", scrollable=True) as cursor:
                await cursor.execute("SELECT id FROM customers ORDER BY id")
                await cursor.scroll(5)
                seen += await cursor.fetchmany(3)
                await cursor.scroll(1, mode="absolute")
                seen += await cursor.fetchall()
        async with (
            await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
            connection.cursor("held", withhold=True) as cursor,
        ):
            await cursor.execute("SELECT id, name FROM customers ORDER BY id")
            seen += await cursor.fetchmany(4)
            await connection.execute("SELECT count(*) FROM customers")
            seen += await cursor.fetchall()
        found.append(seen)
    assert found[0] == found[1]


# --- snapshots ------------------------------------------------------------------------------------------------------


async def test_a_description_takes_no_snapshot_of_one_shard(pair: Pair) -> None:
    for begin in ("BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN"):
        for wire in (pair.sharded, pair.whole):
            await wire.query(begin)
            await wire.send(parse("SELECT count(*) FROM customers WHERE id > $1") + describe("S") + b"H\0\0\0\4")
            await wire.read_until("T")
            await wire.send(bind(values=[b"0"]) + execute() + SYNC)
            assert shape(await wire.read_until("Z")) == "2DCZ"
            await wire.query("COMMIT")
