"""Global unique indexes keep what one PostgreSQL keeps by a constraint that is DEFERRABLE INITIALLY IMMEDIATE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import SHARDS, keys_of
from tests.integration.spread_pair import Pair, two_shards_and_one_whole
from tests.integration.transcript import errors, messages, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields

DATABASE = "unique_values"
SCHEMA = """
CREATE TABLE users (id int8 PRIMARY KEY, email text, tenant int4, nick varchar(8), seen int4 DEFAULT 0);
CREATE TABLE teams (id int8 PRIMARY KEY, name text);
CREATE TABLE members (team_id int8 REFERENCES teams ON DELETE CASCADE, id int8, card text, PRIMARY KEY (team_id, id));
CREATE TABLE wanted (id int8 PRIMARY KEY, email text);
"""
TABLES = {
    "users": {"shard_by": "id"},
    "teams": {"shard_by": "id"},
    "members": {"shard_by": "team_id", "colocated_with": "teams"},
    "wanted": {"shard_by": "id", "colocated_with": "users"},
}
INDEXES = {"users": ("email", "tenant, nick"), "members": ("card",)}
A, B = keys_of(0, 8), keys_of(1, 8)


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as made:
        for table, columns in INDEXES.items():
            for one in columns:
                await index(made, table, one)
        yield made


async def index(pair: Pair, table: str, columns: str) -> None:
    """On the shards, and as PostgreSQL has it."""
    names = ", ".join(f"'{name.strip()}'" for name in columns.split(","))
    reply = await pair.sharded.query(f"SELECT create_unique_index('{table}', {names})")
    assert not errors(reply), messages(reply)
    whole = await pair.whole.query(f"ALTER TABLE {table} ADD UNIQUE ({columns}) DEFERRABLE INITIALLY IMMEDIATE")
    assert not errors(whole), messages(whole)


async def kept(pair: Pair, name: str) -> list[tuple[object, ...]]:
    sql = f"SELECT * FROM trunkline.unique_{name} ORDER BY 1, 2"
    return await pair.postgres.fetch(sql, database=f"{DATABASE}_s0")


async def is_right(pair: Pair) -> None:
    """The rows are the same, and the values that are kept are those of the rows."""
    users = await pair.same("users")
    assert await kept(pair, "users_email_key") == sorted((row[1], row[0]) for row in users if row[1] is not None)
    for shard in SHARDS:
        sql = "SELECT count(*) FROM trunkline.unique_changes"
        assert await pair.postgres.fetch(sql, database=f"{DATABASE}_{shard}") == [(0,)]


async def test_a_value_is_there_once_whatever_shard_it_is_on(pair: Pair) -> None:
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a@x'), ({B[0]}, 'b@x')")
    for key in (A[1], B[1]):
        reply = await pair.both(f"INSERT INTO users VALUES ({key}, 'a@x')")
        assert errors(reply) == ["23505"]
        fields = error_fields(next(frame for frame in reply if frame.type == "E"))
        assert fields["D"] == "Key (email)=(a@x) already exists."
        assert (fields["s"], fields["t"], fields["n"]) == ("public", "users", "users_email_key")
    await pair.both(f"INSERT INTO users VALUES ({B[1]}, 'a@x') RETURNING id")
    await pair.both("INSERT INTO users VALUES ($1, $2)", [b"%d" % A[2], b"b@x"])
    await pair.both("INSERT INTO users VALUES ($1, $2) RETURNING *", [b"%d" % A[2], b"c@x"])
    await pair.both(f"INSERT INTO users VALUES ({A[3]}, 'd@x'), ({B[3]}, 'd@x')")
    await is_right(pair)


async def test_values_come_and_go_with_their_rows(pair: Pair) -> None:
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a'), ({B[0]}, 'b'), ({A[1]}, NULL), ({B[1]}, NULL)")
    for sql in (
        f"UPDATE users SET email = 'b' WHERE id = {A[0]}",
        f"UPDATE users SET email = 'c' WHERE id = {A[0]}",
        f"UPDATE users SET email = 'a' WHERE id = {B[0]} RETURNING *",
        "UPDATE users SET email = CASE email WHEN 'a' THEN 'c' ELSE 'a' END WHERE email IN ('a', 'c')",
        "UPDATE users SET seen = seen + 1",
        "UPDATE users SET email = 'same'",
        f"UPDATE users SET email = NULL WHERE id = {A[0]}",
        f"INSERT INTO users VALUES ({A[2]}, 'a')",
        f"DELETE FROM users WHERE id = {B[0]}",
        f"INSERT INTO users VALUES ({A[2]}, 'a')",
        f"INSERT INTO users VALUES ({B[3]}, 'c') RETURNING email",
        "UPDATE users SET email = upper(email) WHERE email IS NOT NULL",
        "DELETE FROM users WHERE email = 'A' RETURNING id",
        f"WITH gone AS (DELETE FROM users WHERE id = {B[3]} RETURNING id) SELECT count(*) FROM gone",
        f"INSERT INTO users VALUES ({B[4]}, 'C'), ({A[4]}, 'A')",
    ):
        await pair.both(sql)
        await is_right(pair)


async def test_blocks_and_savepoints(pair: Pair) -> None:
    for sql in (
        f"INSERT INTO users VALUES ({A[0]}, 'a')",
        "BEGIN",
        f"INSERT INTO users VALUES ({B[0]}, 'b')",
        "SAVEPOINT one",
        f"INSERT INTO users VALUES ({B[1]}, 'a')",
        "SELECT 1",
        "ROLLBACK TO one",
        f"DELETE FROM users WHERE id = {A[0]}",
        f"INSERT INTO users VALUES ({B[1]}, 'a')",
        "ROLLBACK TO one",
        f"INSERT INTO users VALUES ({B[1]}, 'c')",
        f"UPDATE users SET email = 'd' WHERE id = {B[1]}",
        "COMMIT",
        "BEGIN",
        f"INSERT INTO users VALUES ({B[2]}, 'e')",
        "ROLLBACK",
        f"INSERT INTO users VALUES ({A[2]}, 'e')",
        f"INSERT INTO users VALUES ({A[3]}, 'f'); INSERT INTO users VALUES ({B[3]}, 'f')",
        f"INSERT INTO users VALUES ({A[3]}, 'f'); INSERT INTO users VALUES ({B[3]}, 'g')",
        "BEGIN",
        f"INSERT INTO users VALUES ({A[4]}, 'a')",
        "COMMIT",
    ):
        await pair.both(sql)
    await is_right(pair)


async def test_several_columns_and_nulls(pair: Pair) -> None:
    for sql in (
        f"INSERT INTO users (id, tenant, nick) VALUES ({A[0]}, 1, 'x'), ({B[0]}, 2, 'x'), ({B[1]}, NULL, 'x')",
        f"INSERT INTO users (id, tenant, nick) VALUES ({A[1]}, NULL, 'x')",
        f"INSERT INTO users (id, tenant, nick) VALUES ({A[2]}, 2, 'x')",
        f"INSERT INTO users (id, tenant, nick) VALUES ({A[2]}, 2, 'x   ')",
        f"UPDATE users SET tenant = 2 WHERE id = {A[0]}",
        f"UPDATE users SET tenant = NULL WHERE id = {B[0]}",
        f"UPDATE users SET tenant = 2 WHERE id = {A[0]}",
    ):
        await pair.both(sql)
    await is_right(pair)
    assert await kept(pair, "users_tenant_nick_key") == [(2, "x", A[0]), (2, "x   ", A[2])]


async def test_copy_merge_and_what_is_selected(pair: Pair) -> None:
    for lines in (
        f"{A[0]}\ta\n{B[0]}\tb\n{A[1]}\t\\N\n{B[1]}\t\\N\n",
        f"{A[2]}\tc\n{B[2]}\tc\n",
        f"{A[2]}\tc\n{B[2]}\ta\n",
    ):
        told = []
        for wire in (pair.sharded, pair.whole):
            await wire.send(message_of("Q", b"COPY users (id, email) FROM STDIN\0"))
            await wire.read_until("G")
            await wire.send(message_of("d", lines.encode()) + message_of("c", b""))
            told.append([error_fields(one)["D"] if one.type == "E" else one for one in await wire.read_until("Z")])
        assert told[0] == told[1]
        await is_right(pair)
    for sql in (
        f"INSERT INTO wanted VALUES ({A[0]}, 'z'), ({B[0]}, 'y'), ({A[3]}, 'x'), ({B[3]}, 'b')",
        "INSERT INTO users (id, email) SELECT id + 0, email FROM wanted WHERE email <> 'b'",
        "INSERT INTO users (id, email) SELECT id, email FROM wanted WHERE id > 2000000000",
        "MERGE INTO users u USING wanted w ON u.id = w.id WHEN MATCHED THEN UPDATE SET email = w.email"
        " WHEN NOT MATCHED THEN INSERT (id, email) VALUES (w.id, w.email)",
        "DELETE FROM wanted WHERE email = 'z'",
        "MERGE INTO users u USING wanted w ON u.id = w.id WHEN MATCHED THEN DELETE"
        " WHEN NOT MATCHED THEN INSERT (id, email) VALUES (w.id, w.email)",
    ):
        await pair.both(sql)
        await is_right(pair)
    await pair.both("UPDATE users SET email = w.email || '!' FROM wanted w WHERE w.id = users.id")
    await is_right(pair)


def message_of(kind: str, body: bytes) -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


async def test_on_conflict(pair: Pair) -> None:
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a'), ({B[0]}, 'b')")
    for sql in (
        f"INSERT INTO users VALUES ({A[0]}, 'c') ON CONFLICT (id) DO NOTHING",
        f"INSERT INTO users VALUES ({A[0]}, 'c') ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING email",
        f"INSERT INTO users VALUES ({A[0]}, 'b') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
        f"INSERT INTO users VALUES ({A[1]}, 'b') ON CONFLICT (id) DO NOTHING",
    ):
        await pair.both(sql)
        await is_right(pair)
    for clause in ("", "(email)", "ON CONSTRAINT users_email_key"):
        sql = f"INSERT INTO users VALUES ({A[2]}, 'a') ON CONFLICT {clause} DO NOTHING"
        seen, wanted = [await wire.query(sql) for wire in (pair.sharded, pair.whole)]
        assert errors(seen) == errors(wanted) == ["55000"]
        assert messages(seen) == messages(wanted)
    await is_right(pair)


async def test_rows_that_move_keep_their_values(pair: Pair) -> None:
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a'), ({B[0]}, 'b')")
    await pair.both(f"UPDATE users SET id = {B[1]} WHERE id = {A[0]}")
    await is_right(pair)
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a')")
    await pair.both(f"UPDATE users SET id = {B[2]}, email = 'c' WHERE id = {B[0]}")
    await pair.both(f"UPDATE users SET id = {A[2]}, seen = 3 WHERE id = {B[2]}")
    await is_right(pair)


async def test_truncate_and_cascades(pair: Pair) -> None:
    await pair.both(f"INSERT INTO teams VALUES ({A[0]}), ({B[0]}), ({B[1]})")
    await pair.both(f"INSERT INTO members VALUES ({A[0]}, 1, 'x'), ({B[0]}, 1, 'y'), ({B[1]}, 1, 'z')")
    await pair.both(f"DELETE FROM teams WHERE id = {B[0]}")
    await pair.both("UPDATE teams SET name = 'n'")
    await pair.both(f"INSERT INTO members VALUES ({A[0]}, 2, 'y'), ({A[0]}, 3, 'z')")
    await pair.both(f"INSERT INTO members VALUES ({A[0]}, 2, 'y')")
    assert [row[0] for row in await kept(pair, "members_card_key")] == ["x", "y", "z"]
    await pair.both("TRUNCATE teams CASCADE")
    assert await kept(pair, "members_card_key") == []
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a'), ({B[0]}, 'b')")
    await pair.both("TRUNCATE users")
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'b'), ({B[0]}, 'a')")
    await is_right(pair)
    assert errors(await pair.sharded.query("/* trunkline: shard=s0 */ TRUNCATE users")) == ["0A000"]
    await is_right(pair)


async def test_who_writes_an_equal_value_waits(pair: Pair, proxy_session: Wire) -> None:
    await pair.sharded.query("BEGIN")
    await pair.sharded.query(f"INSERT INTO users VALUES ({A[0]}, 'a')")
    for end, wanted in (("ROLLBACK", []), ("COMMIT", ["23505"])):
        other = asyncio.create_task(proxy_session.query(f"INSERT INTO users VALUES ({B[0]}, 'a')"))

        async def waits() -> bool:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return (await pair.postgres.fetch(sql))[0][0] == 1

        await wait_until(waits)
        assert not other.done()
        await pair.sharded.query(end)
        assert errors(await other) == wanted
        await pair.sharded.query("DELETE FROM users")
        await pair.sharded.query("BEGIN")
        await pair.sharded.query(f"INSERT INTO users VALUES ({A[0]}, 'a')")
    await pair.sharded.query("ROLLBACK")


@pytest.fixture
async def proxy_session(pair: Pair) -> AsyncIterator[Wire]:
    async with session(pair.proxy, database=DATABASE) as opened:
        yield opened


async def test_what_would_not_be_kept_is_refused(pair: Pair) -> None:
    refused = (
        "ALTER TABLE users DISABLE TRIGGER ALL", "ALTER TABLE users DROP COLUMN email",
        "ALTER TABLE users RENAME nick TO n", "ALTER TABLE users SET SCHEMA pg_temp",
        "ALTER TABLE users ALTER COLUMN email TYPE varchar(10)", "ALTER TABLE wanted INHERIT users",
        "ALTER TABLE users ADD COLUMN x int4, DROP COLUMN tenant", "CREATE TABLE child () INHERITS (users)",
    )  # fmt: skip
    for sql in refused:
        assert errors(await pair.sharded.query(sql)) == ["0A000"], sql
    for sql in (
        "ALTER TABLE users ADD COLUMN x int4",
        "ALTER TABLE users ALTER COLUMN seen TYPE int8",
        "ALTER TABLE users DROP COLUMN seen",
        "ALTER TABLE users ALTER COLUMN email SET DEFAULT 'a'",
    ):
        await pair.both(sql)
    await pair.both(f"INSERT INTO users (id) VALUES ({A[0]})")
    await pair.both(f"INSERT INTO users (id) VALUES ({B[0]})")
    await is_right(pair)


async def test_what_trunkline_does_not_see_fails(pair: Pair) -> None:
    """At the server itself, and by code that hides what it writes."""
    sql = f"INSERT INTO users VALUES ({A[0]}, 'a')"
    with pytest.raises(Exception, match="without Trunkline's knowledge"):
        await pair.postgres.fetch(sql, database=f"{DATABASE}_s0")
    await pair.postgres.fetch("UPDATE users SET seen = 1", database=f"{DATABASE}_s0")
    hiding = f"DO $$ BEGIN EXECUTE 'INSERT INTO u' || 'sers VALUES ({A[0]}, ''a'')'; END $$"
    assert errors(await pair.sharded.query(f"/* trunkline: shard=s0 */ {hiding}")) == ["0A000"]
    await is_right(pair)


async def test_it_is_dropped_with_its_table_or_by_itself(pair: Pair) -> None:
    assert not errors(await pair.sharded.query("SELECT drop_unique_index('users', 'email')"))
    assert not errors(await pair.whole.query("ALTER TABLE users DROP CONSTRAINT users_email_key"))
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a', 1, 'x'), ({B[0]}, 'a', 2, 'x')")
    await pair.both(f"INSERT INTO users VALUES ({B[1]}, 'a', 2, 'x')")
    await pair.both("DROP TABLE users")
    await pair.both("CREATE TABLE users (id int8 PRIMARY KEY, email text, tenant int4, nick varchar(8))")
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a', 1, 'x'), ({B[0]}, 'a', 1, 'x')")
    for shard in SHARDS:
        sql = "SELECT proname FROM pg_proc WHERE pronamespace = 'trunkline'::regnamespace AND proname LIKE '%users%'"
        assert await pair.postgres.fetch(sql, database=f"{DATABASE}_{shard}") == []
    assert errors(await pair.sharded.query("SELECT drop_unique_index('users', 'email')")) == ["42704"]
    reply = await pair.sharded.query("SELECT create_unique_index('users', 'email')")
    fields = error_fields(next(frame for frame in reply if frame.type == "E"))
    whole = await pair.whole.query("ALTER TABLE users ADD UNIQUE (email)")
    wanted = error_fields(next(frame for frame in whole if frame.type == "E"))
    assert [fields.get(one) for one in "CMD"] == [wanted.get(one) for one in "CMD"]
    await pair.both(f"DELETE FROM users WHERE id = {A[0]}")
    await index(pair, "users", "email")
    await pair.both(f"INSERT INTO users VALUES ({A[0]}, 'a')")
    await is_right(pair)
