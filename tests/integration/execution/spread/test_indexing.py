"""Global unique indexes are made over rows that are there, on every shard or on none, and outlive the proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS, create, keys_of
from tests.integration.transcript import errors, messages, session
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse

DATABASE = "unique_made"
SCHEMA = """
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE users (id int8 PRIMARY KEY, email citext, at timestamptz, price numeric, feeling mood, ok bool, raw bytea,
    tags text[], code char(4), spoken text COLLATE "C", f float8);
CREATE TABLE wide (id int8 PRIMARY KEY, body text);
"""
TABLES: Mapping[str, Any] = {"users": {"shard_by": "id"}, "wide": {"shard_by": "id"}}
A, B = keys_of(0, 8), keys_of(1, 8)


@pytest.fixture
async def settings(postgres: Postgres) -> dict[str, Any]:
    return await create(postgres, DATABASE, SCHEMA, TABLES)


@pytest.fixture
async def proxy(start_proxy: ProxyFactory, settings: dict[str, Any]) -> Proxy:
    options = {"pool_mode": "transaction", "gather_max_bytes": "64kB"}
    started: Proxy = await start_proxy(options, databases={DATABASE: settings})
    return started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as opened:
        yield opened


async def done(wire: Wire, sql: str) -> None:
    reply = await wire.query(sql)
    assert not errors(reply), (sql, messages(reply))


async def left(postgres: Postgres) -> list[object]:
    sql = "SELECT count(*) FROM pg_class WHERE relname LIKE 'unique_users%'"
    return [await postgres.fetch(sql, database=f"{DATABASE}_{shard}") for shard in SHARDS]


async def test_rows_that_are_there_count(wire: Wire, postgres: Postgres) -> None:
    await done(
        wire, f"INSERT INTO users (id, email) VALUES ({A[0]}, 'a@X'), ({B[0]}, 'A@x'), ({B[1]}, NULL), ({A[1]}, NULL)"
    )
    reply = await wire.query("SELECT create_unique_index('users', 'email')")
    fields = error_fields(next(frame for frame in reply if frame.type == "E"))
    assert [fields.get(one) for one in "CMD"] == [
        "23505", 'could not create unique index "users_email_key"', "Key (email)=(A@x) is duplicated.",
    ]  # fmt: skip
    assert await left(postgres) == [[(0,)], [(0,)]]
    assert await postgres.fetch("SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'trunkline%'") == []
    await done(wire, f"UPDATE users SET email = 'b@x' WHERE id = {B[0]}")
    await done(wire, "SELECT create_unique_index('users', 'email')")
    assert errors(await wire.query(f"INSERT INTO users (id, email) VALUES ({B[2]}, 'A@X')")) == ["23505"]
    await done(wire, f"UPDATE users SET email = upper(email::text)::citext WHERE id = {A[0]}")
    await done(wire, f"DELETE FROM users WHERE id = {A[0]}")
    await done(wire, f"INSERT INTO users (id, email) VALUES ({B[2]}, 'A@X')")


async def test_values_of_many_types_are_equal_as_their_columns_have_it(wire: Wire, postgres: Postgres) -> None:
    await done(wire, "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; SET bytea_output = 'escape'")
    for column, one, equal, other in (
        ("at", "'2024-03-01 12:00:00+00'", "'2024-03-01 13:00:00+01'", "'2024-03-02 12:00:00+00'"),
        ("price", "1.0", "1.00", "1.01"),
        ("feeling", "'ok'", "'ok'", "'sad'"),
        ("ok", "true", "'yes'", "false"),
        ("raw", r"'\x00ff5c'", r"'\x00ff5c'", r"'\x00ff'"),
        ("tags", "ARRAY['a,b', NULL, 'c\"']", "ARRAY['a,b', NULL, 'c\"']", "ARRAY['a', 'b']"),
        ("code", "'ab'", "'ab  '", "'abc'"),
        ("spoken", "'ä'", "'ä'", "'a'"),
        ("f", "0.1", "0.1::float8", "0.1::float4"),
    ):
        await done(wire, f"SELECT create_unique_index('users', '{column}')")
        await done(wire, f"INSERT INTO users (id, {column}) VALUES ({A[0]}, {one}), ({B[0]}, {other})")
        assert errors(await wire.query(f"INSERT INTO users (id, {column}) VALUES ({B[1]}, {equal})")) == ["23505"], (
            column
        )
        await done(wire, f"DELETE FROM users WHERE id = {A[0]}")
        await done(wire, f"INSERT INTO users (id, {column}) VALUES ({B[1]}, {equal})")
        await done(wire, "DELETE FROM users")
        sql = f"SELECT count(*) FROM trunkline.unique_users_{column}_key"
        assert await postgres.fetch(sql, database=f"{DATABASE}_s0") == [(0,)]
        await done(wire, f"SELECT drop_unique_index('users', '{column}')")


async def test_it_is_refused_above_the_budget(wire: Wire, postgres: Postgres) -> None:
    rows = ", ".join(f"({key}, repeat('x', 2000) || {key})" for key in range(1, 100))
    await done(wire, f"INSERT INTO wide VALUES {rows}")
    assert errors(await wire.query("SELECT create_unique_index('wide', 'body')")) == ["53200"]
    assert errors(await wire.query("SELECT undistribute_table('users')")) == ["55000"]


async def test_another_proxy_knows_it(
    wire: Wire, start_proxy: ProxyFactory, settings: dict[str, Any], postgres: Postgres
) -> None:
    await done(wire, "SELECT create_unique_index('users', 'email')")
    await done(wire, f"INSERT INTO users (id, email) VALUES ({A[0]}, 'a')")
    other = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    async with session(other, database=DATABASE) as opened:
        for refusal in ("23505", "0A000"):
            insert = "INSERT INTO users (id, email) VALUES"
            assert errors(await opened.query(f"{insert} ({B[0]}, 'a')")) == [refusal]
            values = bind(values=[b"%d" % B[0], b"a"])
            await opened.send(parse(f"{insert} ($1, $2)") + values + execute() + SYNC)
            assert errors(await opened.read_until("Z")) == [refusal]
            await done(opened, "CREATE TEMPORARY TABLE IF NOT EXISTS pins ()")
    assert await left(postgres) == [[(1,)], [(0,)]]
