"""The composition root: log lines, the loop, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from dataclasses import replace

import pytest

from tests.unit.relay import config
from trunkline.app import loop_factory, serve
from trunkline.config.address import ListenAddress
from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.settings import Config
from trunkline.errors import ConfigError
from trunkline.net.tasks import Tasks

QUIET = {"listen_addr": "127.0.0.1", "listen_port": 0, "unix_socket_dir": "", "log_stats": False}


def test_the_loop_is_the_fastest_there_is() -> None:
    loop = loop_factory()()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()


class Served:
    """An instance that runs until a signal, and what its log has said."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog
        self.configuration = config(**QUIET)
        self.loads = 0

    def load(self) -> Config:
        self.loads += 1
        if self.configuration.settings.default_pool_size == 0:
            raise ConfigError("nonsense")
        return self.configuration

    async def until(self, words: str) -> None:
        while words not in self.caplog.text:
            await asyncio.sleep(0)


@pytest.fixture
def served(caplog: pytest.LogCaptureFixture) -> Served:
    caplog.set_level(logging.INFO, logger="trunkline")
    return Served(caplog)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
async def test_signals_that_end_it(served: Served, name: str) -> None:
    running = Tasks().spawn(serve(served.load, served.configuration))
    await served.until("ready port=")
    os.kill(os.getpid(), getattr(signal, name))
    assert await running == 0
    assert "stopped" in served.caplog.text


async def test_a_hangup_reloads_and_a_bad_file_changes_nothing(served: Served) -> None:
    running = Tasks().spawn(serve(served.load, served.configuration))
    await served.until("ready port=")
    served.configuration = config(**QUIET, default_pool_size=7)
    os.kill(os.getpid(), signal.SIGHUP)
    await served.until("reloaded test: 1 changes")
    served.configuration = replace(
        served.configuration, settings=replace(served.configuration.settings, default_pool_size=0)
    )
    os.kill(os.getpid(), signal.SIGHUP)
    await served.until("reload refused")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_an_address_that_cannot_be_had_is_the_callers_error(served: Served) -> None:
    broken = config(**{**QUIET, "listen_addr": "no such host"})
    with pytest.raises(ConfigError, match="listen_addr"):
        await serve(served.load, broken)


async def test_an_address_for_metrics_that_cannot_be_had_is_told_as_a_wrong_setting(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = ListenAddress("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigErrors, match=f"cannot listen on {address}: Address already in use$"):
            await serve(served.load, config(**QUIET, metrics_addr=address))


async def test_metrics_are_served_until_the_end(served: Served) -> None:
    running = Tasks().spawn(serve(served.load, config(**QUIET, metrics_addr=ListenAddress("127.0.0.1", 0))))
    await served.until("ready port=")
    (said,) = (record.getMessage() for record in served.caplog.records if record.name == "trunkline.metrics")
    port = int(said.removesuffix("/metrics").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"ready\n")
    writer.close()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
