"""One program's part in an upgrade, with a successor that is played by a few lines in a real process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from trunkline.workers import handover, spawning
from trunkline.workers.handover import Handover, Sockets, UpgradeFailed, open_control, order_upgrade

SUCCESSOR = """
import asyncio, os
from trunkline.workers import spawning
from trunkline.workers.channel import Channel
from trunkline.workers.handover import Sockets

async def main():
    what, over = spawning.inherited(os.environ), asyncio.Event()
    sockets = Sockets.of(what)
    assert len(sockets.listening) == 1 and sockets.control is not None and sockets.metrics is None
    async def serve(verb, arguments):
        return None
    channel = await Channel.open(spawning.adopt(what.channel), serve, over.set)
    channel.tell("ready")
    heard = [await channel.ask("cancel", pid=7, key=key) for key in ("6161", "6262")]
    connection, _ = sockets.listening[0].accept()
    connection.sendall(str(heard).encode())
    await over.wait()

asyncio.run(main())
"""


class Program:
    """One that serves, as far as an upgrade is concerned."""

    def __init__(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = listening.getsockname()
        self.sockets = Sockets([listening])
        self.is_retired = False
        self.handover = Handover(self, self.address[1], self.sockets, listening.close)

    async def cancel_here(self, pid: int, key: bytes) -> bool:
        return (pid, key) == (7, b"aa")

    def retire(self) -> None:
        self.is_retired = True


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    made = Program()
    yield made
    await made.handover.close()
    if made.handover.child is not None:
        made.handover.child.wait()
    for sock in made.sockets.listening:
        sock.close()


async def test_a_successor_gets_the_sockets_and_passes_cancel_requests_back(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", SUCCESSOR])
    said: list[str] = []
    ordering = asyncio.gather(order_upgrade(program.address[1], os.geteuid(), said.append))
    while not said:
        await asyncio.sleep(0.01)
    assert program.is_retired and program.handover.retired
    reader, writer = await asyncio.open_connection(*program.address)
    assert await reader.read(100) == b"[True, False]"
    writer.close()
    with pytest.raises(UpgradeFailed, match="under way"):
        await program.handover.upgrade()
    await program.handover.close()
    await ordering
    assert [words.rpartition(" ")[2] for words in said] == ["finish", "ended"]


async def test_a_successor_that_does_not_start_changes_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(UpgradeFailed, match="did not start"):
        await program.handover.upgrade()
    assert not program.is_retired and not program.handover.retired
    assert program.sockets.listening[0].fileno() >= 0


async def test_one_that_hangs_is_ended(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "START_S", 0.05)
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(UpgradeFailed, match="did not start"):
        await program.handover.upgrade()


async def test_one_program_of_a_port_takes_its_orders(program: Program) -> None:
    assert open_control(program.address[1]) is None
    await program.handover.close()
    again = open_control(program.address[1])
    assert again is not None
    again.close()
    with pytest.raises(UpgradeFailed, match="no program"):
        await order_upgrade(program.address[1], os.geteuid(), print)


async def test_who_followed_nobody_has_nobody_to_ask(program: Program) -> None:
    assert await program.handover.cancel(1, b"key") is False
    await program.handover.elders_gone()
