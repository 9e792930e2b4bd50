"""When a server goes back to its pool, for whom, and what the next client finds there."""

from __future__ import annotations

import asyncio
import struct

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.transcript import errors, messages, same_as_direct, session, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, error_fields, execute, frame, parse, query, rows

INT4PL = 177  # the oid of int4pl(int, int), pg_proc.dat


async def pid_of(wire: Wire) -> bytes:
    return rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or b""


def url_of(postgres: Postgres, database: str = "postgres") -> str:
    return f"postgres://{HOST}:{postgres.port}/{database}"


# --- session ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def session_pool(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"pool_mode": "session", "default_pool_size": 1}, databases={"postgres": postgres})


async def test_a_session_keeps_its_server_and_all_its_state(session_pool: Proxy) -> None:
    async with session(session_pool) as wire:
        await wire.query(
            "CREATE TEMP TABLE mine AS SELECT 5 AS n; SET work_mem = '5MB'; PREPARE p AS SELECT n FROM mine"
        )
        assert rows(await wire.query("EXECUTE p")) == [[b"5"]]
        await transact(wire, parse("SELECT n + 1 FROM mine", "s"), SYNC)
        assert rows(await transact(wire, bind("s"), execute(), SYNC)) == [[b"6"]]
        assert rows(await wire.query("SHOW work_mem")) == [[b"5MB"]]


async def test_the_next_session_finds_nothing_of_the_last(session_pool: Proxy) -> None:
    async with session(session_pool) as wire:
        pid = await pid_of(wire)
        await wire.query("CREATE TEMP TABLE mine (n int); SET work_mem = '5MB'; PREPARE p AS SELECT 1; LISTEN x")
        await wire.query("SELECT pg_advisory_lock(1)")
        await transact(wire, parse("SELECT 1", "s"), SYNC)
    async with session(session_pool) as wire:
        assert await pid_of(wire) == pid
        assert rows(await wire.query("SHOW work_mem")) == [[b"4MB"]]
        assert errors(await wire.query("SELECT * FROM mine")) == ["42P01"]
        assert errors(await wire.query("EXECUTE p")) == ["26000"]
        assert errors(await transact(wire, bind("s"), execute(), SYNC)) == ["26000"]
        assert rows(await wire.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == [[b"0"]]


async def test_a_session_that_waits_gets_the_server_of_one_that_left(session_pool: Proxy) -> None:
    async with await Wire.connect(session_pool.port) as second:
        async with session(session_pool) as first:
            await pid_of(first)
            logging_in = asyncio.create_task(second.login("postgres", PASSWORD))
            await wait_until(lambda: _waits(session_pool))
        await logging_in
        assert rows(await second.query("SELECT 'waited'")) == [[b"waited"]]


async def test_a_session_left_in_a_transaction_is_not_handed_on(postgres: Postgres, session_pool: Proxy) -> None:
    async with session(session_pool) as wire:
        await wire.query("BEGIN; CREATE TABLE half_done (n int)")
    async with session(session_pool) as wire:
        assert rows(await wire.query("SELECT to_regclass('half_done') IS NULL")) == [[b"t"]]
        assert (await wire.query("SELECT 1"))[-1].body == b"I"


async def test_a_listener_hears_while_it_is_idle(session_pool: Proxy, postgres: Postgres) -> None:
    async with session(session_pool) as wire:
        await wire.query("LISTEN news")
        await postgres.fetch("NOTIFY news, 'for you'")
        heard = await wire.read_frame()
        assert heard.type == "A"
        assert heard.body[4:] == b"news\0for you\0"
        await wire.query("NOTIFY news, 'mine'")
        assert shape(await wire.query("SELECT 1")) == "TDCZ"


async def test_a_reset_query_of_ones_own_is_used(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"pool_mode": "session", "default_pool_size": 1, "server_reset_query": "SET work_mem = '7MB'"}
    proxy = await start_proxy(config, databases={"postgres": postgres}, audited=False)
    async with session(proxy) as wire:
        await wire.query("CREATE TEMP TABLE kept (n int)")
    async with session(proxy) as wire:
        assert rows(await wire.query("SHOW work_mem")) == [[b"7MB"]]
        assert errors(await wire.query("SELECT * FROM kept")) == []


async def test_a_server_whose_reset_fails_is_closed(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"pool_mode": "session", "default_pool_size": 1, "server_reset_query": "SELECT 1/0"}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    pids = []
    for _ in range(2):
        async with session(proxy) as wire:
            pids.append(await pid_of(wire))
    assert pids[0] != pids[1]


async def test_the_reset_query_may_run_in_every_mode(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"default_pool_size": 1, "server_reset_query_always": True}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        await transact(first, parse("SELECT 'prepared'", "s"), SYNC)
        await first.query("SET work_mem = '9MB'; CREATE TEMP TABLE mine (n int)")
        assert rows(await second.query("SHOW work_mem")) == [[b"4MB"]]
        assert errors(await first.query("SELECT * FROM mine")) == ["42P01"]
        assert rows(await transact(first, bind("s"), execute(), SYNC)) == [[b"prepared"]]


# --- transaction ------------------------------------------------------------------------------------------------


async def test_a_transaction_keeps_its_server(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        await first.query("BEGIN")
        pid = await pid_of(first)
        for _ in range(3):
            assert await pid_of(second) != pid
            assert await pid_of(first) == pid
        await first.query("COMMIT")


async def test_a_failed_transaction_keeps_its_server_until_rollback(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        await first.query("BEGIN; SELECT 1/0")
        await second.send_query("SELECT 'waited'")
        assert errors(await first.query("SELECT 1")) == ["25P02"]
        await first.query("ROLLBACK")
        assert rows(await second.read_until("Z")) == [[b"waited"]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "",
        "DO $$BEGIN RAISE NOTICE 'noticed'; RAISE WARNING 'warned'; END$$",
        "SELECT 'never ends",
        "SET LOCAL work_mem = '5MB'",
        "COMMIT",
        "BEGIN; SELECT 1; COMMIT",
        "SELECT repeat('x', 20000000)",
        "SELECT repeat('y', 100) FROM generate_series(1, 200000)",
        "SELECT " + ", ".join(str(number) for number in range(1600)),
        "SELECT '" + "long" * 100_000 + "'",
    ],
    ids=lambda sql: sql[:30],
)
async def test_a_simple_query_is_answered_as_postgresql_does(postgres: Postgres, proxy: Proxy, sql: str) -> None:
    async def scenario(wire: Wire) -> list[Frame]:
        return await wire.query(sql)

    await same_as_direct(postgres, proxy, scenario)


async def test_a_function_call_is_answered(postgres: Postgres, proxy: Proxy) -> None:
    def call(oid: int, *arguments: int) -> bytes:
        packed = b"".join(struct.pack("!ii", 4, argument) for argument in arguments)
        return frame("F", struct.pack("!IHHH", oid, 1, 1, len(arguments)) + packed + struct.pack("!H", 1))

    async def scenario(wire: Wire) -> list[Frame]:
        frames = await transact(wire, call(INT4PL, 40, 2), query("SELECT 1"), units=2)
        frames += await transact(wire, call(0, 1), units=1)
        return frames + await transact(wire, query("BEGIN"), call(INT4PL, 1, 2), query("COMMIT"), units=3)

    frames = await same_as_direct(postgres, proxy, scenario)
    assert frames[0] == Frame("V", struct.pack("!ii", 4, 42))
    assert errors(frames) == ["42883"]


# --- statement --------------------------------------------------------------------------------------------------


async def test_statement_pooling_refuses_a_block(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"pool_mode": "statement", "default_pool_size": 1}, databases={"postgres": postgres})
    async with session(proxy) as wire, session(proxy) as other:
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        assert shape(await wire.query("BEGIN; SELECT 1; COMMIT")) == "CTDCCZ"
        await wire.send_query("BEGIN")
        last = (await wire.read_frames_to_end())[-1]
        assert error_fields(last)["S"] == "FATAL"
        assert errors([last]) == ["0A000"]
        assert "statement mode" in messages([last])[0]
        assert rows(await other.query("SELECT 2")) == [[b"2"]]


# --- whose mode -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database", "user", "password", "keeps"),
    [
        ("plain", "postgres", PASSWORD, False),
        ("settled", "postgres", PASSWORD, True),
        ("plain", "settler", "secret", True),
    ],
)
async def test_the_mode_is_the_users_then_the_databases(
    postgres: Postgres, start_proxy: ProxyFactory, database: str, user: str, password: str, keeps: bool
) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS settler")
    await postgres.create_role("settler", "secret")
    databases = {"plain": url_of(postgres), "settled": {"primary": url_of(postgres), "pool_mode": "session"}}
    config = {"default_pool_size": 1, "users": {"settler": {"pool_mode": "session"}}}
    proxy = await start_proxy(config, databases=databases, users={"settler": "secret"})
    async with await Wire.connect(proxy.port) as second:
        async with await Wire.connect(proxy.port) as first:
            await first.login(user, password, database=database)
            logging_in = asyncio.create_task(second.login(user, password, database=database))
            if keeps:
                await wait_until(lambda: _waits(proxy))
            else:
                await logging_in
        await logging_in
        assert rows(await second.query("SELECT 'answered'")) == [[b"answered"]]


