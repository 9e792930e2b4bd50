"""Upgrades: another program takes over while clients come, go and stay, and nobody is refused or loses anything.

A test run has 2 in a row; TRUNKLINE_UPGRADES is how many, where more are wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows
from trunkline.demo.serving import child_environment

UPGRADES = int(os.environ.get("TRUNKLINE_UPGRADES", "2"))


class Generations:
    """A proxy and all that followed it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.orders: list[asyncio.subprocess.Process] = []

    @property
    def pids(self) -> list[int]:
        """Of all programs, in the order in which they served."""
        return [self.proxy.pid, *map(int, re.findall(r"upgrade: process (\d+) serves", self.proxy.log))]

    async def order(self) -> asyncio.subprocess.Process:
        """`trunkline upgrade`, which ends when the former program has."""
        command = [sys.executable, "-P", "-m", "trunkline", "upgrade", "--port", str(self.proxy.port)]
        pipe, environ = asyncio.subprocess.PIPE, child_environment(os.environ)
        order = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environ)
        self.orders.append(order)
        return order

    async def upgrade(self) -> asyncio.subprocess.Process:
        """Returns when the new program serves."""
        count = len(self.pids)
        order = await self.order()
        await wait_until(lambda: len(self.pids) > count, 30.0)
        return order

    async def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids[1:]:
                if not has_ended(pid):
                    os.kill(pid, number)
            with contextlib.suppress(AssertionError):
                await wait_until(lambda: all(has_ended(pid) for pid in self.pids[1:]))
        await self.proxy.stop()
        for order in self.orders:
            await order.communicate()


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(params=[1, 2], ids=["alone", "two workers"])
async def generations(
    request: pytest.FixtureRequest, postgres: Postgres, start_proxy: ProxyFactory
) -> AsyncIterator[Generations]:
    settings = {"workers": request.param, "pidfile": "the.pid", "default_pool_size": 4}
    made = Generations(await start_proxy(settings, databases={"postgres": postgres}))
    try:
        yield made
    finally:
        await made.end()


class Load:
    """Clients at work until they are told to stop; any failure of one is the test's."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.over = asyncio.Event()
        self.done = 0

    async def reconnecting(self, proxy: Proxy) -> None:
        while not self.over.is_set():
            async with session(proxy) as client:
                assert rows(await client.query("SELECT 1")) == [[b"1"]]
            self.done += 1

    async def steady(self, proxy: Proxy) -> None:
        async with session(proxy) as client:
            while not self.over.is_set():
                for sql in ("BEGIN", "SELECT 1", "COMMIT"):
                    assert errors(await client.query(sql)) == []
                self.done += 1


async def test_upgrades_in_a_row_lose_no_transaction_and_refuse_nobody(generations: Generations) -> None:
    proxy = generations.proxy
    load = Load(proxy.port)
    clients = [*(load.reconnecting(proxy) for _ in range(6)), *(load.steady(proxy) for _ in range(2))]
    running = asyncio.gather(*clients)
    orders = []
    for number in range(UPGRADES):
        before = load.done
        orders.append(await generations.upgrade())
        await wait_until(lambda before=before: load.done > before + 20 or running.done())
        assert not running.done(), (number, running.exception())
    load.over.set()
    await running
    for order in orders:
        assert order.stdout is not None
        assert b"has ended" in await asyncio.wait_for(order.stdout.read(), 20)
        assert await order.wait() == 0
    assert len(generations.pids) == UPGRADES + 1
    await wait_until(lambda: all(has_ended(pid) for pid in generations.pids[:-1]))
    assert not has_ended(generations.pids[-1])
    assert (proxy.directory / "the.pid").read_text() == f"{generations.pids[-1]}\n"


async def test_a_cancel_request_reaches_clients_that_stayed(generations: Generations, postgres: Postgres) -> None:
    async with session(generations.proxy) as client:
        for _ in range(2):
            await generations.upgrade()
            query = asyncio.ensure_future(client.query("SELECT pg_sleep(77)"))
            await wait_until(
                lambda: postgres.fetch(
                    "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(77)'"
                )
            )
            await Wire.cancel(generations.proxy.port, client.backend_pid, client.cancel_key)
            assert errors(await query) == ["57014"]


async def test_a_program_that_cannot_start_leaves_the_old_one_serving(
    generations: Generations, postgres: Postgres
) -> None:
    proxy = generations.proxy
    good = proxy.config_path.read_text()
    proxy.config_path.write_text("nonsense = 1")
    order = await generations.order()
    assert order.stderr is not None
    complaints = await asyncio.wait_for(order.stderr.read(), 30)
    assert (await order.wait(), b"the new program did not start" in complaints) == (1, True)
    assert await proxy.fetch("SELECT 1") == [(1,)]
    proxy.config_path.write_text(good)
    await generations.upgrade()
    assert await proxy.fetch("SELECT 1") == [(1,)]


async def test_clients_that_stay_too_long_leave_at_the_end_of_their_transaction(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"upgrade_timeout": 0.3}, databases={"postgres": postgres})
    generations = Generations(proxy)
    try:
        async with session(proxy) as idle, session(proxy) as busy:
            await busy.query("BEGIN")
            await generations.upgrade()
            assert errors(await idle.read_frames_to_end()) == ["57P01"]
            assert errors(await busy.query("SELECT 1")) == []
            assert errors(await busy.query("COMMIT")) == []
            assert errors(await busy.read_frames_to_end()) == ["57P01"]
            assert await proxy.wait() == 0
    finally:
        await generations.end()


async def test_where_nothing_runs_there_is_nothing_to_upgrade() -> None:
    command = [sys.executable, "-P", "-m", "trunkline", "upgrade", "--port", "1"]
    pipe = asyncio.subprocess.PIPE
    order = await asyncio.create_subprocess_exec(*command, stderr=pipe, env=child_environment(os.environ))
    _, complaints = await order.communicate()
    assert (order.returncode, b"no program of this user takes orders for port 1" in complaints) == (1, True)
