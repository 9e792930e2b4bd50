"""A database with shards is one PostgreSQL to its clients, as long as each statement concerns one shard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, execute, parse, query, rows

DATABASE = "shop"
FIRST, *REST_OF_0 = keys_of(0, 5)
OTHER, *REST_OF_1 = keys_of(1, 5)
REFUSED = "SELECT pg_advisory_lock(id) FROM customers"  # it would leave something in the sessions of several servers


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await create(postgres, DATABASE)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 2}, databases={DATABASE: settings})


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    """A client, with a customer on each shard."""
    async with session(proxy, database=DATABASE) as logged_in:
        for key in (FIRST, OTHER):
            assert shape(await logged_in.query(f"INSERT INTO customers VALUES ({key}, 'customer {key}')")) == "CZ"
        yield logged_in


async def names_on(postgres: Postgres, shard: str) -> set[str]:
    return {name for (name,) in await postgres.fetch("SELECT name FROM customers", database=f"{DATABASE}_{shard}")}


def name_of(key: int) -> list[list[bytes | None]]:
    return [[b"customer %d" % key]]


# --- one shard ------------------------------------------------------------------------------------------------------


async def test_rows_lie_where_their_keys_say(postgres: Postgres, wire: Wire) -> None:
    assert await names_on(postgres, "s0") == {f"customer {FIRST}"}
    assert await names_on(postgres, "s1") == {f"customer {OTHER}"}


async def test_a_statement_with_a_key_goes_to_its_shard(wire: Wire) -> None:
    for key in (FIRST, OTHER, FIRST, OTHER):
        assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {key}")) == name_of(key)


async def test_a_parameter_says_where_at_bind(wire: Wire) -> None:
    await wire.send(parse("SELECT name FROM customers WHERE id = $1", "named") + SYNC)
    await wire.read_until("Z")
    for key in (OTHER, FIRST, OTHER):
        await wire.send(bind("named", [b"%d" % key]) + execute() + SYNC)
        assert rows(await wire.read_until("Z")) == name_of(key)


async def test_a_pipeline_goes_from_shard_to_shard_in_order(wire: Wire) -> None:
    keys = [FIRST, OTHER, OTHER, FIRST] * 25
    await wire.send(b"".join(query(f"SELECT name FROM customers WHERE id = {key}") for key in keys))
    for key in keys:
        assert rows(await wire.read_until("Z")) == name_of(key)


async def test_what_has_no_row_is_empty(wire: Wire) -> None:
    for condition in ("id = NULL", f"id = {FIRST} AND id = {OTHER}"):
        assert rows(await wire.query(f"SELECT count(*) FROM customers WHERE {condition}")) == [[b"0"]]


async def test_reference_home_and_no_table(wire: Wire) -> None:
    assert rows(await wire.query("SELECT name FROM countries WHERE code = 'de'")) == [[b"Germany"]]
    assert shape(await wire.query("INSERT INTO notes VALUES (1, 'at home')")) == "CZ"
    assert rows(await wire.query("SELECT body FROM notes")) == [[b"at home"]]
    assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_text_that_does_not_parse_hears_postgresql(wire: Wire) -> None:
    assert messages(await wire.query("SELEKT 1")) == ['syntax error at or near "SELEKT"']
    assert errors(await wire.query("SELECT name FROM customers WHERE id = 'no number'")) == ["22P02"]
    assert errors(await wire.query("SELECT name FROM nowhere")) == ["42P01"]


async def test_a_statement_that_was_described_at_home_runs_where_its_key_says(wire: Wire) -> None:
    for begin, status in ((b"", b"I"), (query("BEGIN"), b"T")):
        await wire.send(begin + parse("SELECT name FROM customers WHERE id = $1", f"in {status!r}") + FLUSH)
        await wire.read_until("1")
        await wire.send(bind(f"in {status!r}", [b"%d" % OTHER]) + execute() + SYNC)
        frames = await wire.read_until("Z")
        assert (rows(frames), frames[-1].body) == (name_of(OTHER), status)


# --- transactions ---------------------------------------------------------------------------------------------------


async def test_begin_waits_for_the_first_statement_that_says_where(postgres: Postgres, wire: Wire) -> None:
    for key in (FIRST, OTHER):
        frames = await wire.query("BEGIN")
        assert (shape(frames), frames[-1].body) == ("CZ", b"T")
        frames = await wire.query(f"UPDATE customers SET name = 'changed {key}' WHERE id = {key}")
        assert (shape(frames), frames[-1].body) == ("CZ", b"T")
        frames = await wire.query("COMMIT")
        assert (shape(frames), frames[-1].body) == ("CZ", b"I")
    assert await names_on(postgres, "s1") == {f"changed {OTHER}"}
    assert await names_on(postgres, "s0") == {f"changed {FIRST}"}


async def test_an_empty_block_needs_no_server(wire: Wire) -> None:
    for end, tag in (
        ("COMMIT", b"COMMIT\0"),
        ("ROLLBACK", b"ROLLBACK\0"),
        ("END", b"COMMIT\0"),
        ("ABORT", b"ROLLBACK\0"),
    ):
        assert [frame.body for frame in await wire.query("BEGIN")] == [b"BEGIN\0", b"T"]
        assert [frame.body for frame in await wire.query(end)] == [tag, b"I"]


async def test_a_block_in_which_nothing_happened_begins_anew_elsewhere(wire: Wire) -> None:
    await wire.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
    await wire.query("SET LOCAL application_name = 'moved'")
    await wire.query("SELECT 1")
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == name_of(OTHER)
    assert rows(await wire.query("SHOW transaction_isolation")) == [[b"serializable"]]
    assert rows(await wire.query("SHOW application_name")) == [[b"moved"]]
    await wire.query("COMMIT")


async def test_a_transaction_that_went_on_at_another_shard_is_undone_at_both(postgres: Postgres, wire: Wire) -> None:
    await wire.query("BEGIN")
    for key in (FIRST, OTHER):
        assert shape(await wire.query(f"UPDATE customers SET name = 'lost' WHERE id = {key}")) == "CZ"
    frames = await wire.query("ROLLBACK")
    assert (shape(frames), frames[-1].body) == ("CZ", b"I")
    assert await names_on(postgres, "s0") == {f"customer {FIRST}"}
    assert await names_on(postgres, "s1") == {f"customer {OTHER}"}


async def test_a_value_that_is_none_fails_where_the_transaction_is(wire: Wire) -> None:
    for key in (FIRST, OTHER):
        await wire.query("BEGIN")
        await wire.query(f"UPDATE customers SET name = name WHERE id = {key}")
        assert errors(await wire.query("SELECT name FROM customers WHERE id = 'none'")) == ["22P02"]
        await wire.query("ROLLBACK")
        frames = await wire.query(f"INSERT INTO orders VALUES (1, {key}); SELECT 1 FROM customers WHERE id = 'none'")
        assert (shape(frames), errors(frames)) == ("CEZ", ["22P02"])


async def test_a_block_that_begins_in_a_longer_batch_begins_anew_as_a_block(postgres: Postgres, wire: Wire) -> None:
    batch = parse("BEGIN") + bind() + execute() + parse("SELECT 1") + bind() + execute() + SYNC
    await wire.send(batch)
    await wire.read_until("Z")
    frames = await wire.query(f"UPDATE customers SET name = 'lost' WHERE id = {OTHER}")
    assert (shape(frames), frames[-1].body) == ("CZ", b"T")
    await wire.query("ROLLBACK")
    assert await names_on(postgres, "s1") == {f"customer {OTHER}"}


async def test_a_setting_in_a_batch_names_the_shard_at_once(wire: Wire) -> None:
    await wire.query("SET trunkline.shard = 's1'")
    await wire.send(parse("BEGIN") + bind() + execute() + SYNC)
    await wire.read_until("Z")
    await wire.send(parse("SET LOCAL trunkline.shard = 's0'") + bind() + execute() + SYNC)
    await wire.read_until("Z")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(FIRST)
    await wire.query("ROLLBACK")


async def test_a_block_begins_anew_elsewhere_for_one_who_had_to_wait(proxy: Proxy, wire: Wire) -> None:
    """BEGIN as a statement of its own leases a server at home, which are all taken."""
    async with session(proxy, database=DATABASE) as first, session(proxy, database=DATABASE) as second:
        for other in (first, second):
            await other.query("BEGIN")
            await other.query("SELECT 1 FROM notes")
        await wire.send(parse("BEGIN") + bind() + execute() + SYNC)
        await wait_until(lambda: is_waiting(proxy))
        await first.query("COMMIT")
        assert shape(await wire.read_until("Z")) == "12CZ"
        assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == name_of(OTHER)
        await wire.query("COMMIT")


async def is_waiting(proxy: Proxy) -> bool:
    return any(int(row["cl_waiting"]) for row in await proxy.admin("SHOW POOLS"))


async def test_savepoints_outlive_a_refusal(wire: Wire) -> None:
    await wire.query("BEGIN")
    await wire.query("SAVEPOINT before")
    await wire.query(f"UPDATE customers SET name = 'kept' WHERE id = {OTHER}")
    await wire.query("SAVEPOINT later")
    assert errors(await wire.query(REFUSED)) == ["0A000"]
    await wire.query("ROLLBACK TO later")
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"kept"]]
    await wire.query("COMMIT")


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_done_at_several_shards_is_refused_and_the_client_goes_on(wire: Wire) -> None:
    frames = await wire.query(REFUSED)
    assert (errors(frames), frames[-1].body) == (["0A000"], b"I")
    await wire.send(parse(REFUSED) + bind() + execute() + SYNC)
    assert errors(await wire.read_until("Z")) == ["0A000"]
    await wire.send(
        parse("SELECT pg_advisory_lock(id) FROM customers WHERE id = ANY($1)")
        + bind("", [b"{%d,%d}" % (FIRST, OTHER)])
        + execute()
        + SYNC
    )
    frames = await wire.read_until("Z")
    assert (shape(frames), errors(frames)) == ("12EZ", ["0A000"])
    assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_refusal_in_a_block_that_nobody_knows_of_fails_it(wire: Wire) -> None:
    await wire.query("BEGIN")
    frames = await wire.query(REFUSED)
    assert (errors(frames), frames[-1].body) == (["0A000"], b"E")
    assert errors(await wire.query("SELECT 1")) == ["25P02"]
    assert errors(await wire.query("ROLLBACK TO nothing")) == ["3B001"]
    assert [frame.body for frame in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
    assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_nobody_logs_in_to_a_shard_by_its_inner_name(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": USER, "database": f"{DATABASE}/s0"})
        frames = await wire.login_with(USER, PASSWORD)
        assert errors(frames) == ["3D000"]


async def test_a_shard_that_is_away_concerns_its_own_statements_only(postgres: Postgres, wire: Wire) -> None:
    there, away = (f"SELECT name FROM customers WHERE id = {key}" for key in (FIRST, OTHER))
    await postgres.fetch(f"ALTER DATABASE {DATABASE}_s1 WITH ALLOW_CONNECTIONS false")
    try:

        async def is_away() -> bool:
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            await postgres.fetch(sql, f"{DATABASE}_s1")
            return errors(await wire.query(away)) == ["55000"]

        await wait_until(is_away)
        assert rows(await wire.query(there)) == name_of(FIRST)
        await wire.query("BEGIN")
        frames = await wire.query(away)
        assert (errors(frames), frames[-1].body) == (["55000"], b"E")
        assert errors(await wire.query("SELECT 1")) == ["25P02"]
        assert [frame.body for frame in await wire.query("ROLLBACK")] == [b"ROLLBACK\0", b"I"]
        assert rows(await wire.query(there)) == name_of(FIRST)
    finally:
        await postgres.fetch(f"ALTER DATABASE {DATABASE}_s1 WITH ALLOW_CONNECTIONS true")


# --- where a client says so itself ------------------------------------------------------------------------------------


async def test_a_comment_names_the_shard(wire: Wire) -> None:
    for number, key in (("s0", FIRST), ("s1", OTHER)):
        found = rows(await wire.query(f"/* trunkline: shard={number} */ SELECT name FROM customers"))
        assert found == name_of(key)
        found = rows(await wire.query(f"SELECT name FROM customers /* trunkline: key={key} table=orders */"))
        assert found == name_of(key)
    assert errors(await wire.query("/* trunkline: shard=s9 */ SELECT 1")) == ["42704"]
    assert errors(await wire.query(f"/* trunkline: shard=s1 */ SELECT 1 FROM customers WHERE id = {FIRST}")) == [
        "0A000"
    ]


async def test_a_setting_names_the_shard(wire: Wire) -> None:
    await wire.query("SET trunkline.shard = 's1'")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(OTHER)
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {FIRST}")) == name_of(FIRST)
    assert errors(await wire.query("SET trunkline.shard = 's9'")) == ["42704"]
    await wire.query("BEGIN")
    await wire.query("SET LOCAL trunkline.shard = 's0'")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(FIRST)
    await wire.query("COMMIT")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(OTHER)
    await wire.query("SET trunkline.shard = 's0'")
    await wire.query("BEGIN")
    await wire.query("SET LOCAL trunkline.shard = 's1'")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(OTHER)
    await wire.query("ROLLBACK")
    assert rows(await wire.query("SELECT name FROM customers")) == name_of(FIRST)
    await wire.query("RESET trunkline.shard")
    assert len(rows(await wire.query("SELECT name FROM customers"))) == 2


async def test_a_startup_option_names_the_shard(proxy: Proxy, wire: Wire) -> None:
    async with session(proxy, database=DATABASE, options="-c trunkline.shard=s1") as other:
        assert rows(await other.query("SELECT name FROM customers")) == name_of(OTHER)


# --- EXPLAIN (ROUTE) --------------------------------------------------------------------------------------------------


async def test_explain_route_answers_over_both_protocols(wire: Wire) -> None:
    explained = [
        row[0] for row in rows(await wire.query(f"EXPLAIN (ROUTE) SELECT * FROM orders WHERE customer_id = {OTHER}"))
    ]
    assert explained[:2] == [b"Route: single shard", b"  Shards: s1"]
    await wire.send(
        parse("EXPLAIN (ROUTE) SELECT * FROM orders WHERE customer_id = $1") + bind("", [b"1"]) + execute() + SYNC
    )
    explained = [row[0] for row in rows(await wire.read_until("Z"))]
    assert explained[0] == b"Route: by the value of a parameter"
    explained = [row[0] for row in rows(await wire.query("EXPLAIN (ROUTE) SELECT * FROM orders"))]
    assert explained[:2] == [b"Route: several shards", b"  Shards: s0, s1"]
    assert any(line and line.startswith(b"  Answer: concatenated") for line in explained)


# --- large things ---------------------------------------------------------------------------------------------------


async def test_large_statements_and_values_are_routed_too(wire: Wire) -> None:
    long = "x" * 300_000
    for key, other in zip(REST_OF_0, REST_OF_1, strict=True):
        assert shape(await wire.query(f"INSERT INTO customers VALUES ({key}, '{long}')")) == "CZ"
        await wire.send(
            parse("INSERT INTO customers VALUES ($2, $1)") + bind("", [long.encode(), b"%d" % other]) + execute() + SYNC
        )
        assert shape(await wire.read_until("Z")) == "12CZ"
        found = rows(await wire.query(f"SELECT length(name) FROM customers WHERE id = {other}"))
        assert found == [[b"300000"]]


# --- drivers --------------------------------------------------------------------------------------------------------


async def test_asyncpg_prepares_and_reads(proxy: Proxy, wire: Wire) -> None:
    connection = await asyncpg.connect(host=HOST, port=proxy.port, user=USER, password=PASSWORD, database=DATABASE)
    try:
        for key in (OTHER, FIRST):
            prepared = await connection.prepare(f"SELECT name FROM customers WHERE id = $1 AND {key} = {key}")
            assert await prepared.fetchval(key) == f"customer {key}"
            async with connection.transaction():
                assert await connection.fetchval("SELECT name FROM customers WHERE id = $1", key) == f"customer {key}"
    finally:
        await connection.close()


# --- what operators see -----------------------------------------------------------------------------------------------


async def test_templates_are_counted_and_explained_by_their_own_literals(proxy: Proxy, wire: Wire) -> None:
    for _ in range(5):
        await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")
    routes = await proxy.admin("SHOW ROUTES")
    [route] = [row for row in routes if row["template"].startswith("select name from customers where id =")]
    assert (route["database"], route["route"], int(route["calls"])) == (DATABASE, "routed", 5)
    [cache] = await proxy.admin("SHOW ROUTE_CACHES")
    assert int(cache["hits"]) >= 4
    explained = rows(await wire.query(f"EXPLAIN (ROUTE) SELECT name FROM customers WHERE id = {OTHER}"))
    assert [b"        Key: id = %d" % OTHER] in explained


async def test_ddl_that_goes_through_is_known(wire: Wire) -> None:
    assert errors(await wire.query("SELECT 1 FROM late")) == ["42P01"]
    for shard in ("s0", "s1"):
        assert (
            shape(await wire.query(f"/* trunkline: shard={shard} */ CREATE VIEW late AS SELECT * FROM customers"))
            == "CZ"
        )

    async def is_known() -> bool:
        return rows(await wire.query("EXPLAIN (ROUTE) SELECT * FROM late"))[0] == [b"Route: several shards"]

    await wait_until(is_known)
    assert rows(await wire.query(f"SELECT name FROM late WHERE id = {OTHER}")) == name_of(OTHER)


async def test_notifications_are_at_home(wire: Wire, proxy: Proxy) -> None:
    async with session(proxy, database=DATABASE) as listener:
        await listener.query("LISTEN news")
        await wire.query("BEGIN")
        await wire.query("NOTIFY news, 'heard'")
        await wire.query("COMMIT")
        assert (await listener.read_frame()).type == "A"
        await listener.query("BEGIN")
        await listener.query(f"SELECT name FROM customers WHERE id = {OTHER}")
        assert errors(await listener.query("LISTEN others")) == ["0A000"]


async def test_a_comment_says_where_a_statement_of_the_session_goes(wire: Wire) -> None:
    assert errors(await wire.query("/* trunkline: shard=s1 */ COMMIT PREPARED 'no such'")) == ["42704"]


async def test_a_pinned_client_is_told_why_another_shard_is_out_of_reach(wire: Wire) -> None:
    await wire.query("CREATE TEMP TABLE mine (id int)")
    [said] = messages(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}"))
    assert said == "this client keeps its server on shard s0, and the statement concerns shard s1"
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {FIRST}")) == name_of(FIRST)
    await wire.query("DROP TABLE mine")
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == name_of(OTHER)


async def test_sql_does_not_execute_what_was_prepared_over_the_protocol(wire: Wire) -> None:
    await wire.send(parse("SELECT name FROM customers WHERE id = $1", "by_key") + SYNC)
    await wire.read_until("Z")
    for sql in (
        f"EXECUTE by_key({OTHER})",
        f"EXPLAIN EXECUTE by_key({OTHER})",
        "CREATE TABLE copied AS EXECUTE by_key(1)",
    ):
        assert errors(await wire.query(sql)) == ["0A000"]
    await wire.send(bind("by_key", [b"%d" % OTHER]) + execute() + SYNC)
    assert rows(await wire.read_until("Z")) == name_of(OTHER)


# --- what could be read otherwise -------------------------------------------------------------------------------------


async def test_a_row_without_a_key_lies_where_it_is_looked_for(wire: Wire) -> None:
    assert errors(await wire.query("INSERT INTO customers VALUES (NULL, 'nobody')")) == ["23502"]
    for _ in range(2):
        await wire.send(parse("INSERT INTO loose VALUES ($1)") + bind("", [None]) + execute() + SYNC)
        assert shape(await wire.read_until("Z")) == "12CZ"
    assert shape(await wire.query("INSERT INTO loose VALUES (NULL)")) == "CZ"
    assert rows(await wire.query("SELECT count(*) FROM loose WHERE id IS NULL")) == [[b"3"]]
    assert shape(await wire.query("DELETE FROM loose WHERE id = NULL")) == "CZ"


async def test_a_text_in_another_encoding_is_refused_where_it_is_not_ascii(wire: Wire) -> None:
    await wire.query("SET client_encoding = 'LATIN1'")
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == name_of(OTHER)
    assert errors(await wire.query(b"SELECT name FROM customers WHERE name = '\xe9' AND id = 1")) == ["0A000"]
    await wire.send(
        parse("SELECT name FROM customers WHERE name = $1 AND id = 1") + bind("", [b"\xe9"]) + execute() + SYNC
    )
    assert errors(await wire.read_until("Z")) == ["0A000"]


async def test_a_string_that_may_end_elsewhere_is_refused(wire: Wire) -> None:
    await wire.query("SET standard_conforming_strings = off")
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = '{OTHER}'")) == name_of(OTHER)
    assert errors(await wire.query(rf"SELECT name FROM customers WHERE name <> '\'' AND id = {FIRST} --'")) == ["0A000"]