async def _waits(proxy: Proxy) -> bool:
    return any(row["cl_waiting"] for row in await proxy.admin("SHOW POOLS"))


async def test_a_wildcard_database_serves_any_name(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP DATABASE IF EXISTS wild WITH (FORCE)")
    await postgres.fetch("CREATE DATABASE wild")
    proxy = await start_proxy(databases={"*": f"postgres://{HOST}:{postgres.port}"})
    for name in ("wild", "postgres", "template1"):
        assert await proxy.fetch("SELECT current_database()", database=name) == [(name,)]
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "nowhere"})
        assert errors([(await wire.login_with("postgres", PASSWORD))[-1]]) == ["3D000"]


async def test_a_forced_user_is_everybodys(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS servant")
    await postgres.create_role("servant", "of all")
    url = f"postgres://servant:of%20all@{HOST}:{postgres.port}/postgres"
    proxy = await start_proxy({"default_pool_size": 1}, databases={"app": url}, users={"stranger": "strange"})
    async with session(proxy, database="app") as first, await Wire.connect(proxy.port) as second:
        await second.login("stranger", "strange", database="app")
        assert rows(await first.query("SELECT current_user, session_user")) == [[b"servant", b"servant"]]
        assert rows(await second.query("SELECT current_user")) == [[b"servant"]]
        assert await pid_of(first) == await pid_of(second)
