"""What begins after DDL is decided by the schema that the DDL made: any client's statement, from its answer on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, execute, parse, query, rows

DATABASE = "defined"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
CLIENTS, ROUNDS = 6, 6
BY_KEY = "SELECT id AS k, name FROM customers"
BY_LENGTH = f"SELECT length(name) + {OTHER - 1}::int8 AS k, name FROM customers"  # of names of one letter: any row's
OF_BOTH = [[b"a"], [b"b"]]
ASKED = f"SELECT name FROM seen WHERE k = {OTHER}"


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await create(postgres, DATABASE)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 3}, databases={DATABASE: settings})


@pytest.fixture
async def wire(proxy: Proxy, postgres: Postgres) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        for key, name in ((FIRST, "a"), (OTHER, "b")):
            assert shape(await logged_in.query(f"INSERT INTO customers VALUES ({key}, '{name}')")) == "CZ"
        yield logged_in
    sql = "SELECT gid, database FROM pg_prepared_xacts WHERE database LIKE %s"
    for name, database in await postgres.fetch(sql, f"{DATABASE}_s_"):  # with one, a database cannot be dropped
        await postgres.fetch(f"ROLLBACK PREPARED '{name}'", database=database)


async def define(wire: Wire, *texts: str) -> None:
    """On the home shard last, whose schema decides."""
    for shard in ("s1", "s0"):
        for text in texts:
            assert errors(await wire.query(f"/* trunkline: shard={shard} */ {text}")) == []


def view(definition: str) -> str:
    return f"CREATE OR REPLACE VIEW seen AS {definition}"


async def ask(wire: Wire, *asked: bytes) -> list[Frame]:
    await wire.send(*asked)
    return await wire.read_until("Z")


def forms(sql: str) -> list[bytes]:
    """Over both protocols."""
    return [query(sql), parse(sql) + bind() + execute() + SYNC]


async def test_a_view_that_means_something_else_is_never_read_by_what_it_meant(proxy: Proxy, wire: Wire) -> None:
    """Its key was a column; then it is any row's, so that no shard alone has the answer."""
    defined, done = BY_KEY, False
    since = 0  # how often it has been defined
    await define(wire, view(BY_KEY))
    wrong: list[tuple[int, object]] = []

    async def read_all_the_time() -> None:
        async with session(proxy, database=DATABASE) as other:
            await ask(other, parse(ASKED.replace(str(OTHER), "$1"), "named"), SYNC)
            prepared = bind("named", [b"%d" % OTHER]) + execute() + SYNC
            while not done:
                for asked in (query(ASKED), parse(ASKED) + bind() + execute() + SYNC, prepared):
                    before, meant = since, defined
                    frames = await ask(other, asked)
                    if before != since or before % 2:
                        continue  # it was defined anew meanwhile, or is so on one of the shards only
                    found = errors(frames) or sorted(rows(frames))
                    if found != ([[b"b"]] if meant == BY_KEY else OF_BOTH):
                        wrong.append((before, found))

    readers = [asyncio.ensure_future(read_all_the_time()) for _ in range(CLIENTS)]
    for number in range(ROUNDS):
        since += 1
        defined = (BY_LENGTH, BY_KEY)[number % 2]
        await define(wire, view(defined))
        since += 1
        for asked in forms(ASKED):
            frames = await ask(wire, asked)
            assert sorted(rows(frames)) == (OF_BOTH if defined == BY_LENGTH else [[b"b"]])
    done = True
    await asyncio.gather(*readers)
    assert wrong == []


async def test_a_trigger_that_writes_a_sharded_table_is_known_at_once(
    proxy: Proxy, wire: Wire, postgres: Postgres
) -> None:
    """Before it there is, its table is a matter of the home shard alone."""
    body = "BEGIN INSERT INTO customers VALUES (NEW.id, 'by trigger'); RETURN NEW; END"
    await postgres.fetch(
        f"CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$", database=f"{DATABASE}_s0"
    )
    async with session(proxy, database=DATABASE) as other:
        for number in range(3):
            insert = f"INSERT INTO notes VALUES ({100 + number})"
            assert shape(await other.query(insert)) == "CZ"
            made = await wire.query(
                "CREATE TRIGGER spreads BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION spread()"
            )
            assert errors(made) == []
            for asked in forms(insert):
                assert errors(await ask(other, asked)) == ["0A000"]
            assert errors(await wire.query("DROP TRIGGER spreads ON notes")) == []


