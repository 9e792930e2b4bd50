"""A global unique index leads to the one shard that can have the row, and the answer is that of one PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import create, create_database, keys_of
from tests.integration.spread_pair import Pair
from tests.integration.transcript import errors, messages, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire, rows

DATABASE = "found_rows"
SHARDS = ("s0", "s1", "s2", "s3")
SCHEMA = """
CREATE TABLE users (id int8 PRIMARY KEY, email text, tenant int4, nick varchar(8), seen int4 DEFAULT 0);
CREATE TABLE plain (id int8 PRIMARY KEY, email text);
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries VALUES ('de', 'Germany');
"""
TABLES = {"users": {"shard_by": "id"}, "plain": {"shard_by": "id"}, "countries": {"reference": True}}
K = [keys_of(shard, 3, len(SHARDS)) for shard in range(len(SHARDS))]
_number = itertools.count()


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    settings = await create(postgres, DATABASE, SCHEMA, TABLES, SHARDS)
    whole = f"{DATABASE}_whole"
    await create_database(postgres, whole, SCHEMA)
    proxy = await start_proxy({"pool_mode": "transaction", "default_pool_size": 8}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as sharded, session(postgres, database=whole) as one:
        made = Pair(proxy, postgres, DATABASE, sharded, one)
        for columns in ("email", "tenant, nick"):
            names = ", ".join(f"'{name.strip()}'" for name in columns.split(","))
            reply = await sharded.query(f"SELECT create_unique_index('users', {names})")
            assert not errors(reply), messages(reply)
            await one.query(f"ALTER TABLE users ADD UNIQUE ({columns}) DEFERRABLE INITIALLY IMMEDIATE")
        values = ", ".join(f"({keys[0]}, 'u{shard}@x', {shard}, 'n')" for shard, keys in enumerate(K))
        await made.both(f"INSERT INTO users VALUES {values}, ({K[1][1]}, NULL, 9, NULL)")
        yield made


async def asked_of(pair: Pair, mark: str) -> list[str]:
    """The shards that have run a statement with this mark in it."""
    sql = (
        "SELECT DISTINCT datname FROM pg_stat_activity"
        f" WHERE datname LIKE '{DATABASE}\\_s%' AND query LIKE '%{mark}%' ORDER BY 1"
    )
    return [row[0].removeprefix(f"{DATABASE}_") for row in await pair.postgres.fetch(sql)]


async def shards_of(pair: Pair, sql: str, values: list[bytes | None] | None = None) -> list[str]:
    """Ask both for it, twice: what is known of a text by then must make no difference; and who was asked.

    A server that the proxy has asked something else since does not say so: then it is asked again.
    """
    found: set[str] = set()
    for _ in range(3):
        mark = f"mark{next(_number)}."
        text = sql.replace("MARK", f"'{mark}'")
        await pair.both(text, values, in_order=False)
        await pair.both("SELECT * FROM plain")  # behind who has said what the columns are
        await pair.both(text, values, in_order=False)
        found.update(await asked_of(pair, mark))
        if len(found) in (1, len(SHARDS)):
            break
    return sorted(found)


async def in_block(pair: Pair, sql: str) -> list[str]:
    """The same of what a COMMIT would come behind."""
    await pair.both("BEGIN")
    found = await shards_of(pair, sql)
    await pair.both("COMMIT")
    return found


CONDITIONS = {
    "email = 'u2@x'": ["s2"],
    "'u3@x' = email AND seen = 0": ["s3"],
    "email = 'u3@x' AND seen = 1": ["s3"],
    "email = 'u0@x'": ["s0"],
    "email = 'nobody'": ["s0"],
    "email = NULL": ["s0"],
    "email IN ('u1@x')": ["s1"],
    "email = ANY (ARRAY['u1@x'])": ["s1"],
    "email = 'u2@x'::varchar": ["s2"],
    "(nick, tenant) = ('n', 3)": ["s3"],
    "nick = 'n' AND tenant = 3::int8": ["s3"],
    "tenant = 2.0 AND nick = 'n'": ["s2"],
    "email = 'u2@x' AND id > 0": ["s2"],
    "NOT email <> 'u2@x'": list(SHARDS),
    "email LIKE 'u2@x'": list(SHARDS),
    "email = lower('U2@X')": list(SHARDS),
    "email = 'u2@x' COLLATE \"C\"": list(SHARDS),
    "email = 'u2@x' OR seen = 0": list(SHARDS),
    "email IN ('u1@x', 'u2@x')": list(SHARDS),
    "tenant = 2": list(SHARDS),
    "email IS NULL": list(SHARDS),
}


async def test_a_value_of_the_index_leads_to_one_shard(pair: Pair) -> None:
    for condition, shards in CONDITIONS.items():
        assert await shards_of(pair, f"SELECT *, MARK FROM users WHERE {condition}") == shards, condition


async def test_whatever_is_asked_of_the_row(pair: Pair) -> None:
    for sql in (
        "SELECT count(*), max(seen), MARK FROM users WHERE email = '{}'",
        "SELECT id, row_number() OVER (ORDER BY email), MARK FROM users WHERE email = '{}'",
        "SELECT u.id, c.name, MARK FROM users u CROSS JOIN countries c WHERE u.email = '{}' ORDER BY 1 LIMIT 3",
    ):
        assert await shards_of(pair, sql.format("u1@x")) == ["s1"], sql
        await pair.both(sql.format("nobody").replace("MARK", "1"))
    locking = "SELECT *, MARK FROM users WHERE email = '{}' FOR UPDATE"
    assert await in_block(pair, locking.format("u1@x")) == ["s1"]
    assert await in_block(pair, locking.format("nobody")) == list(SHARDS)
    await pair.both("SELECT a.id FROM users a JOIN plain b ON a.id = b.id WHERE a.email = 'u1@x'")
    await pair.both("SELECT a.id FROM users a LEFT JOIN users b ON b.email = 'u1@x' ORDER BY 1")
    assert await shards_of(pair, "SELECT *, MARK FROM plain WHERE email = 'u1@x'") == list(SHARDS)


async def test_values_are_parameters(pair: Pair) -> None:
    for value, shards in ((b"u3@x", ["s3"]), (b"nobody", ["s0"]), (None, ["s0"]), (b"u\xc3\xa4", ["s0"])):
        assert await shards_of(pair, "SELECT *, MARK FROM users WHERE email = $1", [value]) == shards
    sql = "SELECT *, MARK FROM users WHERE tenant = $1 AND nick = $2 AND seen < $3"
    assert await shards_of(pair, sql, [b"1", b"n", b"9"]) == ["s1"]
    assert await shards_of(pair, "SELECT *, MARK FROM users WHERE tenant = $1::numeric AND nick = 'n'", [b"2.5"])
    assert await shards_of(pair, "SELECT *, MARK FROM users WHERE tenant = $1", [b"none"])


async def test_writes_find_their_row(pair: Pair) -> None:
    for sql, shards in (
        ("UPDATE users SET seen = seen + 1 WHERE email = 'u2@x' RETURNING *, MARK", ["s2"]),
        ("UPDATE users SET seen = seen + 1 WHERE tenant = 2 AND nick = 'n' AND length(MARK) > 0", ["s2"]),
        ("UPDATE users SET seen = 7 WHERE email = 'nobody' AND length(MARK) > 0", list(SHARDS)),
        ("UPDATE users SET seen = 7 WHERE email = 'u3@x' AND seen = 5 AND length(MARK) > 0", list(SHARDS)),
    ):
        await pair.both(sql.replace("MARK", "'alone'"))
        assert await in_block(pair, sql) == shards, sql
    await pair.both("BEGIN")
    await pair.both("DELETE FROM users WHERE email = 'u3@x' RETURNING id, 'mark.deleted'")
    assert await asked_of(pair, "mark.deleted") == []  # its notes were taken behind it
    assert [row[0] for row in await locked(pair)] == [f"{DATABASE}_s0", f"{DATABASE}_s3"]
    await pair.both("COMMIT")
    await pair.both("DELETE FROM users WHERE email = 'u3@x'")
    await pair.both(f"INSERT INTO users VALUES ({K[0][1]}, 'u3@x')")
    assert await shards_of(pair, "SELECT *, MARK FROM users WHERE email = 'u3@x'") == ["s0"]
    await pair.both("SELECT * FROM users", in_order=False)


async def locked(pair: Pair) -> list[tuple[object, ...]]:
    """The shards that have a transaction which writes."""
    sql = (
        "SELECT datname FROM pg_stat_activity"
        f" WHERE datname LIKE '{DATABASE}\\_s%' AND backend_xid IS NOT NULL ORDER BY 1"
    )
    return await pair.postgres.fetch(sql)


async def test_what_a_transaction_has_changed_itself_is_found(pair: Pair) -> None:
    find = "SELECT *, MARK FROM users WHERE email = '{}'"
    await pair.both("BEGIN")
    await pair.both(f"INSERT INTO users VALUES ({K[3][1]}, 'new')")
    assert await shards_of(pair, find.format("new")) == ["s3"]
    await pair.both("SAVEPOINT s")
    await pair.both(f"UPDATE users SET id = {K[1][2]} WHERE id = {K[3][1]}")
    assert await shards_of(pair, find.format("new")) == ["s1"]
    await pair.both(f"UPDATE users SET email = 'newer' WHERE id = {K[1][2]}")
    assert await shards_of(pair, find.format("new")) == ["s0"]
    await pair.both("ROLLBACK TO s")
    assert await shards_of(pair, find.format("new")) == ["s3"]
    assert await shards_of(pair, find.format("newer")) == ["s0"]
    await pair.both("UPDATE users SET seen = 5 WHERE email = 'new'")
    await pair.both("COMMIT")
    assert await shards_of(pair, find.format("new")) == ["s3"]
    await pair.both("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert await shards_of(pair, find.format("new")) == list(SHARDS)
    await pair.both("ROLLBACK")


async def test_shards_are_asked_as_before_where_moments_would_differ(pair: Pair) -> None:
    await pair.sharded.query("SET trunkline.cross_shard_snapshot = 'shard'")
    assert await shards_of(pair, "SELECT *, MARK FROM users WHERE email = 'u1@x'") == list(SHARDS)


async def test_a_row_that_moves_meanwhile_is_neither_missed_nor_seen_twice(pair: Pair) -> None:
    """One moves it from shard to shard; the others always find it, and change it."""
    await pair.sharded.query(f"DELETE FROM users WHERE id IN ({K[2][0]}, {K[3][0]})")
    over = False

    async def repeated(wire: Wire, sql: str) -> list[Frame]:
        """Moving a row locks its table at two shards: whoever writes at all of them may be in a deadlock with that."""
        while errors(reply := await wire.query(sql)) == ["40P01"]:
            pass
        assert not errors(reply), messages(reply)
        return reply

    async def move() -> None:
        nonlocal over
        try:
            async with session(pair.proxy, database=DATABASE) as wire:
                for number in range(12):
                    here, there = (K[1 + (number + step) % 3][0] for step in (0, 1))
                    await repeated(wire, f"UPDATE users SET id = {there} WHERE id = {here}")
        finally:
            over = True

    async def look(sql: str, wanted: int) -> int:
        seen = 0
        async with session(pair.proxy, database=DATABASE) as wire:
            while not over:
                assert len(rows(await repeated(wire, sql))) == wanted, seen
                seen += 1
        return seen

    *counts, _ = await asyncio.gather(
        look("SELECT id FROM users WHERE email = 'u1@x'", 1),
        look("SELECT id FROM users WHERE email = 'u1@x' AND seen < 0", 0),
        look("UPDATE users SET seen = seen + 1 WHERE email = 'u1@x' RETURNING id", 1),
        move(),
    )
    assert all(counts)
    found = rows(await pair.sharded.query("SELECT seen FROM users WHERE email = 'u1@x'"))
    assert found == [[b"%d" % counts[2]]]


async def test_who_writes_waits_for_a_row_that_moves(pair: Pair) -> None:
    """It is where it was when home was asked, and elsewhere when the lock is given."""
    async with session(pair.proxy, database=DATABASE) as other:
        await other.query("BEGIN")
        await other.query(f"UPDATE users SET id = {K[2][1]} WHERE id = {K[1][0]}")
        writing = asyncio.create_task(pair.sharded.query("UPDATE users SET seen = 3 WHERE email = 'u1@x' RETURNING id"))

        async def waits() -> bool:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool((await pair.postgres.fetch(sql))[0][0])

        await wait_until(waits)
        await other.query("COMMIT")
        assert rows(await writing) == [[b"%d" % K[2][1]]]


async def test_who_may_not_read_the_key_asks_all_shards(pair: Pair) -> None:
    """And hears what PostgreSQL says; with row security it sees what it may see."""
    databases = [*(f"{DATABASE}_{shard}" for shard in SHARDS), f"{DATABASE}_whole"]
    await pair.postgres.fetch("DROP ROLE IF EXISTS found_rows_reader")
    await pair.postgres.fetch("CREATE ROLE found_rows_reader")
    for database in databases:
        await pair.postgres.fetch("GRANT SELECT ON plain TO found_rows_reader", database=database)
        await pair.postgres.fetch("GRANT SELECT (email, seen) ON users TO found_rows_reader", database=database)
    await pair.both("BEGIN")
    await pair.both("SET LOCAL ROLE found_rows_reader")
    sql = "SELECT seen, MARK FROM users WHERE email = 'u2@x'"
    assert await shards_of(pair, sql) == list(SHARDS)
    await pair.both("SELECT id FROM users WHERE email = 'u2@x'")
    await pair.both("ROLLBACK")
    for database in databases:
        await pair.postgres.fetch("GRANT SELECT ON users TO found_rows_reader", database=database)
    await pair.both("BEGIN")
    await pair.both("SET LOCAL ROLE found_rows_reader")
    assert await shards_of(pair, sql) == ["s2"]
    await pair.both("ROLLBACK")
    await pair.both("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    await pair.both("BEGIN")
    await pair.both("SET LOCAL ROLE found_rows_reader")
    await pair.both(sql.replace("MARK", "1"))
    await pair.both("ROLLBACK")


async def test_explain_says_so(pair: Pair) -> None:
    reply = await pair.sharded.query("EXPLAIN (ROUTE) SELECT * FROM users WHERE email = 'u1@x'")
    said = [row[0] for row in rows(reply) if row[0] is not None]
    assert any(b"by the unique index users_email_key" in line for line in said), said


async def test_it_ends_with_the_index(pair: Pair) -> None:
    find = "SELECT *, MARK FROM users WHERE email = 'u1@x'"
    assert await shards_of(pair, find) == ["s1"]
    assert not errors(await pair.sharded.query("SELECT drop_unique_index('users', 'email')"))
    await pair.whole.query("ALTER TABLE users DROP CONSTRAINT users_email_key")
    assert await shards_of(pair, find) == list(SHARDS)
