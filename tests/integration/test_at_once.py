"""What runs again over two shards is asked at once, and answered as the first time: as one PostgreSQL does.

Each statement here has run before, so that nothing has to be waited for but its answers; what it meets then is a fault
that it did not meet before, by what its rows say.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER
from tests.integration.sharded import SHARDS, keys_of
from tests.integration.spread_pair import Pair, asked, readable, two_shards_and_one_whole
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import (
    SYNC,
    Frame,
    Wire,
    bind,
    close,
    describe,
    error_fields,
    execute,
    frame,
    parse,
    query,
    rows,
)

DATABASE = "at_once"
Value = bytes | None
INT4, INT8 = struct.Struct("!i").pack, struct.Struct("!q").pack
A, B = keys_of(0, 6), keys_of(1, 6)
SCHEMA = (
    "CREATE TABLE things (id int8 PRIMARY KEY, size int4 NOT NULL, name text, born timestamptz DEFAULT '2000-01-01')"
)
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


CALLS: tuple[tuple[str, Sequence[int], Sequence[Sequence[Value]]], ...] = (
    ("SELECT id, size FROM things WHERE size > $1 ORDER BY id", [], [[b"1"], [b"2"], [b"-7"], [None], [b" 3 "]]),
    ("SELECT id, size FROM things WHERE size > $1 ORDER BY id", [23], [[b"1"], [INT4(2)], [INT4(-1)], [b"x"], [b"3"]]),
    ("SELECT id, size FROM things WHERE size > $1 ORDER BY id", [20], [[INT8(1)], [INT4(1)], [INT8(2)]]),
    ("SELECT $1::text, id FROM things WHERE id <> $2 ORDER BY id LIMIT $3", [], [[b"a", b"0", b"3"], [b"b", b"1", b"0"],
     [b"", b"2", None], [None, b"3", b"-1"], [b"c", b"4", b"x"], [b"d", b"5", INT8(2)]]),
    ("SELECT id FROM things ORDER BY id OFFSET $1", [20], [[b"0"], [INT8(3)], [b"99"], [b"-1"], [None]]),
    ("SELECT count(*), sum(size + $1), max(name) FROM things WHERE name <> $2", [],
     [[b"1", b"n1"], [b"2147483647", b"n1"], [b"0", b""], [b"", b""], [b"0", None]]),
    ("SELECT size, count(*) FROM things GROUP BY size HAVING count(*) > 2 ORDER BY count(*) DESC, size", [], [[], []]),
    ("SELECT size, sum(id) FROM things WHERE size < $1 GROUP BY size ORDER BY sum(id) DESC LIMIT $2", [],
     [[b"9", b"2"], [b"3", b"9"], [b"3", b"0"], [b"0", b"9"], [b"9", b"-1"]]),
    ("SELECT 6 / (size - $1) FROM things ORDER BY 1", [], [[b"0"], [b"1"], [b"9"]]),
    ("SELECT id FROM things WHERE born < $1 ORDER BY id", [], [[b"2020-01-01"], [b"infinity"], [b"never"]]),
    ("SELECT id FROM things WHERE size = ANY($1) ORDER BY id", [], [[b"{1,2}"], [b"{}"], [b"{1"], [b"{NULL}"]]),
    ("SELECT DISTINCT size FROM things WHERE name LIKE $1 ORDER BY size", [], [[b"n%"], [b"%1"], [b"\\"], [b"\xff"]]),
)  # fmt: skip


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with things(postgres, start_proxy) as made:
        yield made


@asynccontextmanager
async def things(postgres: Postgres, start_proxy: ProxyFactory, **more: object) -> AsyncIterator[Pair]:
    """Twelve of them, on two shards and on one."""
    tables = {"things": {"shard_by": "id"}}
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, tables, **more) as made:
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


async def told(wire: Wire, said: bytes) -> list[object]:
    """What a client sees of the answers to this."""
    await wire.send(said)
    reply: list[Frame] = []
    for _ in range(said.count(SYNC)):
        reply += await wire.read_until("Z")
    return readable(reply, in_order=True)


def calls_of(sql: str, types: Sequence[int], values: Sequence[Value]) -> list[bytes]:
    """A call in each way that drivers have, with results in both formats, of some rows and of all."""
    formats = [int(value is not None and len(value) in (4, 8) and value[:1] in b"\0\xff") for value in values]
    found = []
    for results in ([], [1]):
        bound = bind(values=values, formats=formats, result_formats=results)
        named = bind(statement="s", values=values, formats=formats, result_formats=results)
        found += [
            parse(sql, types=types) + bound + describe("P") + execute() + SYNC,
            named + execute() + SYNC,
            named + describe("P") + execute() + SYNC,
            named + execute(max_rows=2) + SYNC,
            bound + execute() + SYNC,  # of the unnamed statement, which is still there
        ]
    return found


@pytest.mark.parametrize(("sql", "types", "values"), CALLS)
async def test_a_statement_with_values_is_answered_in_every_way(
    pair: Pair, sql: str, types: Sequence[int], values: Sequence[Sequence[Value]]
) -> None:
    for wire in (pair.sharded, pair.whole):
        await wire.send(parse(sql, name="s", types=types) + SYNC)
        await wire.read_until("Z")
    for _ in range(2):
        for of_one in values:
            for call in calls_of(sql, types, of_one):
                assert await told(pair.sharded, call) == await told(pair.whole, call), (of_one, call)


@pytest.mark.parametrize("word", [b"now", b"today", b"yesterday 12:00"])
async def test_a_value_that_says_now_is_read_once(pair: Pair, word: bytes) -> None:
    for value in (b"1999-01-01", word, b"2001-01-01", word):
        await pair.both("SELECT id FROM things WHERE born < $1 ORDER BY id", [value])


async def test_a_type_that_has_changed_beside_it_is_seen_in_each_call(pair: Pair) -> None:
    sql = "SELECT id FROM things WHERE size > $1 ORDER BY id"
    for value in (b"1", b"2"):
        await pair.both(sql, [value])
    for wire in (pair.sharded, pair.whole):
        assert errors(await wire.query("ALTER TABLE things ALTER size TYPE text")) == []
        assert errors(await asked(wire, sql, [b"x"])) == []
    for value in (b"1", b"x", b"3"):
        await pair.both(sql, [value])


async def test_another_search_path_means_another_table(pair: Pair) -> None:
    sql = "SELECT count(*) FROM things WHERE size > $1"
    for wire in (pair.sharded, pair.whole):
        await wire.query("CREATE SCHEMA other")
    for path in ("public", "other, public", "pg_catalog", "public"):
        for wire in (pair.sharded, pair.whole):
            await wire.query(f"SET search_path = {path}")
        for value in (b"1", b"2", b"3"):
            await pair.both(sql, [value])


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


@pytest.mark.parametrize(("limit", "code"), [("query_timeout", "57014"), ("transaction_timeout", "25P04")])
async def test_one_that_takes_too_long_ends_its_client(
    postgres: Postgres, start_proxy: ProxyFactory, limit: str, code: str
) -> None:
    async with things(postgres, start_proxy, **{limit: 2}) as pair, session(pair.proxy, database=DATABASE) as hasty:
        async with held_up(pair, hasty):
            fields = error_fields((await hasty.read_frames_to_end())[-1])
            assert (fields["S"], fields["C"]) == ("FATAL", code)
            await nobody_waits(pair)
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


async def test_several_workers_answer_alike(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    sql = "SELECT sum(size), count(*) FROM things WHERE size < $1"
    async with things(postgres, start_proxy, workers=2) as pair:
        wanted = rows(await pair.both(sql, [b"1000"]))

        async def moves() -> None:
            async with session(pair.proxy, database=DATABASE) as wire:
                for _ in range(10):
                    await wire.query("BEGIN")
                    for key, sign in ((A[0], "+"), (B[0], "-")):
                        await wire.query(f"UPDATE things SET size = size {sign} 1 WHERE id = {key}")
                    assert errors(await wire.query("COMMIT")) == []

        async def reads() -> None:
            async with session(pair.proxy, database=DATABASE) as wire:
                for _ in range(40):
                    assert rows(await asked(wire, sql, [b"1000"])) == wanted

        await asyncio.gather(moves(), *[reads() for _ in range(4)])
        assert rows(await pair.both(sql, [b"1000"])) == wanted
        await pair.both(sql, [b"x"])


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


async def test_drivers_are_answered_with_values(pair: Pair) -> None:
    below = [one for one in sorted([*A, *B]) if one <= sorted([*A, *B])[5]]
    asyncpg_connection = await asyncpg.connect(
        host="127.0.0.1", port=pair.proxy.port, user=USER, password=PASSWORD, database=DATABASE
    )
    try:
        for _ in range(4):
            found = await asyncpg_connection.fetch("SELECT id FROM things WHERE id <= $1 ORDER BY id", below[-1])
            assert [row["id"] for row in found] == below
            assert await asyncpg_connection.fetchval("SELECT count(*) FROM things WHERE id <= $1", below[-1]) == 6
            first = await asyncpg_connection.fetchrow("SELECT id FROM things WHERE id > $1 ORDER BY id", below[0])
            assert first is not None
            assert first["id"] == below[1]
    finally:
        await asyncpg_connection.close()
    connection = await pair.proxy.connect(DATABASE)
    async with connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            for _ in range(8):
                await cursor.execute("SELECT id FROM things WHERE id <= %s ORDER BY id", (below[-1],))
                assert [one for (one,) in await cursor.fetchall()] == below


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
