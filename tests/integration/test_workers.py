"""Several workers behind one supervisor: what clients and operators see of one instance."""

from __future__ import annotations

import asyncio
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
