"""Several workers behind one supervisor: what clients and operators see of one instance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows

WORKERS = 2


@pytest.fixture
async def crew(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"workers": WORKERS, "default_pool_size": 4}, databases={"postgres": postgres})


def pids(proxy: Proxy) -> dict[int, int]:
    """Of each worker, the process that serves as it now."""
    return {int(number): int(pid) for number, pid in re.findall(r"worker (\d+) serves, pid (\d+)", proxy.log)}


def logins(proxy: Proxy) -> Counter[str]:
    """How many clients each worker has let in, by its lines in the log."""
    return Counter(re.findall(r"worker (\d+) trunkline.client: login", proxy.log))


def has_died(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_clients_are_spread_evenly(crew: Proxy) -> None:
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(*(crew.connect() for _ in range(64)))
        for client in clients:
            await stack.enter_async_context(client)
        assert max(logins(crew).values()) <= 0.6 * 64
        assert sum(logins(crew).values()) == 64
        for client in clients:
            assert await (await client.execute("SELECT 1")).fetchall() == [(1,)]


async def test_a_worker_that_dies_is_replaced_while_the_others_go_on(crew: Proxy) -> None:
    """[row 67]"""
    async with session(crew) as one, session(crew) as other:
        assert set(logins(crew).values()) == {1}
        before = pids(crew)
        os.kill(before[2], signal.SIGKILL)
        await wait_until(lambda: pids(crew)[2] != before[2])
        assert rows(await one.query("SELECT 1")) == [[b"1"]]
        assert await other.read_frames_to_end() == []
        assert pids(crew)[1] == before[1]
        async with session(crew) as newcomer:
            assert rows(await newcomer.query("SELECT 2")) == [[b"2"]]


async def test_a_worker_whose_supervisor_dies_lets_transactions_end_and_leaves(crew: Proxy) -> None:
    async with session(crew) as client:
        await client.query("BEGIN")
        await crew.kill()
        assert rows(await client.query("SELECT 1")) == [[b"1"]]
        assert errors(await client.query("COMMIT")) == []
        await wait_until(lambda: all(has_died(pid) for pid in pids(crew).values()))


async def test_a_reload_reaches_all_workers(postgres: Postgres, crew: Proxy) -> None:
    crew.write_config({"workers": WORKERS, "default_pool_size": 3}, {"postgres": postgres})
    await crew.reload()
    await wait_until(lambda: len(re.findall(r"worker \d trunkline: reloaded", crew.log)) == WORKERS)
    crew.write_config("default_pool_size = 'many'")
    assert "reload refused" in await crew.reload()
    assert len(re.findall(r"worker \d trunkline: reloaded", crew.log)) == WORKERS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_signals_end_all_workers(crew: Proxy, number: signal.Signals) -> None:
    started = pids(crew)
    crew.send_signal(number)
    assert await crew.wait() == 0
    assert all(has_died(pid) for pid in started.values())


async def test_pause_and_resume_by_signal_reach_all_workers(crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        crew.send_signal(signal.SIGUSR1)
        await wait_until(lambda: "got SIGUSR1" in crew.log)
        answers = [asyncio.ensure_future(client.query("SELECT 1")) for client in (one, other)]
        crew.send_signal(signal.SIGUSR2)
        assert [rows(await answer) for answer in answers] == [[[b"1"]]] * 2


async def test_a_worker_that_cannot_serve_keeps_the_whole_from_starting(
    postgres: Postgres, start_proxy: ProxyFactory, tmp_path: Path
) -> None:
    proxy = await start_proxy({"workers": WORKERS}, databases={"postgres": postgres})
    await proxy.stop()
    proxy.write_config({"workers": WORKERS, "logfile": str(tmp_path)}, {"postgres": postgres})
    with pytest.raises(Exception, match="Trunkline did not start"):
        await proxy.start()


async def test_a_cancel_request_finds_the_client_at_whichever_worker(postgres: Postgres, crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        for client in (one, other) * 2:
            query = asyncio.ensure_future(client.query("SELECT pg_sleep(60)"))
            await wait_until(
                lambda: postgres.fetch(
                    "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
                )
            )
            await Wire.cancel(crew.port, client.backend_pid, client.cancel_key)
            assert errors(await query) == ["57014"]


# --- the console ------------------------------------------------------------------------------------------------


async def show_one(proxy: Proxy, relation: str, **keys: object) -> dict[str, object]:
    found = [row for row in await proxy.admin(f"SHOW {relation}") if keys.items() <= row.items()]
    assert len(found) == 1, found
    return found[0]


async def test_the_console_shows_the_whole_instance(crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        await one.query("BEGIN")
        await other.query("BEGIN")
        pool = await show_one(crew, "POOLS", database="postgres")
        assert (pool["cl_active"], pool["sv_active"]) == (2, 2)
        clients = await crew.admin("SHOW CLIENTS")
        assert [row["database"] for row in clients].count("postgres") == 2
        assert len({row["id"] for row in clients}) == len(clients) == 3
        servers = await crew.admin("SELECT state FROM servers WHERE database = 'postgres'")
        assert [row["state"] for row in servers] == ["active", "active"]
        assert (await show_one(crew, "DATABASES", name="postgres"))["current_client_connections"] == 2
        assert (await show_one(crew, "LISTS", list="used_clients"))["items"] == 3
        assert (await show_one(crew, "LISTS", list="pools"))["items"] == 2
        await one.query("COMMIT")
        await other.query("COMMIT")
        stats = await show_one(crew, "STATS", database="postgres")
        assert (stats["total_xact_count"], stats["total_client_login_count"]) == (2, 2)
        latency = await show_one(crew, "LATENCIES", database="postgres", kind="transaction")
        assert latency["count"] == 2
        workers = await crew.admin("SHOW WORKERS")
        assert {row["worker"]: row["pid"] for row in workers} == pids(crew)


async def test_pause_waits_for_all_workers_and_resume_reaches_them(crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        await one.query("BEGIN")
        await other.query("BEGIN")
        pause = asyncio.ensure_future(crew.admin("PAUSE"))
        await wait_until(lambda: all_are_paused(crew))
        await one.query("COMMIT")
        waiting = asyncio.ensure_future(one.query("SELECT 1"))
        assert not pause.done()
        await other.query("COMMIT")
        await pause
        assert not waiting.done()
        assert await crew.admin("SHOW SERVERS") == []
        await crew.admin("RESUME")
        assert rows(await waiting) == [[b"1"]]


async def all_are_paused(proxy: Proxy) -> bool:
    """Consoles take turns at the workers."""
    states = [await show_one(proxy, "STATE", key="paused") for _ in range(2 * WORKERS)]
    return {state["value"] for state in states} == {"yes"}


async def test_a_worker_that_comes_later_hears_of_a_pause(crew: Proxy) -> None:
    await crew.admin("PAUSE")
    before = pids(crew)
    os.kill(before[1], signal.SIGKILL)
    await wait_until(lambda: pids(crew)[1] != before[1])
    async with AsyncExitStack() as stack:
        coming = [asyncio.ensure_future(stack.enter_async_context(session(crew))) for _ in range(4)]
        await wait_until(lambda: paused(crew, 4))
        await crew.admin("RESUME")
        await asyncio.gather(*coming)


async def paused(proxy: Proxy, waiting: int) -> bool:
    """Whether so many wait in line, and nobody has a server."""
    found = [row for row in await proxy.admin("SHOW POOLS") if row["database"] == "postgres"]
    return bool(found) and found[0]["cl_waiting"] == waiting and not found[0]["sv_login"]


async def test_a_client_of_another_worker_is_killed_by_its_id(crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        for _ in (one, other):
            (row, *_) = [row for row in await crew.admin("SHOW CLIENTS") if row["database"] == "postgres"]
            await crew.admin(f"KILL_CLIENT {row['id']}")
        for client in (one, other):
            assert errors(await client.read_frames_to_end()) == ["57P01"]
    with pytest.raises(Exception, match="client not found"):
        await crew.admin("KILL_CLIENT 2000000000")


async def test_a_suspension_ends_everywhere_when_its_console_leaves(crew: Proxy) -> None:
    async with session(crew) as one, session(crew) as other:
        console = await crew.connect("trunkline")
        await console.execute("SUSPEND")
        waiting = [asyncio.ensure_future(client.query("SELECT 1")) for client in (one, other)]
        await asyncio.sleep(0.3)
        assert not any(answer.done() for answer in waiting)
        await console.close()
        assert [rows(await answer) for answer in waiting] == [[[b"1"]]] * 2


async def test_a_setting_is_set_at_all_workers(crew: Proxy) -> None:
    await crew.admin("SET query_wait_timeout = 0.2")
    await crew.admin("PAUSE")
    async with session(crew, database="trunkline"):
        outcomes = await asyncio.gather(*(login_outcome(crew) for _ in range(4)))
    assert set(outcomes) == {"57P03"}
    await crew.admin("RELOAD")
    values = {row["key"]: row["value"] for row in await crew.admin("SHOW CONFIG")}
    assert values["query_wait_timeout"] == "120"


async def login_outcome(proxy: Proxy) -> str:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "postgres"})
        return "".join(errors((await wire.login_with("postgres", proxy.users["postgres"]))[-1:]))


@pytest.mark.parametrize("command", ["SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS"])
async def test_shutdown_from_the_console_ends_all(crew: Proxy, command: str) -> None:
    started = pids(crew)
    with contextlib.suppress(Exception):
        await crew.admin(command)
    assert await crew.wait() == 0
    assert all(has_died(pid) for pid in started.values())


# --- limits -----------------------------------------------------------------------------------------------------


async def busy(proxy: Proxy, clients: int, queries: int) -> None:
    """So many clients at once, each with so many queries."""

    async def one() -> None:
        async with session(proxy) as client:
            for _ in range(queries):
                assert rows(await client.query("SELECT pg_sleep(0.005)")) == [[b""]]

    await asyncio.gather(*(one() for _ in range(clients)))


async def most_servers(postgres: Postgres, load: asyncio.Future[None]) -> int:
    """The greatest number of server connections while the load runs, as PostgreSQL sees them."""
    most = 0
    async with await postgres.connect() as watcher:
        while not load.done():
            found = await watcher.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            row = await found.fetchone()
            most = max(most, row[0] if row else 0)
            await asyncio.sleep(0.005)
    await load
    return most


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"default_pool_size": 3}, 3),
        ({"default_pool_size": 1}, 1),
        ({"default_pool_size": 5, "max_db_connections": 2}, 2),
        ({"default_pool_size": 5, "max_user_connections": 2}, 2),
    ],
    ids=["pool", "pool of one", "database", "user"],
)
async def test_all_workers_together_stay_below_a_limit_and_all_are_served(
    own_postgres: Postgres, start_proxy: ProxyFactory, settings: dict[str, int], limit: int
) -> None:
    proxy = await start_proxy({"workers": WORKERS, **settings}, databases={"postgres": own_postgres})
    most = await most_servers(own_postgres, asyncio.ensure_future(busy(proxy, clients=12, queries=25)))
    assert most == limit


async def test_clients_of_all_workers_count_against_max_client_conn(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"workers": WORKERS, "max_client_conn": 3}, databases={"postgres": postgres})
    for _ in range(3):
        async with session(proxy), session(proxy), session(proxy):
            assert await login_outcome(proxy) == "53300"
            assert len(await proxy.admin("SHOW CLIENTS")) == 4
        await wait_until(lambda: nobody_is_there(proxy))


async def nobody_is_there(proxy: Proxy) -> bool:
    return len(await proxy.admin("SHOW CLIENTS")) == 1


# --- metrics ----------------------------------------------------------------------------------------------------


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_metrics_are_of_all_workers(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    settings = {"workers": WORKERS, "metrics_addr": "127.0.0.1:0"}
    proxy = await start_proxy(settings, databases={"postgres": postgres})
    (port,) = map(int, re.findall(r"metrics: http://127.0.0.1:(\d+)/", proxy.log))
    async with session(proxy) as one, session(proxy) as other:
        await one.query("SELECT 1")
        await other.query("SELECT 1")
        text = await get(port, "/metrics")
    labels = 'database="postgres",shard="",user="postgres"'
    assert f"trunkline_queries_total{{{labels}}} 2.0" in text
    assert f"trunkline_logins_total{{{labels}}} 2.0" in text
    assert "200 OK" in await get(port, "/readyz")
    await proxy.admin("PAUSE")
    assert (await get(port, "/readyz")).endswith("paused\n")
