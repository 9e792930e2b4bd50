"""What runs again over two shards is asked at once, and answered as the first time: as one PostgreSQL does.

Each statement here has run before, so that nothing has to be waited for but its answers; what it meets then is a fault
that it did not meet before, by what its rows say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import SHARDS, keys_of
from tests.integration.spread_pair import Pair, asked, readable, two_shards_and_one_whole
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, close, describe, error_fields, execute, frame, parse, query, rows

DATABASE = "at_once"
A, B = keys_of(0, 6), keys_of(1, 6)
SCHEMA = "CREATE TABLE things (id int8 PRIMARY KEY, size int4 NOT NULL, name text)"
ALL = "SELECT id FROM things ORDER BY id"
LOCKED = "SELECT pid FROM pg_stat_activity WHERE datname LIKE %s AND wait_event_type = 'Lock'"
STATEMENTS = (
    "SELECT id, size, name FROM things ORDER BY id LIMIT 5",
    "SELECT id FROM things ORDER BY size DESC, id OFFSET 2;",
    "SELECT count(*), sum(size), avg(size), min(id) FROM things",
    "SELECT size, count(*) FROM things GROUP BY size ORDER BY size",
    "SELECT DISTINCT size FROM things ORDER BY size",
    "SELECT id FROM things WHERE size < 0",
    "SELECT id FROM things ORDER BY id LIMIT 0",
    "SELECT size, count(*) FROM things GROUP BY size HAVING count(*) > 1 ORDER BY count(*) DESC, size",
    "TABLE things",
)


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    tables = {"things": {"shard_by": "id"}}
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, tables) as made:
        values = ", ".join(f"({key}, {place % 4 + 1}, 'n{place}')" for place, key in enumerate([*A, *B]))
        await made.both(f"INSERT INTO things VALUES {values}")
        yield made


async def change(pair: Pair, sql: str) -> None:
    """Beside the clients, everywhere."""
    for name in (*SHARDS, "whole"):
        await pair.postgres.fetch(sql, database=f"{DATABASE}_{name}")


@pytest.mark.parametrize("sql", STATEMENTS)
async def test_each_time_the_answer_is_the_same(pair: Pair, sql: str) -> None:
    in_order = "ORDER" in sql
    for _ in range(3):
        await pair.both(sql, in_order=in_order)
        await pair.both(sql, [], in_order=in_order)


async def test_a_prepared_statement_is_run_in_every_way(pair: Pair) -> None:
    sql = "SELECT id, size FROM things ORDER BY id LIMIT 3"
    run = bind(statement="s") + execute() + SYNC
    ways = (
        run,
        run,
        bind(statement="s", result_formats=[1]) + describe("P") + execute() + SYNC,
        bind(statement="s", result_formats=[1, 0]) + describe("P") + execute() + SYNC,
        bind(statement="s") + execute(max_rows=2) + execute() + SYNC,
        run + run,
        parse(sql) + bind() + execute() + SYNC + run,
        bind() + execute() + SYNC,  # of the unnamed statement, which is still there
        query(sql) + run,
        bind(statement="nobody") + execute() + SYNC,
        close("S", "s") + SYNC,
    )
    for wire in (pair.sharded, pair.whole):
        await wire.send(parse(sql, name="s") + SYNC)
        await wire.read_until("Z")
    for way in ways:
        told = []
        for wire in (pair.sharded, pair.whole):
            await wire.send(way)
            reply = []
            for _ in range(way.count(SYNC) + (way[:1] == b"Q")):
                reply += await wire.read_until("Z")
            told.append(readable(reply, in_order=True))
        assert told[0] == told[1]


async def test_what_is_said_behind_it_and_in_pieces_is_heard(pair: Pair) -> None:
    sql = "SELECT id FROM things ORDER BY id LIMIT 2"
    for _ in range(2):
        await pair.both(sql)
    whole = query(sql) + query("SELECT 7") + query(sql) + query(f"SELECT size FROM things WHERE id = {A[0]}")
    for pieces in ([whole], [whole[:9], whole[9:]], [whole[:-3], whole[-3:]]):
        for piece in pieces:
            await pair.sharded.send(piece)
        replies = [await pair.sharded.read_until("Z") for _ in range(4)]
        assert [len(rows(reply)) for reply in replies] == [2, 1, 2, 1]


@pytest.mark.parametrize("values", [None, []])
async def test_an_error_of_one_shard_is_told_as_it_is(pair: Pair, values: list[bytes | None] | None) -> None:
    sql = "SELECT 12 / size FROM things ORDER BY 1"
    for _ in range(2):
        await pair.both(sql, values)
    await change(pair, f"UPDATE things SET size = 0 WHERE id = {B[0]}")
    assert "22012" in errors(await asked(pair.sharded, sql, values))
    await pair.both(sql, values)
    await change(pair, f"UPDATE things SET size = 1 WHERE id = {B[0]}")
    await pair.both(sql, values)


async def test_an_answer_that_is_larger_than_what_is_kept_is_given(pair: Pair) -> None:
    sql = "SELECT id, repeat(name, size) FROM things ORDER BY id"
    for _ in range(2):
        await pair.both(sql)
    await change(pair, "UPDATE things SET size = 100000")
    for _ in range(2):
        assert len(rows(await pair.both(sql))) == 12


async def test_a_shard_whose_columns_have_changed_is_refused(pair: Pair) -> None:
    sql = "SELECT name FROM things"
    for _ in range(2):
        assert len(rows(await pair.sharded.query(sql))) == 12
    await pair.postgres.fetch("ALTER TABLE things ALTER name TYPE varchar(9)", database=f"{DATABASE}_s1")
    reply = await pair.sharded.query(sql)
    assert errors(reply) == ["0A000"]
    assert f"{DATABASE}/s1" in error_fields(reply[-2])["D"]


@asynccontextmanager
async def held_up(pair: Pair, *wires: Wire) -> AsyncIterator[None]:
    """What has been answered before is asked again, and waits at one shard."""
    for wire in wires:
        for _ in range(2):
            assert len(rows(await wire.query(ALL))) == 12
    locker = await pair.postgres.connect(f"{DATABASE}_s0")
    async with locker, locker.transaction():
        await locker.execute("LOCK TABLE things")
        for wire in wires:
            await wire.send(query(ALL))
        await wait_until(lambda: pair.postgres.fetch(LOCKED, f"{DATABASE}_s_"), what="one waits")
        yield


async def nobody_waits(pair: Pair) -> None:
    async def over() -> bool:
        return not await pair.postgres.fetch(LOCKED, f"{DATABASE}_s_")

    await wait_until(over, what="nobody waits")


async def test_it_can_be_seen_and_cancelled(pair: Pair) -> None:
    async with held_up(pair, pair.sharded):
        shown = await pair.proxy.admin("SHOW QUERIES")
        assert [(one["state"], one["shards"]) for one in shown] == [("merge", "s0,s1")]
        await Wire.cancel(pair.proxy.port, pair.sharded.backend_pid, pair.sharded.cancel_key)
        reply = await pair.sharded.read_until("Z")
        assert (errors(reply), reply[-1].body) == (["57014"], b"I")
        assert await pair.proxy.admin("SHOW QUERIES") == []
    await pair.both(ALL)


async def test_it_is_answered_when_the_shards_have_answered(pair: Pair) -> None:
    async with held_up(pair, pair.sharded):
        await pair.sharded.send(query("SELECT 7"))
    assert len(rows(await pair.sharded.read_until("Z"))) == 12
    assert rows(await pair.sharded.read_until("Z")) == [[b"7"]]


async def test_a_client_that_leaves_stops_it(pair: Pair) -> None:
    async with session(pair.proxy, database=DATABASE) as leaver, held_up(pair, leaver):
        leaver.abort()
        await nobody_waits(pair)
    await pair.both(ALL)


async def test_a_shard_that_is_lost_is_told(pair: Pair) -> None:
    async with held_up(pair, pair.sharded):
        ((pid,),) = await pair.postgres.fetch(LOCKED, f"{DATABASE}_s_")
        await pair.postgres.fetch("SELECT pg_terminate_backend(%s)", pid)
        reply = await pair.sharded.read_until("Z")
        assert (shape(reply)[-2:], reply[-1].body) == ("EZ", b"I")
        assert error_fields(reply[-2])["C"] in ("57P01", "08006")
    await pair.both(ALL)


async def test_who_waits_for_a_server_is_answered_when_there_is_one(pair: Pair) -> None:
    """Two clients have both servers of each shard; a third is in line, and has one then."""
    async with session(pair.proxy, database=DATABASE) as one, session(pair.proxy, database=DATABASE) as other:
        async with held_up(pair, pair.sharded, one, other):

            async def in_line() -> bool:
                return any(int(row["cl_waiting"]) for row in await pair.proxy.admin("SHOW POOLS"))

            await wait_until(in_line, what="the third is in line")
        for wire in (pair.sharded, one, other):
            assert len(rows(await wire.read_until("Z"))) == 12
    await pair.both(ALL)


async def test_a_commit_under_way_is_seen_whole_or_not_at_all(pair: Pair) -> None:
    """A writer moves a size from one shard to the other; every reader sees the same sum."""
    sql = "SELECT sum(size) FROM things"
    wanted = rows(await pair.both(sql))

    async def writes() -> None:
        async with session(pair.proxy, database=DATABASE) as wire:
            for _ in range(20):
                for key, sign in ((A[0], "+"), (B[0], "-")):
                    await wire.query("BEGIN" if sign == "+" else "SELECT 1")
                    await wire.query(f"UPDATE things SET size = size {sign} 1 WHERE id = {key}")
                await wire.query("COMMIT")

    async def reads() -> None:
        async with session(pair.proxy, database=DATABASE) as wire:
            for _ in range(80):
                assert rows(await wire.query(sql)) == wanted

    await asyncio.gather(writes(), reads(), reads())


async def test_settings_of_its_client_hold_for_it(pair: Pair) -> None:
    sql = "SELECT current_setting('application_name'), id FROM things ORDER BY id LIMIT 1"
    for name in ("one", "two", "one"):
        for wire in (pair.sharded, pair.whole):
            await wire.query(f"SET application_name = '{name}'")
        for _ in range(2):
            assert rows(await pair.both(sql))[0][0] == name.encode()


async def test_a_malformed_bind_ends_nothing_but_its_batch(pair: Pair) -> None:
    sql = "SELECT id FROM things ORDER BY id LIMIT 1"
    for _ in range(2):
        await pair.both(sql, [])
    await pair.sharded.send(parse(sql) + frame("B", b"\0\0\0\0\0\x05\0\0") + execute() + SYNC)
    assert errors(await pair.sharded.read_until("Z")) == ["08P01"]
    await pair.both(sql, [])


async def test_drivers_are_answered(pair: Pair) -> None:
    connection = await pair.proxy.connect(DATABASE)
    async with connection:
        for prepare in (None, True):
            for _ in range(7):
                found = await connection.execute("SELECT id FROM things ORDER BY id", prepare=prepare)
                assert [one for (one,) in await found.fetchall()] == sorted([*A, *B])
        with pytest.raises(psycopg.errors.UndefinedColumn):
            await connection.execute("SELECT missing FROM things")


async def test_many_at_a_time_have_their_own_answers(pair: Pair) -> None:
    async def asks(number: int) -> None:
        async with session(pair.proxy, database=DATABASE) as wire:
            for _ in range(20):
                found = rows(await wire.query(f"SELECT {number}, id FROM things ORDER BY id LIMIT 3"))
                assert found == [[b"%d" % number, b"%d" % key] for key in sorted([*A, *B])[:3]]

    await asyncio.gather(*map(asks, range(8)))