async def test_ddl_of_a_transaction_counts_when_it_is_committed(proxy: Proxy, wire: Wire) -> None:
    await define(wire, view(BY_KEY))
    async with session(proxy, database=DATABASE) as other:
        await define(wire, "BEGIN", view(BY_LENGTH), "ROLLBACK")
        assert rows(await other.query(ASKED)) == [[b"b"]]
        for shard in ("s1", "s0"):
            for text in ("BEGIN", view(BY_LENGTH), "SELECT 1", "COMMIT"):
                assert errors(await wire.query(f"/* trunkline: shard={shard} */ {text}")) == []
        assert sorted(rows(await other.query(ASKED))) == OF_BOTH


async def test_ddl_of_a_prepared_transaction_counts_when_that_is_committed(proxy: Proxy, wire: Wire) -> None:
    await define(wire, view(BY_KEY))
    async with session(proxy, database=DATABASE) as other:
        for shard in ("s1", "s0"):
            for text in ("BEGIN", view(BY_LENGTH), f"PREPARE TRANSACTION '{DATABASE} {shard}'"):
                assert errors(await wire.query(f"/* trunkline: shard={shard} */ {text}")) == []
        for shard in ("s1", "s0"):
            await wire.query(f"/* trunkline: shard={shard} */ COMMIT PREPARED '{DATABASE} {shard}'")
        assert sorted(rows(await other.query(ASKED))) == OF_BOTH


async def test_a_transaction_that_holds_locks_and_the_reading_do_not_wait_for_each_other(
    proxy: Proxy, wire: Wire
) -> None:
    """The definition of a view is read under a lock on its tables, which who changes those has himself."""
    assert errors(await wire.query("CREATE VIEW of_notes AS SELECT body FROM notes")) == []
    async with session(proxy, database=DATABASE) as other:
        await wire.query("BEGIN")
        await wire.query("ALTER TABLE notes ADD more text")
        await other.query("CREATE TABLE late (id int)")
        assert errors(await wire.query("INSERT INTO notes VALUES (1, 'one', 'more')")) == []
        assert [item.body for item in await wire.query("COMMIT")] == [b"COMMIT\0", b"I"]
        assert rows(await other.query("SELECT more FROM notes")) == [[b"more"]]


async def test_a_temporary_table_is_nobody_elses_business(proxy: Proxy, wire: Wire, postgres: Postgres) -> None:
    """The catalog is not read for it, so that the lock which that would wait for keeps nobody from going on."""
    assert errors(await wire.query("CREATE VIEW of_notes AS SELECT body FROM notes")) == []
    async with session(proxy, database=DATABASE) as other, session(postgres, database=f"{DATABASE}_s0") as holder:
        await other.query("SELECT 1")
        await holder.query("BEGIN; LOCK TABLE notes")
        for asked in forms("CREATE TEMP TABLE mine (id int) ON COMMIT DROP"):
            await ask(wire, query("BEGIN"))
            assert errors(await ask(wire, asked)) == []
            await ask(wire, query("COMMIT"))
            assert rows(await other.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"b"]]
        await holder.query("COMMIT")


async def test_what_the_schema_means_is_refused_while_it_cannot_be_read(
    proxy: Proxy, wire: Wire, postgres: Postgres
) -> None:
    await define(wire, view(BY_KEY))
    assert errors(await wire.query("CREATE VIEW of_notes AS SELECT body FROM notes")) == []
    async with session(proxy, database=DATABASE) as other, session(postgres, database=f"{DATABASE}_s0") as holder:
        assert rows(await other.query(ASKED)) == [[b"b"]]  # by a catalog that has been read
        await holder.query("BEGIN; LOCK TABLE notes")
        assert errors(await other.query(f"/* trunkline: shard=s0 */ {view(BY_LENGTH)}")) == []
        assert errors(await wire.query(ASKED)) == ["55P03"]
        assert shape(await wire.query("BEGIN")) == "CZ"
        await holder.query("COMMIT")

        async def is_read() -> bool:
            await wire.query("ROLLBACK")
            return sorted(rows(await wire.query(ASKED))) == OF_BOTH

        await wait_until(is_read, what="the catalog has been read")
