"""What operators do to a running proxy: reload, pause, resume, drain and stop, with clients at work."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields, query, rows


async def pid_of(wire: Wire) -> bytes:
    return rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or b""


async def login_outcome(proxy: Proxy, user: str = USER, password: str = PASSWORD, database: str = "postgres") -> str:
    """The SQLSTATE with which a login is refused; 00000 when it is not."""
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": user, "database": database})
        return "".join(errors((await wire.login_with(user, password))[-1:])) or "00000"


async def _waits(proxy: Proxy) -> bool:
    return any(pool["cl_waiting"] for pool in await proxy.admin("SHOW POOLS"))


async def last_words(wire: Wire) -> tuple[str, str]:
    fields = error_fields((await wire.read_frames_to_end())[-1])
    return fields["S"], fields["C"]


# --- reload -----------------------------------------------------------------------------------------------------


async def test_a_reload_takes_over_settings_and_tells_the_difference(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "query_wait_timeout": 0.2}, databases={"postgres": postgres})
    async with session(proxy) as holder, session(proxy) as wire:
        await holder.query("BEGIN")
        assert errors(await wire.query("SELECT 1")) == ["53300"]
        proxy.write_config({"default_pool_size": 2, "query_wait_timeout": 5}, {"postgres": postgres})
        told = await proxy.reload()
        assert "default_pool_size" in told
        assert "query_wait_timeout" in told
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        assert shape(await holder.query("COMMIT")) == "CZ"


@pytest.mark.parametrize("fault", ["pool_mode = 'session", "default_pool_size = 'many'", "no_such_setting = 1"])
async def test_a_bad_file_leaves_the_old_settings_whole(
    postgres: Postgres, start_proxy: ProxyFactory, fault: str
) -> None:
    """[row 68]"""
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        before = await proxy.admin("SHOW CONFIG")
        good = proxy.config_path.read_text()
        proxy.config_path.write_text(f"{fault}\nmax_client_conn = 7\n{good}")
        told = await proxy.reload()
        assert "refused" in told
        assert PASSWORD not in told
        assert await proxy.admin("SHOW CONFIG") == before
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        proxy.config_path.write_text(good)
        assert "refused" not in await proxy.reload()


async def test_a_new_server_of_a_database_is_used_after_the_open_transaction(
    postgres: Postgres, replica: Postgres, start_proxy: ProxyFactory
) -> None:
    """[row 69]"""
    where = "SELECT inet_server_port()"
    proxy = await start_proxy(databases={"postgres": postgres})
    async with session(proxy) as busy, session(proxy) as idle:
        await busy.query("BEGIN")
        await idle.query("SELECT 1")
        proxy.write_config({}, {"postgres": replica})
        await proxy.reload()
        assert rows(await idle.query(where)) == [[b"%d" % replica.port]]
        assert rows(await busy.query(where)) == [[b"%d" % postgres.port]]
        await busy.query("COMMIT")
        assert rows(await busy.query(where)) == [[b"%d" % replica.port]]


async def test_users_and_databases_come_and_go(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 69]"""
    url = f"postgres://{HOST}:{postgres.port}/postgres"
    await postgres.fetch("DROP ROLE IF EXISTS newcomer")
    await postgres.create_role("newcomer", "secret")
    proxy = await start_proxy(databases={"postgres": url, "old": url})
    assert await login_outcome(proxy, "newcomer", "secret") == "28P01"
    assert await login_outcome(proxy, database="old") == "00000"
    assert await login_outcome(proxy, database="new") == "3D000"
    proxy.users["newcomer"] = "secret"
    proxy.write_config({}, {"postgres": url, "new": url})
    await proxy.reload()
    assert await login_outcome(proxy, "newcomer", "secret") == "00000"
    assert await login_outcome(proxy, database="old") == "3D000"
    assert await login_outcome(proxy, database="new") == "00000"


