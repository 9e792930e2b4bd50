"""SELECT ... LIMIT n FOR UPDATE SKIP LOCKED over two shards: what a queue of jobs gets of one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import SHARDS, keys_of
from tests.integration.spread_pair import Pair, two_shards_and_one_whole
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows

DATABASE = "claims"
SCHEMA = """
CREATE TYPE state AS ENUM ('ready', 'done');
CREATE TABLE jobs (id int8 PRIMARY KEY, priority int4 NOT NULL, run_at timestamptz NOT NULL DEFAULT '2020-01-01',
 state state NOT NULL DEFAULT 'ready', worker text, payload jsonb);
"""
TABLES = {"jobs": {"shard_by": "id"}}
IDS = sorted([*keys_of(0, 20), *keys_of(1, 20)])
FIRST = "SELECT id, priority, state, payload FROM jobs WHERE state = 'ready' AND run_at <= now() ORDER BY priority, id"
ANY = "SELECT id FROM jobs WHERE state = 'ready'"


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as pair:
        jobs = ", ".join(f"({key}, {place % 7}, '{{\"n\": {place}}}')" for place, key in enumerate(IDS))
        await pair.both(f"INSERT INTO jobs (id, priority, payload) VALUES {jobs}")
        yield pair


async def locked(pair: Pair) -> list[int]:
    """The jobs that somebody holds locked, as a server of each shard sees them."""
    free: set[int] = set()
    for shard in SHARDS:
        sql = "SELECT id FROM jobs FOR UPDATE SKIP LOCKED"
        free |= {found[0] for found in await pair.postgres.fetch(sql, database=f"{DATABASE}_{shard}")}
    return sorted(set(IDS) - free)


def ids(reply: object) -> list[int]:
    return [int(row[0] or b"") for row in rows(reply)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "behind",
    [
        "LIMIT 5 FOR UPDATE SKIP LOCKED",
        "FOR UPDATE SKIP LOCKED LIMIT 5",
        "LIMIT 3 OFFSET 4 FOR NO KEY UPDATE OF jobs SKIP LOCKED",
        "LIMIT 100 FOR SHARE NOWAIT",
        "FETCH FIRST 4 ROWS ONLY FOR UPDATE",
        "LIMIT 0 FOR UPDATE SKIP LOCKED",
        "LIMIT ALL FOR UPDATE SKIP LOCKED",
        "LIMIT -1 FOR UPDATE SKIP LOCKED",
        "LIMIT 1 OFFSET -1 FOR UPDATE",
    ],
)
async def test_the_first_rows_of_all_are_given_and_no_others_locked(pair: Pair, behind: str) -> None:
    await pair.both("BEGIN")
    await pair.both(f"{FIRST} {behind}")
    everywhere = f"{DATABASE}_whole"
    free = await pair.postgres.fetch("SELECT id FROM jobs FOR UPDATE SKIP LOCKED", database=everywhere)
    assert await locked(pair) == sorted(set(IDS) - {found[0] for found in free})
    await pair.both("COMMIT")
    assert await locked(pair) == []
    await pair.both(f"{FIRST} {behind}")


async def test_parameters_and_both_formats(pair: Pair) -> None:
    sql = "SELECT * FROM jobs AS j WHERE priority < $1 ORDER BY priority DESC, id LIMIT $2 FOR UPDATE OF j SKIP LOCKED"
    assert len(rows(await pair.both(sql, [b"4", b"7"]))) == 7
    assert rows(await pair.both(sql, [b"0", b"7"])) == []
    await pair.both(sql, [b"4", b"-7"])


async def test_what_somebody_else_has_is_passed_over(pair: Pair) -> None:
    async with (
        session(pair.proxy, database=DATABASE) as other,
        session(pair.postgres, database=f"{DATABASE}_whole") as same,
    ):
        for wire in (other, same):
            await wire.query("BEGIN")
            await wire.query(f"{FIRST} LIMIT 4 FOR UPDATE SKIP LOCKED")
        await pair.both("BEGIN")
        await pair.both(f"{FIRST} LIMIT 4 FOR UPDATE SKIP LOCKED")
        await pair.both(f"{FIRST} LIMIT 2 FOR UPDATE SKIP LOCKED")
        assert len(await locked(pair)) == 8
        await pair.both(f"{FIRST} LIMIT 9 FOR UPDATE NOWAIT")
        await pair.both("ROLLBACK")
        assert len(await locked(pair)) == 4
        for wire in (other, same):
            await wire.query("COMMIT")


async def test_without_an_order_any_that_are_free_are_given(pair: Pair) -> None:
    async with session(pair.proxy, database=DATABASE) as other:
        await pair.sharded.query("BEGIN")
        mine = ids(await pair.sharded.query(f"{ANY} LIMIT 15 FOR UPDATE SKIP LOCKED"))
        assert await locked(pair) == sorted(mine)
        await other.query("BEGIN")
        others = ids(await other.query(f"{ANY} FOR UPDATE SKIP LOCKED LIMIT 30"))
        assert len(mine) == 15
        assert sorted([*mine, *others]) == IDS
        assert errors(await other.query(f"{ANY} LIMIT 40 FOR UPDATE NOWAIT")) == ["55P03"]
        await other.query("ROLLBACK")
        await pair.sharded.query("ROLLBACK")


async def test_who_waits_gets_what_is_first_then(pair: Pair) -> None:
    """The row that was waited for is done meanwhile, or comes later in the order; the next ones are locked instead."""
    (first, second, third, *_) = ids(await pair.both(f"{FIRST} LIMIT 5"))
    async with session(pair.proxy, database=DATABASE) as other:
        await other.query("BEGIN")
        await other.query(f"UPDATE jobs SET state = 'done' WHERE id = {first}")
        await other.query(f"UPDATE jobs SET worker = 'x' WHERE id = {second}")
        await pair.sharded.query("BEGIN")
        await pair.sharded.send_query(f"{FIRST} LIMIT 2 FOR UPDATE")

        async def waits() -> bool:
            sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(await pair.postgres.fetch(sql))

        await wait_until(waits)
        await other.query("COMMIT")
        assert ids(await pair.sharded.read_until("Z")) == [second, third]
        assert await locked(pair) == sorted([second, third])
        await pair.sharded.query("COMMIT")


async def test_workers_share_the_jobs(pair: Pair) -> None:
    """Each takes three at a time, in order, until there are none: each job is done once."""
    done: list[int] = []

    async def work(wire: Wire) -> None:
        while True:
            await wire.query("BEGIN")
            mine = ids(await wire.query(f"{FIRST} LIMIT 3 FOR UPDATE SKIP LOCKED"))
            for job in mine:
                assert not errors(await wire.query(f"UPDATE jobs SET state = 'done' WHERE id = {job}"))
            assert not errors(await wire.query("COMMIT"))
            done.extend(mine)
            if not mine:
                return

    async with session(pair.proxy, database=DATABASE) as a, session(pair.proxy, database=DATABASE) as b:
        await asyncio.gather(work(a), work(b))
    assert sorted(done) == IDS


async def test_a_savepoint_gives_the_locks_back(pair: Pair) -> None:
    await pair.both("BEGIN")
    await pair.both("SAVEPOINT before")
    await pair.both(f"{FIRST} LIMIT 5 FOR UPDATE NOWAIT")
    assert len(await locked(pair)) == 5
    await pair.both("ROLLBACK TO before")
    assert await locked(pair) == []
    await pair.both(f"{FIRST} LIMIT 5 FOR UPDATE")
    await pair.both("COMMIT")


async def test_rights_and_reading_only(pair: Pair) -> None:
    for sql in ("BEGIN READ ONLY", f"{FIRST} LIMIT 1 FOR UPDATE", "ROLLBACK", "BEGIN READ ONLY"):
        await pair.both(sql)
    await pair.both("SELECT id FROM jobs WHERE priority = 99 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    await pair.both("ROLLBACK")


async def test_in_one_snapshot_a_row_that_has_changed_is_an_error(pair: Pair) -> None:
    first = ids(await pair.both(f"{FIRST} LIMIT 1"))[0]
    for sql in ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM jobs"):
        await pair.both(sql)
    async with (
        session(pair.proxy, database=DATABASE) as other,
        session(pair.postgres, database=f"{DATABASE}_whole") as same,
    ):
        for wire in (other, same):
            assert not errors(await wire.query(f"UPDATE jobs SET worker = 'x' WHERE id = {first}"))
    await pair.both(f"{FIRST} LIMIT 3 FOR UPDATE SKIP LOCKED")
    await pair.both("ROLLBACK")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM jobs ORDER BY worker LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT id FROM jobs ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT a.id FROM jobs a JOIN jobs b ON b.id = a.id LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE FOR SHARE",
    ],
)
async def test_what_would_not_be_exact_is_refused(pair: Pair, sql: str) -> None:
    assert errors(await pair.sharded.query(sql)) == ["0A000"]


def test_the_jobs_of_both_shards_alternate() -> None:
    """Else the order of all would not be tried."""
    here = set(keys_of(0, 20))
    assert any((one in here) != (other in here) for one, other in pairwise(IDS))


# --- writes of what is locked -----------------------------------------------------------------------------------------

NEXT = (
    "SELECT id FROM jobs WHERE state = 'ready' AND run_at <= now() ORDER BY priority, id LIMIT 4 FOR UPDATE SKIP LOCKED"
)


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE jobs SET state = 'done', worker = now() > run_at WHERE id IN ({NEXT}) RETURNING id, state",
        f"DELETE FROM jobs WHERE id IN ({NEXT}) RETURNING *",
        f"UPDATE jobs SET state = 'done' WHERE id = ANY (ARRAY({NEXT})) AND priority >= 0 RETURNING jobs.*",
        f"WITH next AS ({NEXT}) UPDATE jobs SET worker = 'me' FROM next WHERE jobs.id = next.id RETURNING jobs.id",
        f"WITH next AS ({NEXT}) UPDATE jobs j SET worker = 'me' WHERE j.id IN (SELECT id FROM next) RETURNING *",
        f"UPDATE jobs j SET worker = 'me' FROM ({NEXT}) AS n WHERE j.id = n.id RETURNING j.id",
        f"DELETE FROM jobs USING ({NEXT.replace(' id ', ' * ', 1)}) AS n WHERE jobs.id = n.id RETURNING n.priority",
        f"DELETE FROM jobs WHERE id = ({NEXT.replace('LIMIT 4', 'LIMIT 1')}) RETURNING id",
        f"DELETE FROM jobs WHERE id IN ({NEXT.replace('LIMIT 4', 'LIMIT 0')}) RETURNING id",
        f"UPDATE jobs SET worker = 'me' WHERE id IN ({NEXT})",
    ],
)
async def test_the_first_rows_that_are_free_are_written(pair: Pair, sql: str) -> None:
    """By one statement, while somebody else has some of them, and again in a block."""
    whole = session(pair.postgres, database=f"{DATABASE}_whole")
    async with session(pair.proxy, database=DATABASE) as other, whole as same:
        for wire in (other, same):
            await wire.query("BEGIN")
            assert len(ids(await wire.query(f"{FIRST} LIMIT 3 FOR UPDATE SKIP LOCKED"))) == 3
        await pair.both(sql, in_order=False)
        await pair.same("jobs")
        await pair.both("BEGIN")
        await pair.both(sql, in_order=False)
        await pair.both("COMMIT")
        for wire in (other, same):
            await wire.query("COMMIT")
    await pair.same("jobs")


async def test_a_limit_and_a_condition_may_be_parameters(pair: Pair) -> None:
    sql = (
        "UPDATE jobs SET worker = $1 WHERE id IN (SELECT id FROM jobs WHERE priority < $2 ORDER BY priority DESC, id"
        " LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id, worker"
    )
    await pair.both(sql, [b"me", b"4", b"6"], in_order=False)
    assert [row[4] for row in await pair.same("jobs")].count("me") == 6


async def test_jobs_are_taken_by_one_statement_each(pair: Pair) -> None:
    taken: list[int] = []
    sql = (
        "UPDATE jobs SET state = 'done' WHERE id IN (SELECT id FROM jobs WHERE state = 'ready' LIMIT 3"
        " FOR UPDATE SKIP LOCKED) RETURNING id"
    )

    async def work(wire: Wire) -> None:
        while mine := ids(await wire.query(sql)):
            taken.extend(mine)

    async with session(pair.proxy, database=DATABASE) as a, session(pair.proxy, database=DATABASE) as b:
        await asyncio.gather(work(a), work(b))
    assert sorted(taken) == IDS


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE jobs SET worker = 'me' WHERE priority IN ({NEXT.replace(' id ', ' priority ', 1)})",
        f"UPDATE jobs SET worker = 'me' WHERE id NOT IN ({NEXT})",
        f"UPDATE jobs SET worker = 'me' WHERE id + 1 IN ({NEXT})",
        f"UPDATE jobs SET worker = (SELECT max(worker) FROM jobs) WHERE id IN ({NEXT})",
        f"UPDATE jobs SET id = 5 WHERE id IN ({NEXT})",
        f"DELETE FROM jobs WHERE id = ({NEXT})",
    ],
)
async def test_a_write_of_other_rows_than_those_that_are_locked_is_refused(pair: Pair, sql: str) -> None:
    assert errors(await pair.sharded.query(sql)) == ["0A000"]
