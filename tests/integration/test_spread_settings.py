"""Settings of a transaction over several shards, and what its client is told of them with ParameterStatus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import keys_of
from tests.integration.spread_pair import Pair, readable, two_shards_and_one_whole
from tests.integration.transcript import errors
from tests.integration.wire import SYNC, Frame, bind, execute, parse

DATABASE = "spread_settings"
SCHEMA = """
CREATE TABLE moments (id int8 PRIMARY KEY, at timestamptz);
CREATE TABLE secrets (id int8 PRIMARY KEY, owner text);
CREATE FUNCTION be(who text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config('app.user', who, true); END $$;
"""
TABLES = {"moments": {"shard_by": "id"}, "secrets": {"shard_by": "id"}}
A, B = keys_of(0, 1)[0], keys_of(1, 1)[0]
ALL = "SELECT id, at FROM moments ORDER BY id"
OTHER = f"SELECT at FROM moments WHERE id = {B}"
ONE = f"SELECT at FROM moments WHERE id = {A}"
MINE = "SELECT set_config('app.user', 'me', true)"
OWN = "SELECT id FROM secrets WHERE owner = current_setting('app.user', true) ORDER BY id"
OWN_A, OWN_B = (f"{OWN.partition(' ORDER')[0]} AND id = {key}" for key in (A, B))
SHOWN = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('application_name')"


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as made:
        await made.both(f"INSERT INTO moments VALUES ({A}, '2026-07-01 12:00+00'), ({B}, '2026-07-02 12:00+00')")
        await made.both(f"INSERT INTO secrets VALUES ({A}, 'me'), ({B}, 'me'), ({A + 100}, 'you'), ({B + 100}, 'you')")
        yield made


def told(reply: Sequence[Frame]) -> list[Frame]:
    return sorted((one for one in reply if one.type == "S"), key=repr)


async def same(pair: Pair, *texts: str) -> None:
    """Both clients get the same rows, and hear the same of their settings at each step."""
    for sql in texts:
        seen, wanted = await pair.sharded.query(sql), await pair.whole.query(sql)
        assert readable(seen, in_order=True) == readable(wanted, in_order=True), sql
        assert told(seen) == told(wanted), sql


SETS = ("SET LOCAL TimeZone = 'Asia/Tokyo'", "SET LOCAL DateStyle = 'German'", "SET LOCAL application_name = 'ours'")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("sql", SETS)
async def test_set_local_is_told_and_what_was_before_is_told_at_the_end(pair: Pair, sql: str, end: str) -> None:
    await same(pair, "BEGIN", ALL, sql, ALL, SHOWN, ONE, end, ALL, SHOWN, ONE)


@pytest.mark.parametrize("before", [ONE, SHOWN, "SAVEPOINT a", "SELECT 1"])
async def test_set_local_before_the_first_statement_over_several(pair: Pair, before: str) -> None:
    await same(pair, "BEGIN", before, SETS[0], ALL, ONE, "COMMIT", ALL, SHOWN, ONE)
    await same(pair, "BEGIN", before, SETS[0], SETS[2], ONE, ALL, "ROLLBACK", ALL, SHOWN, ONE)


async def test_a_savepoint_takes_a_setting_back(pair: Pair) -> None:
    await same(pair, "BEGIN", ALL, "SAVEPOINT a", SETS[0], ALL, "ROLLBACK TO a", ALL, SETS[1], ALL, "COMMIT", ALL)
    await same(pair, "BEGIN", ONE, "SAVEPOINT a", SETS[0], ALL, "ROLLBACK TO a", ALL, ONE, "COMMIT", ALL)
    await same(pair, "BEGIN", ALL, SETS[0], "SELECT 1/0", "ROLLBACK", ALL, SHOWN)


@pytest.mark.parametrize(
    "sql", ["SELECT 1/0 FROM moments", f"{ALL}; SELECT id, 1/0 FROM moments", "SELECT 1 / (id - id) FROM moments"]
)
async def test_what_cannot_be_planned_has_no_columns(pair: Pair, sql: str) -> None:
    """PostgreSQL describes the rows of a simple query when it has planned it."""
    await same(pair, sql, "BEGIN", ALL, sql, "ROLLBACK")


async def test_all_in_one_query(pair: Pair) -> None:
    await same(pair, f"BEGIN; {ALL}; {SETS[0]}; {ALL}; COMMIT; {ALL}", ALL)
    await same(pair, f"BEGIN; {SETS[0]}; {ALL}", f"COMMIT; {ALL}", SHOWN)


@pytest.mark.parametrize("first", [ALL, ONE, "SELECT 1", "SAVEPOINT a", OTHER])
@pytest.mark.parametrize("values", [None, [b"me"]])
async def test_set_config_of_a_transaction_holds_at_all_its_shards(
    pair: Pair, first: str, values: list[bytes | None] | None
) -> None:
    """As row security is told for whom it is, by literals and by parameters."""
    said = MINE if values is None else "SELECT set_config('app.user', $1, true)"
    for sql in (first, None, OWN, OWN_A, OWN_B, OWN, "COMMIT", OWN, OWN_A, OWN_B):
        if sql == first:
            await pair.both("BEGIN")
        await pair.both(*((sql, None) if sql is not None else (said, values)))


async def test_set_config_is_taken_back_to_a_savepoint(pair: Pair) -> None:
    for sql in (
        "BEGIN",
        ONE,
        MINE,
        "SAVEPOINT a",
        MINE.replace("'me'", "'you'"),
        OWN,
        "ROLLBACK TO a",
        OWN,
        "ROLLBACK",
        OWN,
    ):
        await pair.both(sql)


@pytest.mark.parametrize("first", [ALL, ONE])
async def test_a_reported_setting_by_set_config_is_told(pair: Pair, first: str) -> None:
    await same(pair, "BEGIN", first, "SELECT set_config('TimeZone', 'Asia/Tokyo', true)", ALL, ONE, "COMMIT", ALL, ONE)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT set_config('TimeZone', 'Asia/Tokyo', false)",
        "SELECT set_config('app.user', lower('ME'), true)",
        "SELECT set_config('app.user', 'me', 'true')",
        "SELECT be('me')",
    ],
)
@pytest.mark.parametrize("first", [ALL, ONE])
async def test_what_sets_something_in_another_way_is_refused_over_several(pair: Pair, sql: str, first: str) -> None:
    for one in ("BEGIN", first):
        await pair.both(one)
    told = errors(await pair.sharded.query(sql)) or errors(await pair.sharded.query(OWN))
    assert told == ["0A000"]
    await pair.sharded.query("ROLLBACK")
    await pair.whole.query("ROLLBACK")
    await same(pair, ALL, SHOWN, OWN)


async def test_a_batch_that_sets_something_and_asks_several(pair: Pair) -> None:
    """One implicit transaction: the setting holds for what comes behind it, or that is refused."""
    for first in (ONE, "SELECT 1", ALL):
        asked = [parse(sql) + bind() + execute() for sql in (first, MINE, OWN)]
        replies = []
        for wire in (pair.sharded, pair.whole):
            await wire.send(b"".join(asked) + SYNC)
            replies.append(await wire.read_until("Z"))
        if errors(replies[0]):
            assert errors(replies[0]) == ["0A000"]
        else:
            assert readable(replies[0], in_order=True) == readable(replies[1], in_order=True)


async def test_a_setting_of_the_session_that_the_block_has_made(pair: Pair) -> None:
    """At one shard, before several are concerned: it holds at all of them, or what needs the others is refused."""
    for wire in (pair.sharded, pair.whole):
        for sql in ("BEGIN", ONE, "SAVEPOINT a", "SET TimeZone = 'Asia/Tokyo'", ONE):
            assert errors(await wire.query(sql)) == []
    seen, wanted = await pair.sharded.query(ALL), await pair.whole.query(ALL)
    assert errors(seen) == ["0A000"] or readable(seen, in_order=True) == readable(wanted, in_order=True)
    await same(pair, "ROLLBACK TO a") if not errors(seen) else None
    await same(pair, "ROLLBACK", ALL, SHOWN)