async def test_a_pool_that_became_smaller_lets_open_transactions_end(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    """[row 69]"""
    proxy = await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        await first.query("BEGIN")
        await second.query("BEGIN")
        proxy.write_config({"default_pool_size": 1}, {"postgres": postgres})
        await proxy.reload()
        for wire in (first, second):
            assert rows(await wire.query("SELECT 1")) == [[b"1"]]
            await wire.query("COMMIT")
        await first.query("BEGIN")
        await second.send(query("SELECT 2"))
        await wait_until(lambda: _waits(proxy))
        await first.query("COMMIT")
        assert rows(await second.read_until("Z")) == [[b"2"]]


async def test_a_client_of_a_database_that_was_removed_ends_its_transaction_first(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    """[row 69]"""
    url = f"postgres://{USER}:{PASSWORD.replace(' ', '%20')}@{HOST}:{postgres.port}/postgres"
    proxy = await start_proxy(databases={"postgres": url, "old": url})
    async with session(proxy, database="old") as busy:
        await busy.query("BEGIN")
        proxy.write_config({}, {"postgres": url})
        await proxy.reload()
        assert rows(await busy.query("SELECT 1")) == [[b"1"]]
        await busy.query("COMMIT")
        assert await last_words(busy) == ("FATAL", "3D000")


async def test_a_changed_password_counts_from_the_reload(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 69]"""
    url = f"postgres://{USER}:{PASSWORD.replace(' ', '%20')}@{HOST}:{postgres.port}/postgres"
    proxy = await start_proxy(databases={"postgres": url}, users={"guest": "old"})
    assert await login_outcome(proxy, "guest", "old") == "00000"
    proxy.write_users({**proxy.users, "guest": "new"})
    await proxy.reload()
    assert await login_outcome(proxy, "guest", "old") == "28P01"
    assert await login_outcome(proxy, "guest", "new") == "00000"


async def test_the_pool_mode_of_new_clients_follows_a_reload(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})
    proxy.write_config({"default_pool_size": 1, "pool_mode": "session"}, {"postgres": postgres})
    await proxy.reload()
    async with session(proxy) as wire:
        await wire.query("SET work_mem = '9MB'")
        assert rows(await wire.query("SHOW work_mem")) == [[b"9MB"]]
    async with session(proxy) as wire:
        assert rows(await wire.query("SHOW work_mem")) == [[b"4MB"]]


# --- drain ------------------------------------------------------------------------------------------------------


async def test_a_drain_lets_a_transaction_finish(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 66]"""
    proxy = await start_proxy(databases={"postgres": postgres})
    await postgres.fetch("DROP TABLE IF EXISTS drained; CREATE TABLE drained (n int)")
    async with session(proxy) as busy, session(proxy) as idle:
        await busy.query("BEGIN; INSERT INTO drained VALUES (1)")
        proxy.send_signal(signal.SIGTERM)
        assert await last_words(idle) == ("FATAL", "57P01")
        with pytest.raises(ConnectionRefusedError):
            await Wire.connect(proxy.port)
        assert shape(await busy.query("INSERT INTO drained VALUES (2)")) == "CZ"
        assert shape(await busy.query("COMMIT")) == "CZ"
        assert await last_words(busy) == ("FATAL", "57P01")
    assert await proxy.wait() == 0
    assert await postgres.fetch("SELECT sum(n) FROM drained") == [(3,)]


async def test_a_drain_lets_a_query_finish(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 66]"""
    proxy = await start_proxy(databases={"postgres": postgres})
    async with session(proxy) as busy, session(proxy) as idle:
        await busy.send_query("SELECT pg_sleep(0.5), 'whole'")
        proxy.send_signal(signal.SIGTERM)
        await last_words(idle)
        assert rows(await busy.read_until("Z"))[0][1] == b"whole"
    assert await proxy.wait() == 0


async def test_a_second_signal_stops_at_once(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 66]"""
    proxy = await start_proxy(databases={"postgres": postgres})
    async with session(proxy) as busy, session(proxy) as idle:
        await busy.query("BEGIN")
        pid = int(await pid_of(busy))
        proxy.send_signal(signal.SIGTERM)
        await last_words(idle)
        assert proxy.is_running
        proxy.send_signal(signal.SIGTERM)
        assert await last_words(busy) == ("FATAL", "57P01")
    assert await proxy.wait() == 0

    async def gone() -> bool:
        return await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) == []

    await wait_until(gone)


async def test_a_drain_has_an_end(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 66]"""
    proxy = await start_proxy({"drain_timeout": 0.3}, databases={"postgres": postgres})
    async with session(proxy) as busy:
        await busy.query("BEGIN")
        proxy.send_signal(signal.SIGTERM)
        assert await last_words(busy) == ("FATAL", "57P01")
    assert await proxy.wait() == 0


async def test_an_interrupt_waits_for_servers_only(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy(databases={"postgres": postgres})
    async with session(proxy) as busy, session(proxy):
        await busy.query("BEGIN")
        proxy.send_signal(signal.SIGINT)
        assert shape(await busy.query("COMMIT")) == "CZ"
        assert await proxy.wait() == 0


async def test_a_session_pool_drains_when_its_clients_leave(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 66]"""
    proxy = await start_proxy({"pool_mode": "session"}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        await wire.query("BEGIN")
        proxy.send_signal(signal.SIGTERM)
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        await wire.query("COMMIT")
        assert await last_words(wire) == ("FATAL", "57P01")
    assert await proxy.wait() == 0


# --- pause and resume -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["signal", "console"])
async def test_a_paused_pool_lets_clients_wait(postgres: Postgres, start_proxy: ProxyFactory, by: str) -> None:
    proxy = await start_proxy(databases={"postgres": postgres})
    async with session(proxy) as busy, session(proxy) as idle:
        await idle.query("SELECT 1")
        await busy.query("BEGIN")
        pausing = asyncio.create_task(proxy.admin("PAUSE")) if by == "console" else None
        if pausing is None:
            proxy.send_signal(signal.SIGUSR1)
        await wait_until(lambda: _only_active(proxy))
        await idle.send_query("SELECT 'resumed'")
        assert rows(await busy.query("SELECT 'goes on'")) == [[b"goes on"]]
        await busy.query("COMMIT")
        if pausing is not None:
            await pausing  # answers when the last server is closed
        await wait_until(lambda: _no_server(proxy))
        async with session(proxy) as newcomer:
            await newcomer.send_query("SELECT 'too'")
            if by == "console":
                await proxy.admin("RESUME")
            else:
                proxy.send_signal(signal.SIGUSR2)
            assert rows(await idle.read_until("Z")) == [[b"resumed"]]
            assert rows(await newcomer.read_until("Z")) == [[b"too"]]


async def _only_active(proxy: Proxy) -> bool:
    return [row["state"] for row in await proxy.admin("SHOW SERVERS")] == ["active"]


async def _no_server(proxy: Proxy) -> bool:
    return await proxy.admin("SHOW SERVERS") == []


async def test_a_server_may_be_restarted_during_a_pause(own_postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 11]"""
    proxy = await start_proxy(databases={"postgres": own_postgres})
    async with session(proxy) as wire:
        await wire.query("SELECT 1")
        await proxy.admin("PAUSE")
        await wire.send_query("SELECT 'after'")
        await own_postgres.stop()
        await own_postgres.start()
        await proxy.admin("RESUME")
        assert rows(await wire.read_until("Z")) == [[b"after"]]


async def test_only_the_named_database_is_paused(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    url = f"postgres://{HOST}:{postgres.port}/postgres"
    proxy = await start_proxy(databases={"one": url, "two": url})
    async with session(proxy, database="one") as one, session(proxy, database="two") as two:
        await proxy.admin("PAUSE one")
        await one.send_query("SELECT 'one'")
        assert rows(await two.query("SELECT 'two'")) == [[b"two"]]
        await proxy.admin("RESUME one")
        assert rows(await one.read_until("Z")) == [[b"one"]]
