"""Keys that are looked up in a table of the home shard: what becomes of changes, and of keys that are not there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.sharded import SHARDS, create
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, execute, parse, query, rows

DATABASE = "shop"
SCHEMA = """
CREATE TABLE accounts (tenant int8 PRIMARY KEY, name text);
CREATE TABLE bills (tenant int4, id int8, PRIMARY KEY (tenant, id));
CREATE TABLE places (tenant int8 PRIMARY KEY, shard text NOT NULL);
CREATE TABLE lists (tenant int8, shard text);
CREATE TABLE loose (tenant int8, body text);
"""
PLACES = {"table": "places", "key": "tenant", "shard": "shard"}
TABLES = {
    "accounts": {"shard_by": "tenant", "method": "lookup", "lookup": PLACES},
    "bills": {"shard_by": "tenant", "colocated_with": "accounts"},
    "loose": {"shard_by": "tenant", "method": "lookup", "lookup": PLACES | {"table": "lists"}},
}
PAGE = (Path(__file__).parents[2] / "docs" / "sharding.md").read_text()
TRIGGER = next(block for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "trunkline_directory" in block)


@pytest.fixture
async def stem(postgres: Postgres) -> str:
    """What the databases' names begin with. They are made for the first test, and emptied for the others.

    Tenant 1 is on s0, tenant 2 on s1, and each shard has a row of every tenant that says which shard it is.
    """
    name = "directories"
    if not await postgres.fetch("SELECT FROM pg_database WHERE datname = %s", f"{name}_s1"):
        await create(postgres, name, SCHEMA, TABLES)
        for shard in SHARDS:
            fill = f"INSERT INTO accounts SELECT tenant, '{shard}' FROM generate_series(1, 30) AS tenant"
            await postgres.fetch(fill, database=f"{name}_{shard}")
    for shard in SHARDS:
        await postgres.fetch("TRUNCATE bills", database=f"{name}_{shard}")
    async with await postgres.connect(f"{name}_s0") as connection:
        await connection.execute(
            "DROP FUNCTION IF EXISTS trunkline_directory_changed CASCADE; TRUNCATE places, lists;"
            "INSERT INTO places VALUES (1, 's0'), (2, 's1')"
        )
    return name


@pytest.fixture
async def settings(postgres: Postgres, stem: str) -> dict[str, Any]:
    urls = [f"postgres://127.0.0.1:{postgres.port}/{stem}_{shard}" for shard in SHARDS]
    shards = [{"name": shard, "primary": url} for shard, url in zip(SHARDS, urls, strict=True)]
    return {"home": "s0", "shards": shards, "tables": TABLES}


@pytest.fixture
async def proxy(settings: dict[str, Any], start_proxy: ProxyFactory) -> Proxy:
    started: Proxy = await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 3}, databases={DATABASE: settings}
    )
    return started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        assert await shard_of(logged_in, 1) == "s0"
        yield logged_in


@pytest.fixture
async def home(postgres: Postgres, stem: str, wire: Wire) -> AsyncIterator[Any]:
    """A connection of the operator's own to the home shard."""
    async with await postgres.connect(f"{stem}_s0") as connection:
        yield connection


async def shard_of(wire: Wire, tenant: int) -> str:
    """Where its statements go; or the message of what they are refused with."""
    frames = await wire.query(f"SELECT name FROM accounts WHERE tenant = {tenant}")
    return text_of(rows(frames)) if not errors(frames) else messages(frames)[0]


def text_of(found: list[list[bytes | None]]) -> str:
    [[value]] = found
    assert value is not None
    return value.decode()


REFUSED = "no shard is said to have this key: the directory places does not have it"


# --- changes ----------------------------------------------------------------------------------------------------------


async def test_a_change_is_seen_by_the_trigger_of_the_page(wire: Wire, home: Any) -> None:
    await home.execute(TRIGGER)
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
    await wait_until(lambda: _is(wire, 1, "s1"))
    await home.execute("DELETE FROM places WHERE tenant = 1")
    await wait_until(lambda: _is(wire, 1, REFUSED))
    await home.execute("INSERT INTO places VALUES (1, 's0')")
    await wait_until(lambda: _is(wire, 1, "s0"))
    await home.execute("TRUNCATE places")
    await wait_until(lambda: _is(wire, 2, REFUSED))


