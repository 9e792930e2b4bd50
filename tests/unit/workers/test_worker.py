"""A worker whose supervisor is the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.relay import config
from trunkline.admin.console import serve_console
from trunkline.errors import ConfigError
from trunkline.proxy.instance import Drain, Instance
from trunkline.workers.channel import Arguments, Channel, Refused
from trunkline.workers.handed import Handed
from trunkline.workers.worker import Worker


class Supervised:
    """A worker in this process, and the other end of its channel."""

    channel: Channel

    def __init__(self) -> None:
        configuration = config()
        self.instance = Instance(lambda: configuration, configuration, serve_console)
        self.worker = Worker(self.instance, 1, 2)
        self.connections, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker.entrance = Handed(theirs, 6432, self.instance.reception.take)
        self.heard: list[tuple[str, Arguments]] = []
        self.answers: dict[str, Any] = {}

    async def open(self) -> None:
        ours, theirs = socket.socketpair()
        self.channel = await Channel.open(ours, self.serve)
        await self.worker.open(theirs)
        self.instance.start(lambda settings, take: self.worker.entrance)

    async def serve(self, verb: str, arguments: Arguments) -> Any:
        self.heard.append((verb, arguments))
        return self.answers.get(verb)

    async def close(self) -> None:
        await self.worker.close()
        await self.instance.close()
        self.channel.close()
        self.connections.close()


@pytest.fixture
async def supervised() -> AsyncIterator[Supervised]:
    made = Supervised()
    await made.open()
    yield made
    await made.close()


async def test_what_it_is_told_is_done(supervised: Supervised) -> None:
    await supervised.channel.ask("pause", database="")
    assert supervised.instance.pools.paused == {""}
    await supervised.channel.ask("resume", database="")
    assert supervised.instance.pools.paused == set()
    await supervised.channel.ask("reload")
    await supervised.channel.ask("stop")
    await supervised.instance.stopped.wait()


async def test_a_drain_ends_it(supervised: Supervised) -> None:
    await supervised.channel.ask("drain", what=Drain.SERVERS.value)
    await supervised.instance.stopped.wait()


async def test_what_cannot_be_done_is_told(supervised: Supervised) -> None:
    def broken() -> Any:
        raise ConfigError("nonsense")

    supervised.instance._load = broken
    with pytest.raises(Refused, match="nonsense"):
        await supervised.channel.ask("reload")


async def test_a_cancel_request_for_nobody_here_is_passed_on(supervised: Supervised) -> None:
    supervised.answers["cancel"] = True
    task = supervised.instance.clients.cancels.request(7, b"abcd", "127.0.0.1")
    assert task is not None
    await task
    assert supervised.heard == [("cancel", {"pid": 7, "key": "61626364"})]
    assert supervised.instance.clients.cancels.counts["wrong_key"] == 0
    supervised.answers["cancel"] = False
    task = supervised.instance.clients.cancels.request(7, b"abcd", "127.0.0.1")
    assert task is not None
    await task
    assert supervised.instance.clients.cancels.counts["wrong_key"] == 1
    assert await supervised.channel.ask("cancel", pid=7, key="61626364") is False


async def test_how_many_clients_there_are_is_told(supervised: Supervised) -> None:
    ours, theirs = socket.socketpair()
    socket.send_fds(supervised.connections, [b"c"], [theirs.fileno()])
    theirs.close()
    with ours:
        while ("load", {"clients": 1, "taken": 1}) not in supervised.heard:
            await asyncio.sleep(0.01)
    while ("load", {"clients": 0, "taken": 1}) not in supervised.heard:
        await asyncio.sleep(0.01)


async def test_others_are_asked_through_the_supervisor(supervised: Supervised) -> None:
    supervised.answers["all"] = [1, 2]
    assert await supervised.worker.ask("show", name="POOLS") == [1, 2]
    supervised.worker.shut_down(Drain.CLIENTS)
    supervised.worker.shut_down(None)
    assert await supervised.worker.ask("show", name="POOLS") == [1, 2]
    assert [arguments for verb, arguments in supervised.heard if verb == "shut_down"] == [
        {"drain": "WAIT_FOR_CLIENTS"},
        {"drain": None},
    ]


async def test_without_its_supervisor_it_drains(supervised: Supervised) -> None:
    supervised.channel.close()
    await supervised.instance.stopped.wait()
    assert await supervised.worker.ask("show", name="POOLS") == []
    assert await supervised.worker.cancel(1, b"abcd") is False
