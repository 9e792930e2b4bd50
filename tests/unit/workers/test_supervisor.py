"""The supervisor with workers that are played by a few lines in real processes.

What clients and operators see of it is in tests/integration/test_workers.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from tests.unit.relay import config
from trunkline.errors import ConfigError
from trunkline.proxy.instance import Drain
from trunkline.workers import spawning
from trunkline.workers.supervisor import Supervisor

CONFIG = config(listen_addr="127.0.0.1", listen_port=0, unix_socket_dir="", tcp_defer_accept=0, workers=2)
PLAYED = """
import asyncio, os, sys
from trunkline.workers import spawning
from trunkline.workers.channel import Channel
from trunkline.workers.handed import Handed

async def main():
    what, over = spawning.inherited(os.environ), asyncio.Event()
    async def serve(verb, arguments):
        if verb in ("drain", "stop"):
            over.set()
        return [what.number, verb, arguments]
    channel = await Channel.open(spawning.adopt(what.channel), serve, over.set)
    handed = Handed(spawning.adopt(what.connections), what.port, lambda sock, remote: sock.sendall(b"%d" % what.number))
    channel.tell("ready")
    await over.wait()

asyncio.run(main())
"""


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", PLAYED])
    made = Supervisor(lambda: CONFIG, CONFIG)
    await made.start()
    yield made
    await made.close()


async def served_by(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = await reader.read(1)
    writer.close()
    return int(number)


async def test_connections_take_turns(supervisor: Supervisor) -> None:
    assert sorted([await served_by(supervisor.listener.port) for _ in range(4)]) == [1, 1, 2, 2]


async def test_all_workers_are_asked_or_all_but_one(supervisor: Supervisor) -> None:
    answers = await supervisor.ask("what", {"of": 1})
    assert sorted(answers) == [[1, "what", {"of": 1}], [2, "what", {"of": 1}]]
    assert await supervisor.ask("what", {}, but=supervisor.members[1]) == [[2, "what", {}]]


async def test_who_dies_is_replaced(supervisor: Supervisor) -> None:
    before = supervisor.members[2]
    os.kill(before.pid, signal.SIGKILL)
    while supervisor.members.get(2) in (before, None) or not supervisor.members[2].ready:
        await asyncio.sleep(0.01)
    assert supervisor.members[2].pid != before.pid
    assert {await served_by(supervisor.listener.port) for _ in range(4)} == {1, 2}


async def test_a_drain_ends_when_all_workers_have(supervisor: Supervisor) -> None:
    port = supervisor.listener.port
    supervisor.drain(Drain.CLIENTS)
    await supervisor.stopped.wait()
    assert not supervisor.members
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_reload_that_cannot_be_read_reaches_nobody(supervisor: Supervisor) -> None:
    def unreadable() -> object:
        raise ConfigError("nonsense")

    supervisor._load = unreadable  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="nonsense"):
        await supervisor.reload()
    assert supervisor.config is CONFIG


async def test_workers_that_cannot_serve_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    made = Supervisor(lambda: CONFIG, CONFIG)
    with pytest.raises(ConfigError, match="a worker did not start"):
        await made.start()
    await made.close()


async def test_a_connection_that_nobody_takes_is_offered_again(supervisor: Supervisor) -> None:
    for member in supervisor.members.values():
        member.ready = False
    ours, theirs = socket.socketpair()
    with ours:
        supervisor._offer(theirs, "")
        supervisor.members[1].ready = True
        ours.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(ours, 1) == b"1"