async def _is(wire: Wire, tenant: int, expected: str) -> bool:
    return await shard_of(wire, tenant) == expected


@pytest.mark.parametrize("payload", ["public.places", ""])
async def test_a_notification_names_the_table_or_means_all(wire: Wire, home: Any, payload: str) -> None:
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
    await home.execute(f"NOTIFY trunkline_directory, '{payload}'")
    await wait_until(lambda: _is(wire, 1, "s1"))


async def test_another_tables_notification_has_nothing_read(proxy: Proxy, wire: Wire, home: Any) -> None:
    before = await readings(proxy)
    await home.execute("NOTIFY trunkline_directory, 'public.lists'")
    await wait_until(lambda: _has_read(proxy, "lists", before["lists"] + 1))
    assert (await readings(proxy))["places"] == before["places"]


async def readings(proxy: Proxy) -> dict[str, int]:
    return {row["directory"]: row["readings"] for row in await proxy.admin("SHOW DIRECTORIES")}


async def _has_read(proxy: Proxy, name: str, count: int) -> bool:
    return (await readings(proxy))[name] >= count


async def test_a_change_while_nobody_listened_is_seen_when_somebody_does_again(
    proxy: Proxy, wire: Wire, home: Any
) -> None:
    before = (await readings(proxy))["places"]
    [show] = [row for row in await proxy.admin("SHOW DIRECTORIES") if row["directory"] == "places"]
    async with home.transaction():
        await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
        await home.execute("SELECT pg_terminate_backend(%s, 5000)", [show["pid"]])
    await wait_until(lambda: _has_read(proxy, "places", before + 1))
    assert await shard_of(wire, 1) == "s1"
    await home.execute("UPDATE places SET shard = 's0' WHERE tenant = 1")
    await home.execute("NOTIFY trunkline_directory")
    await wait_until(lambda: _is(wire, 1, "s0"))


async def test_a_reload_reads_them_again(proxy: Proxy, wire: Wire, home: Any) -> None:
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
    await proxy.reload()
    await wait_until(lambda: _is(wire, 1, "s1"))


async def test_tables_of_one_group_have_one_directory(proxy: Proxy, wire: Wire, home: Any) -> None:
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
    await home.execute("NOTIFY trunkline_directory")
    await wait_until(lambda: _is(wire, 1, "s1"))
    joined = "SELECT a.name FROM accounts a LEFT JOIN bills b ON b.tenant = a.tenant WHERE a.tenant = 1 AND {}"
    for condition in ("(b.tenant = 1 OR b.tenant IS NULL)", "a.tenant IN (1)"):
        assert rows(await wire.query(joined.format(condition))) == [[b"s1"]]
    shown = [(row["directory"], row["tables"], row["entries"]) for row in await proxy.admin("SHOW DIRECTORIES")]
    assert shown == [("places", "accounts, bills", 2), ("lists", "loose", 0)]


async def test_a_tenant_is_moved_while_its_database_is_paused(
    postgres: Postgres, stem: str, proxy: Proxy, wire: Wire, home: Any
) -> None:
    """As the page says it: nothing is written to the old shard after the copy was made."""
    enough = asyncio.Event()
    writing = asyncio.create_task(_write(proxy, enough))
    await wait_until(lambda: _count(postgres, stem, "s0"))
    await proxy.admin("PAUSE shop")
    before = (await readings(proxy))["places"]
    moved = await postgres.fetch("DELETE FROM bills WHERE tenant = 1 RETURNING id", database=f"{stem}_s0")
    numbers = [number for (number,) in moved]
    await postgres.fetch("INSERT INTO bills SELECT 1, unnest(%s::int8[])", numbers, database=f"{stem}_s1")
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 1")
    await home.execute("NOTIFY trunkline_directory")
    await wait_until(lambda: _has_read(proxy, "places", before + 1))
    await proxy.admin("RESUME shop")
    await wait_until(lambda: _more_than(postgres, stem, "s1", len(moved)))
    enough.set()
    await writing
    assert await _count(postgres, stem, "s0") == 0


async def _write(proxy: Proxy, enough: asyncio.Event) -> None:
    async with session(proxy, database=DATABASE) as wire:
        number = 0
        while not enough.is_set():
            number += 1
            assert shape(await wire.query(f"INSERT INTO bills VALUES (1, {number})")) == "CZ"


