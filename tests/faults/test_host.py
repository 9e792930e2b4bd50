"""What the host of a proxy does to it: files that vanish or are half written, descriptors that run out, clocks."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until

SOURCE = Path(__file__).parents[2] / "src" / "trunkline"


def without_the_file(proxy: Proxy) -> None:
    proxy.config_path.unlink()


def half_written(proxy: Proxy) -> None:
    text = proxy.config_path.read_text()
    proxy.config_path.write_text(text[: text.index("]") - 2])


def without_the_userlist(proxy: Proxy) -> None:
    (proxy.directory / "userlist.txt").unlink()


def with_a_bad_userlist(proxy: Proxy) -> None:
    (proxy.directory / "userlist.txt").write_text("no quotes")


def with_a_wrong_certificate(proxy: Proxy) -> None:
    wrong = proxy.directory / "wrong.pem"
    wrong.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    tls = f'client_tls_sslmode = "require"\nclient_tls_cert_file = "{wrong}"\nclient_tls_key_file = "{wrong}"\n'
    proxy.config_path.write_text(tls + proxy.config_path.read_text())


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (without_the_file, "no such file"),
        (half_written, "trunkline.toml:"),
        (without_the_userlist, "userlist.txt"),
        (with_a_bad_userlist, "userlist.txt:1:"),
        (with_a_wrong_certificate, "client_tls_cert_file"),
    ],
)
async def test_row_68_a_file_that_cannot_be_used_is_told_to_who_asks_and_in_the_log_and_changes_nothing(
    postgres: Postgres, start_proxy: ProxyFactory, harm: Callable[[Proxy], None], told: str
) -> None:
    proxy = await start_proxy(databases={"postgres": postgres})
    good = {path: path.read_text() for path in (proxy.config_path, proxy.directory / "userlist.txt")}
    async with await proxy.connect() as client:
        await client.execute("BEGIN")
        harm(proxy)
        with pytest.raises(psycopg.Error) as refused:
            await proxy.admin("RELOAD")
        assert told in str(refused.value)
        assert "refused" in await proxy.reload()
        assert await proxy.fetch("SELECT 1") == [(1,)]
        for path, text in good.items():
            path.write_text(text)
        assert await proxy.admin("RELOAD") == []
        await client.execute("COMMIT")


async def test_row_84_without_descriptors_who_is_there_goes_on_and_newcomers_come_again_afterwards(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"default_pool_size": 2}, databases={"postgres": postgres})
    async with await proxy.connect() as client, AsyncExitStack() as crowd:
        await client.execute("SELECT 1")
        used = len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (used + 4, used + 200))
        with pytest.raises(psycopg.OperationalError):
            for _ in range(10):
                await crowd.enter_async_context(await proxy.connect(connect_timeout=2))
        await wait_until(lambda: "no file descriptor left" in proxy.log)
        cursor = await client.execute("SELECT 2")
        assert await cursor.fetchone() == (2,)
        await crowd.aclose()
        assert await proxy.fetch("SELECT 3") == [(3,)]
    assert "Traceback" not in proxy.log


async def test_row_88_with_memory_nearly_used_up_newcomers_are_refused_and_who_is_there_goes_on(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy(databases={"postgres": postgres})
    async with await proxy.connect() as client:
        await proxy.admin("SET memory_limit = '1MB'")
        with pytest.raises(psycopg.OperationalError, match="out of memory for more clients") as refused:
            await proxy.fetch("SELECT 1")
        assert "TL0311 53200" in proxy.log, refused.value
        cursor = await client.execute("SELECT 2")
        assert await cursor.fetchone() == (2,)
        await proxy.admin("SET memory_limit = 0")
        assert await proxy.fetch("SELECT 3") == [(3,)]


# Dates that operators read, and now() of the console; no timer.
ON_THE_WALL_CLOCK = {
    "admin/show_clients.py",
    "admin/show_workers.py",
    "admin/expressions.py",
    "admin/functions.py",
    "execution/spread/shard_work.py",
    "workers/member.py",
}


def test_row_87_no_timer_goes_by_a_clock_that_may_jump() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for pattern in ("*.py", "*.pyx", "*.pxd")
        for path in SOURCE.rglob(pattern)
        if re.search(r"\btime\.time\(|datetime\.now\(|CLOCK_REALTIME|gettimeofday", path.read_text())
    }
    assert found <= ON_THE_WALL_CLOCK
