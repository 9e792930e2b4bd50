"""The exporter that Debian ships beside PgBouncer, where it is installed: as it is, against a running console."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.waiting import wait_until

EXPORTER = Path("/usr/bin/prometheus-pgbouncer-exporter")

pytestmark = pytest.mark.skipif(not EXPORTER.exists(), reason="needs Debian's prometheus-pgbouncer-exporter")


@asynccontextmanager
async def exporter(proxy: Proxy) -> AsyncIterator[int]:
    """The port that it serves metrics on."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    where = ["--pgbouncer-host", HOST, "--pgbouncer-port", str(proxy.port), "--pgbouncer-user", USER]
    process = await asyncio.create_subprocess_exec(
        str(EXPORTER),
        *("--host", HOST, "--port", str(port), *where),
        env={**theirs, "PGPASSWORD": PASSWORD},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


def scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


async def test_it_scrapes_without_an_error(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"console_former_columns": True, "reserve_pool_size": 3}, databases={"app": postgres})
    await proxy.fetch("SELECT 1", database="app")
    async with exporter(proxy) as port:
        await wait_until(lambda: asyncio.to_thread(scraped, port))
        for _ in range(3):  # it keeps its one connection
            told = await asyncio.to_thread(scraped, port)
    values = dict(re.findall(r"^(pgbouncer_\S+) (\S+)$", told, re.MULTILINE))
    assert float(values['pgbouncer_requests_total{database="app"}']) >= 1
    assert float(values[f'pgbouncer_active_clients{{database="app",user="{USER}"}}']) == 0
    assert float(values['pgbouncer_reserve_pool{database="postgres"}']) == 3
    assert float(values["pgbouncer_databases"]) == 2
