"""The clocks that end clients and logins: whose connection ends, with which words, and who is not disturbed.

[1c timeouts] [row 61]
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER
from tests.integration.transcript import errors, session, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, error_fields, execute, parse, query, rows
from trunkline.demo.free_port import free_port


async def last_words(wire: Wire) -> tuple[str, str]:
    """(severity, SQLSTATE) of the last thing that is said before the connection ends."""
    fields = error_fields((await wire.read_frames_to_end())[-1])
    return fields["S"], fields["C"]


async def test_a_query_that_runs_too_long_ends_its_client(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "query_timeout": 0.3}, databases={"postgres": postgres})
    async with session(proxy) as wire, session(proxy) as other:
        await wire.send_query("SELECT pg_sleep(60)")
        assert await last_words(wire) == ("FATAL", "57014")
        assert rows(await other.query("SELECT 1")) == [[b"1"]]

    async def stopped() -> bool:
        return await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") == []

    await wait_until(stopped)


SLOW_TO_COMMIT = """
DROP TABLE IF EXISTS slow_to_commit;
CREATE TABLE slow_to_commit (n int);
CREATE OR REPLACE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_to_commit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION commit_slowly()
"""


@pytest.mark.parametrize("limit", ["query_timeout", "transaction_timeout"])
@pytest.mark.parametrize("commit", [query("COMMIT"), parse("COMMIT") + bind() + execute() + SYNC])
async def test_a_commit_that_takes_too_long_may_have_happened(
    postgres: Postgres, start_proxy: ProxyFactory, limit: str, commit: bytes
) -> None:
    await postgres.fetch(SLOW_TO_COMMIT)
    proxy = await start_proxy({limit: 0.5}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        await wire.query("BEGIN")
        await wire.query("INSERT INTO slow_to_commit VALUES (1)")
        await wire.send(commit)
        assert await last_words(wire) == ("FATAL", "08007")
    await postgres.fetch("DROP TABLE slow_to_commit")


async def test_a_query_in_time_is_left_alone(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"query_timeout": 2}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        await wire.query("BEGIN")
        for _ in range(5):  # together longer than the limit
            assert shape(await wire.query("SELECT pg_sleep(0.5)")) == "TDCZ"


async def test_a_client_idle_in_a_transaction_is_ended(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy(
        {"default_pool_size": 1, "idle_transaction_timeout": 0.3}, databases={"postgres": postgres}
    )
    await postgres.fetch("DROP TABLE IF EXISTS half_done")
    async with session(proxy) as wire, session(proxy) as other:
        await wire.query("BEGIN; CREATE TABLE half_done (n int)")
        assert await last_words(wire) == ("FATAL", "25P03")
        assert rows(await other.query("SELECT to_regclass('half_done') IS NULL")) == [[b"t"]]


async def test_a_client_idle_outside_a_transaction_is_not(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"idle_transaction_timeout": 0.2, "transaction_timeout": 0.2, "query_timeout": 5}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with session(proxy) as idle, session(proxy) as wire:
        await idle.query("SELECT 1")
        await wire.query("BEGIN")
        await wire.read_frames_to_end()  # both limits have passed by now
        assert rows(await idle.query("SELECT 2")) == [[b"2"]]


async def test_a_transaction_that_takes_too_long_is_ended(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "transaction_timeout": 0.4}, databases={"postgres": postgres})
    async with session(proxy) as wire, session(proxy) as other:
        await wire.query("BEGIN")
        await wire.query("SELECT 1")
        await wire.send_query("SELECT pg_sleep(60)")
        assert await last_words(wire) == ("FATAL", "25P04")
        assert rows(await other.query("SELECT 1")) == [[b"1"]]


async def test_an_idle_client_is_ended(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"client_idle_timeout": 0.4}, databases={"postgres": postgres})
    async with session(proxy) as idle, session(proxy) as busy:
        pending = asyncio.create_task(last_words(idle))
        while not pending.done():
            assert shape(await busy.query("SELECT pg_sleep(0.05)")) == "TDCZ"
        assert await pending == ("FATAL", "57P05")


async def test_an_idle_client_in_a_transaction_is_not_an_idle_client(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"client_idle_timeout": 0.3}, databases={"postgres": postgres})
    async with session(proxy) as idle, session(proxy) as wire:
        await wire.query("BEGIN")
        await last_words(idle)
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_login_that_takes_too_long_is_ended(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"client_login_timeout": 0.3}, databases={"postgres": postgres})
    async with await Wire.connect(proxy.port) as silent, await Wire.connect(proxy.port) as started:
        await started.send_startup({"user": USER, "database": "postgres"})
        for wire in (silent, started):
            assert await last_words(wire) == ("FATAL", "08P01")
    async with session(proxy) as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


@pytest.mark.parametrize("patience", [0.2, 1])
async def test_a_server_that_does_not_answer_is_given_up(start_proxy: ProxyFactory, patience: float) -> None:
    with socket.create_server((HOST, 0)) as mute:  # connections are made, and nothing is ever said
        port = mute.getsockname()[1]
        config = {"server_connect_timeout": 0.3, "server_login_retry": patience}
        proxy = await start_proxy(config, databases={"postgres": f"postgres://{HOST}:{port}/postgres"})
        async with await Wire.connect(proxy.port) as wire:
            await wire.send_startup({"user": USER, "database": "postgres"})
            assert errors([(await wire.login_with(USER, PASSWORD))[-1]]) == ["08001"]


async def test_a_server_that_comes_back_in_time_is_waited_for(
    own_postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"server_login_retry": 30}, databases={"postgres": own_postgres})
    async with session(proxy) as wire:
        await wire.query("SELECT 1")
        await own_postgres.stop()
        await wire.send_query("SELECT 'after'")
        await own_postgres.start()
        assert rows(await wire.read_until("Z")) == [[b"after"]]


async def test_a_host_that_is_gone_is_told_to_everybody_at_once(start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"server_login_retry": 0.3}, databases={"postgres": f"postgres://{HOST}:{free_port()}/x"})

    async def refused() -> list[str]:
        async with await Wire.connect(proxy.port) as wire:
            await wire.send_startup({"user": USER, "database": "postgres"})
            return errors([(await wire.login_with(USER, PASSWORD))[-1]])

    assert await asyncio.gather(*(refused() for _ in range(10))) == [["08001"]] * 10


async def test_a_limit_of_the_user_wins(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS hasty")
    await postgres.create_role("hasty", "secret")
    config = {"query_timeout": 30, "users": {"hasty": {"query_timeout": 0.2}}}
    proxy = await start_proxy(config, databases={"postgres": postgres}, users={"hasty": "secret"})
    async with await Wire.connect(proxy.port) as wire, session(proxy) as patient:
        await wire.login("hasty", "secret")
        await wire.send_query("SELECT pg_sleep(60)")
        assert await last_words(wire) == ("FATAL", "57014")
        assert shape(await patient.query("SELECT pg_sleep(0.4)")) == "TDCZ"


async def test_an_unfinished_batch_is_idle_in_a_transaction(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy(
        {"default_pool_size": 1, "idle_transaction_timeout": 0.3}, databases={"postgres": postgres}
    )
    async with session(proxy) as wire, session(proxy) as other:
        await wire.send(parse("SELECT 1"), bind(), execute(), FLUSH)
        await wire.read_until("C")
        assert rows(await transact(other, parse("SELECT 2"), bind(), execute(), SYNC)) == [[b"2"]]
        assert (await last_words(wire))[0] == "FATAL"
