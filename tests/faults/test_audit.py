"""The audit at work: it sees every kind of state that a session can be left with, and finds none where none may be."""

from __future__ import annotations

import pytest

from tests.faults.audit import complaints, environment, releases
from tests.faults.bystanders import CREATE, crowd
from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, parse, rows

LEFT = {
    "SET work_mem = '9MB'": "setting b'work_mem'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION DEFERRABLE": "setting b'default_transaction_deferrable'",
    "SELECT set_config('statement_timeout', '77s', false)": "setting b'statement_timeout'",
    "DO $$BEGIN PERFORM set_config('enable_seqscan', 'off', false); END$$": "setting b'enable_seqscan'",
    "SET ROLE pg_monitor": "role is b'pg_monitor'",
    "CREATE TEMP TABLE audited (n int)": "temporary b'audited'",
    "LISTEN audited": "channel b'audited'",
    "SELECT pg_advisory_lock(4711)": "advisory lock b'4711'",
    "BEGIN; DECLARE audited CURSOR WITH HOLD FOR SELECT 1; COMMIT": "cursor b'audited'",
    "PREPARE audited AS SELECT 1": "statement b'audited' by SQL",
}


def audited(postgres: Postgres, **settings: object) -> Proxy:
    databases = {"one": {"primary": f"postgres://127.0.0.1:{postgres.port}/postgres", "pool_size": 1}}
    options = {"pool_mode": "transaction", **settings}
    return Proxy(options, databases=databases, environ=environment(None), audited=False)


@pytest.mark.parametrize("sql", LEFT)
async def test_it_sees_what_is_left_behind(postgres: Postgres, sql: str) -> None:
    """With the looser rules of another pooler, which leave it."""
    async with audited(postgres, session_state="pgbouncer") as proxy:
        async with await log_in(proxy) as wire:
            await wire.query(sql)
            await wait_until(lambda: complaints(proxy.log), what="the audit complains")
        assert LEFT[sql] in complaints(proxy.log)[0]


@pytest.mark.parametrize("sql", LEFT)
async def test_row_64_nothing_is_left_behind(postgres: Postgres, sql: str) -> None:
    async with audited(postgres) as proxy:
        async with await log_in(proxy) as wire:
            await wire.query(sql)
        await expect_own_answers(proxy)
        await proxy.stop()
        assert not complaints(proxy.log)
        assert releases(proxy.log) >= 2


async def test_row_64_the_next_client_acts_for_itself(postgres: Postgres) -> None:
    """SET SESSION AUTHORIZATION follows its client, a role with it; whoever comes next is who it has logged in as."""
    who = "SELECT session_user, current_user, current_setting('is_superuser')"
    async with audited(postgres) as proxy, await log_in(proxy) as first, await log_in(proxy) as second:
        await first.query("SET SESSION AUTHORIZATION pg_monitor")
        assert rows(await second.query(who)) == [[b"postgres", b"postgres", b"on"]]
        assert rows(await first.query(who)) == [[b"pg_monitor", b"pg_monitor", b"off"]]
        await first.query("SET ROLE pg_read_all_stats")
        assert rows(await second.query(who)) == [[b"postgres", b"postgres", b"on"]]
        assert rows(await first.query(who)) == [[b"pg_monitor", b"pg_read_all_stats", b"off"]]
        await first.query("RESET SESSION AUTHORIZATION")
        assert rows(await first.query(who)) == [[b"postgres", b"postgres", b"on"]]
        assert rows(await second.query(who)) == [[b"postgres", b"postgres", b"on"]]
        assert not complaints(proxy.log)


async def test_it_knows_statements_of_ours(postgres: Postgres) -> None:
    async with audited(postgres) as proxy:
        async with await log_in(proxy) as wire:
            for name in ("a", "b"):
                await wire.send(parse(f"SELECT '{name}'", name), SYNC)
                await wire.read_until("Z")
        await expect_own_answers(proxy)
        await proxy.stop()
        assert not complaints(proxy.log)


async def test_nothing_is_left_behind_by_a_crowd(postgres: Postgres) -> None:
    await postgres.fetch(CREATE)
    async with audited(postgres) as proxy:
        async with crowd(proxy, "one", 4) as bystanders:
            await wait_until(lambda: bystanders.answers > 400, 30, what="the bystanders are at work")
        await proxy.stop()
        assert not complaints(proxy.log)
        assert releases(proxy.log) > 400