async def _count(postgres: Postgres, stem: str, shard: str) -> int:
    [(count,)] = await postgres.fetch("SELECT count(*) FROM bills WHERE tenant = 1", database=f"{stem}_{shard}")
    return int(count)


async def _more_than(postgres: Postgres, stem: str, shard: str, count: int) -> bool:
    return await _count(postgres, stem, shard) > count


# --- keys that are not there ------------------------------------------------------------------------------------------


async def test_a_new_tenant_is_found_without_a_notification(wire: Wire) -> None:
    assert await shard_of(wire, 7) == REFUSED
    for tenant, shard in ((7, "s1"), (8, "s0")):
        assert shape(await wire.query(f"INSERT INTO places VALUES ({tenant}, '{shard}')")) == "CZ"
        assert await shard_of(wire, tenant) == shard


async def test_a_new_tenant_is_found_when_others_have_written_it(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places VALUES (7, 's1')")
    assert await shard_of(wire, 7) == "s1"


async def test_a_key_that_was_missing_is_asked_for_again_in_time(wire: Wire, home: Any) -> None:
    assert await shard_of(wire, 7) == REFUSED
    await home.execute("INSERT INTO places VALUES (7, 's1')")
    await wait_until(lambda: _is(wire, 7, "s1"))


async def test_a_new_tenant_is_found_at_bind(wire: Wire, home: Any) -> None:
    await wire.send(parse("SELECT name FROM accounts WHERE tenant = $1", "named") + SYNC)
    await wire.read_until("Z")
    for tenant, shard in ((7, "s1"), (8, "s0"), (9, "s1")):
        await home.execute("INSERT INTO places VALUES (%s, %s)", [tenant, shard])
        await wire.send(bind("named", [b"%d" % tenant]) + execute() + SYNC)
        assert text_of(rows(await wire.read_until("Z"))) == shard
    await wire.send(bind("named", [b"10"]) + execute() + SYNC)
    assert messages(await wire.read_until("Z")) == [REFUSED]


async def test_new_tenants_are_found_in_a_pipeline_in_order(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places SELECT n, 's' || n % 2 FROM generate_series(10, 29) AS n")
    await wire.send(b"".join(query(f"SELECT name FROM accounts WHERE tenant = {n}") for n in range(10, 30)))
    for n in range(10, 30):
        assert text_of(rows(await wire.read_until("Z"))) == f"s{n % 2}"


async def test_several_new_tenants_in_one_statement(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places VALUES (7, 's1'), (8, 's1'), (9, 's0')")
    assert rows(await wire.query("SELECT name FROM accounts WHERE tenant IN (7, 8)")) == [[b"s1"], [b"s1"]]
    found = rows(await wire.query("SELECT name FROM accounts WHERE tenant IN (7, 9)"))
    assert {name for (name,) in found} == {b"s0", b"s1"}
    assert messages(await wire.query("SELECT name FROM accounts WHERE tenant IN (7, 10)")) == [REFUSED]


async def test_a_new_tenant_is_found_in_a_transaction(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places VALUES (7, 's1'), (8, 's1'), (9, 's0')")
    await wire.query("BEGIN")
    assert await shard_of(wire, 7) == "s1"
    assert await shard_of(wire, 8) == "s1"
    assert await shard_of(wire, 9) == "s0"
    await wire.query("ROLLBACK")
    await wire.query("BEGIN")
    assert await shard_of(wire, 2) == "s1"
    frames = await wire.query("SELECT name FROM accounts WHERE tenant = 10")
    assert (messages(frames), frames[-1].body) == ([REFUSED], b"E")
    frames = await wire.query("ROLLBACK")
    assert (shape(frames), frames[-1].body) == ("CZ", b"I")


async def test_a_row_that_is_not_committed_is_not_there(wire: Wire) -> None:
    await wire.query("BEGIN")
    assert shape(await wire.query("INSERT INTO places VALUES (7, 's0')")) == "CZ"
    frames = await wire.query("INSERT INTO bills VALUES (7, 1)")
    assert (messages(frames), frames[-1].body) == ([REFUSED], b"E")
    await wire.query("ROLLBACK")


async def test_a_comment_and_a_setting_name_new_tenants_too(wire: Wire, home: Any) -> None:
    where = "SELECT name FROM accounts WHERE tenant IN (1, 2) ORDER BY 1"
    await home.execute("INSERT INTO places VALUES (7, 's1')")
    assert rows(await wire.query(f"/* trunkline: key=7 table=accounts */ {where}")) == [[b"s1"], [b"s1"]]
    await wire.query("SET trunkline.\"table\" = 'accounts'")
    await wire.query("SET trunkline.key = '8'")
    assert errors(await wire.query(where)) == ["0A000"]
    await wire.query("RESET trunkline.key")
    await home.execute("INSERT INTO places VALUES (9, 's0')")
    await wire.query("SET trunkline.key = '9'")
    assert rows(await wire.query(where)) == [[b"s0"], [b"s0"]]
    await home.execute("UPDATE places SET shard = 's1' WHERE tenant = 9")
    await home.execute("NOTIFY trunkline_directory")

    async def moved() -> bool:
        return rows(await wire.query(where)) == [[b"s1"], [b"s1"]]

    await wait_until(moved)


async def test_explain_asks_for_a_new_tenant_too(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places VALUES (7, 's1')")
    said = rows(await wire.query("EXPLAIN (ROUTE) SELECT name FROM accounts WHERE tenant = 7"))
    assert said[:2] == [[b"Route: single shard"], [b"  Shards: s1"]]


async def test_rows_that_do_not_name_one_shard_say_nothing(wire: Wire, home: Any) -> None:
    await home.execute("INSERT INTO places VALUES (7, 's9')")
    await home.execute("INSERT INTO lists VALUES (1, 's0'), (2, 's0'), (2, 's1'), (3, 's0'), (3, 's0'), (NULL, 's0')")
    for _ in range(2):
        assert "places does not name one shard" in await shard_of(wire, 7)
        refused = await wire.query("SELECT body FROM loose WHERE tenant = 2")
        assert "lists does not name one shard" in messages(refused)[0]
        for tenant in (1, 3):
            assert shape(await wire.query(f"SELECT body FROM loose WHERE tenant = {tenant}")) == "TCZ"
        await home.execute("NOTIFY trunkline_directory")


async def test_a_crowd_with_one_missing_key_asks_once(
    postgres: Postgres, stem: str, proxy: Proxy, wire: Wire, home: Any
) -> None:
    """While the directory is locked they all wait, for one question."""
    clients = [await proxy.connect(DATABASE) for _ in range(20)]
    async with await postgres.connect(f"{stem}_s0") as locking, locking.transaction():
        await locking.execute("INSERT INTO places VALUES (7, 's1')")
        await locking.execute("LOCK TABLE places")
        asking = [
            asyncio.create_task(client.execute("SELECT name FROM accounts WHERE tenant = 7")) for client in clients
        ]
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'places'::regclass"

        async def one_waits() -> bool:
            return len(await (await home.execute(waiting)).fetchall()) == 1

        await wait_until(one_waits)
    for one in asking:
        assert await (await one).fetchall() == [("s1",)]
    for client in clients:
        await client.close()


async def test_a_directory_that_is_locked_is_not_waited_for(wire: Wire) -> None:
    """Nobody would ever end it, if the client that waits is the one that holds the lock."""
    await wire.query("BEGIN")
    await wire.query("LOCK TABLE places")
    refused = messages(await wire.query("SELECT name FROM accounts WHERE tenant = 7"))
    assert refused == [
        "no shard is said to have this key: the directory could not be asked: canceling statement due to lock timeout"
    ]
    await wire.query("ROLLBACK")


async def test_a_client_can_cancel_and_leave_while_its_key_is_asked_for(
    postgres: Postgres, stem: str, proxy: Proxy, wire: Wire
) -> None:
    async with await postgres.connect(f"{stem}_s0") as locking, locking.transaction():
        await locking.execute("LOCK TABLE places")
        connections = [await proxy.connect(DATABASE) for _ in range(2)]
        asking = [asyncio.create_task(one.execute("SELECT name FROM accounts WHERE tenant = 7")) for one in connections]
        await wait_until(lambda: _has_waiters(postgres, stem))
        await connections[0].cancel_safe()
        await connections[1].close()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, Exception) for one in results)
    await connections[0].close()
    assert await shard_of(wire, 1) == "s0"


async def _has_waiters(postgres: Postgres, stem: str) -> bool:
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'places'::regclass"
    return bool(await postgres.fetch(waiting, database=f"{stem}_s0"))


async def test_drivers_find_new_tenants(proxy: Proxy, home: Any) -> None:
    connection = await asyncpg.connect(host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE)
    try:
        for tenant in range(10, 20):
            await home.execute("INSERT INTO places VALUES (%s, %s)", [tenant, f"s{tenant % 2}"])
            async with connection.transaction():
                await connection.execute("INSERT INTO bills VALUES ($1, 1)", tenant)
                assert await connection.fetchval("SELECT name FROM accounts WHERE tenant = $1", tenant) == (
                    f"s{tenant % 2}"
                )
    finally:
        await connection.close()


# --- types of keys ----------------------------------------------------------------------------------------------------

KEYS = {
    "int2": ("-32768", "7"),
    "int4": ("-5", "2147483647"),
    "text": ("it''s", "\\x", "Straße", ""),
    "varchar(40)": ("a b", "c"),
    "char(6)": ("ab", "abcdef"),
    "uuid": ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "00000000-0000-0000-0000-000000000000"),
    "bytea": ("\\x00ff27", ""),
    "bool": ("t", "f"),
    "numeric": ("1.50", "-12345678901234567890.123", "NaN"),
    "numeric(6,2)": ("1.5", "-3"),
    "date": ("2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31"),
    "timestamp": ("2024-02-29 23:59:59.999999", "1999-12-31 00:00:01", "infinity", "-infinity", "4713-01-01 BC"),
    "timestamptz": ("2024-02-29 23:59:59.999999+05:30", "1999-12-31 00:00:01+00", "infinity", "-infinity"),
}


@pytest.mark.every_postgres
async def test_keys_of_every_type_are_read_and_asked_for(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    schema, tables, keys = "", {}, []
    for number, (type, texts) in enumerate(KEYS.items()):
        schema += f"CREATE TABLE t{number} (k {type}); CREATE TABLE d{number} (k {type}, s text);"
        lookup = {"table": f"d{number}", "key": "k", "shard": "s"}
        tables[f"t{number}"] = {"shard_by": "k", "method": "lookup", "lookup": lookup}
        keys += [(number, type, text) for text in texts]
    settings = await create(postgres, "key_types", schema, tables)
    home = "key_types_s0"
    await postgres.fetch(f"ALTER DATABASE {home} SET datestyle = 'SQL, DMY'")
    await postgres.fetch(f"ALTER DATABASE {home} SET bytea_output = 'escape'")
    await postgres.fetch(f"ALTER DATABASE {home} SET timezone = 'Asia/Kathmandu'")
    proxy: Proxy = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as wire, await postgres.connect(home) as own:
        for number, type, text in keys:
            refused = await wire.query(f"SELECT * FROM t{number} WHERE k = '{text}'")
            assert [message[-16:] for message in messages(refused)] == ["does not have it"], (type, text)
            await own.execute(f"INSERT INTO d{number} VALUES ('{text}'::{type}, 's1')".encode())
        await own.execute("NOTIFY trunkline_directory")

        async def found(number: int, text: str) -> bool:
            return shape(await wire.query(f"SELECT * FROM t{number} WHERE k = '{text}'")) == "TCZ"

        for number, _, text in keys:
            await wait_until(lambda: found(number, text))  # noqa: B023
        await own.execute(b"".join(b"DELETE FROM d%d;" % number for number in range(len(KEYS))))
        await own.execute("NOTIFY trunkline_directory")
        for number, _, text in keys:
            await wait_until(lambda: _lost(wire, number, text))  # noqa: B023
        for number, type, text in keys:
            await own.execute(f"INSERT INTO d{number} VALUES ('{text}'::{type}, 's1')".encode())
        for number, _, text in keys:
            await wait_until(lambda: found(number, text))  # noqa: B023


async def _lost(wire: Wire, number: int, text: str) -> bool:
    return errors(await wire.query(f"SELECT * FROM t{number} WHERE k = '{text}'")) == ["0A000"]
