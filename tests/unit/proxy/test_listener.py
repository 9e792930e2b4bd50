"""Accepting over real sockets on the loopback."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trunkline.config.global_settings import Settings
from trunkline.net.engine import Engine
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Peer
from trunkline.proxy.listener import ACCEPTS_A_TURN, Listener, Reception

LOOPBACK = replace(Settings(), listen_addr="127.0.0.1", listen_port=0, unix_socket_dir="", tcp_defer_accept=0)


class Porch:
    """A listener and those whom it welcomed."""

    def __init__(self) -> None:
        self.engine = Engine(asyncio.get_running_loop())
        self.welcomed: list[tuple[ClientLink, Peer]] = []
        self.reception = Reception(self.engine, LOOPBACK, lambda link, peer: self.welcomed.append((link, peer)))
        self.listener = Listener(LOOPBACK, self.reception.take)
        self.callers: list[socket.socket] = []

    def call(self) -> socket.socket:
        caller = socket.create_connection(("127.0.0.1", self.listener.port))
        self.callers.append(caller)
        return caller

    async def settle(self, count: int) -> None:
        while len(self.welcomed) < count:
            await asyncio.sleep(0)

    def close(self) -> None:
        self.listener.close()
        for link, _ in self.welcomed:
            link.close()
        for caller in self.callers:
            caller.close()
        self.engine.close()


@pytest.fixture
async def porch() -> AsyncIterator[Porch]:
    made = Porch()
    yield made
    made.close()


async def test_a_newcomer_is_welcomed_with_its_address(porch: Porch) -> None:
    caller = porch.call()
    await porch.settle(1)
    link, peer = porch.welcomed[0]
    assert link.opened
    assert (peer.host, peer.port) == caller.getsockname()
    assert peer.local_port == porch.listener.port


async def test_a_crowd_is_let_in_a_few_at_a_time_and_nobody_is_forgotten(porch: Porch) -> None:
    for _ in range(3 * ACCEPTS_A_TURN):
        porch.call()
    seen = [0]
    while seen[-1] < 3 * ACCEPTS_A_TURN:
        await asyncio.sleep(0)
        seen.append(len(porch.welcomed))
    assert max(b - a for a, b in itertools.pairwise(seen)) <= ACCEPTS_A_TURN


async def test_after_close_the_kernel_refuses(porch: Porch) -> None:
    port = porch.listener.port
    porch.listener.close()
    porch.listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


class Exhausted:
    """A listening socket of a process that has no descriptor left, and then one again."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.refusals = 1

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return self.real.accept()

    def fileno(self) -> int:
        return self.real.fileno()


async def test_without_descriptors_one_newcomer_is_turned_away_and_the_others_wait(
    porch: Porch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """[row 84]"""
    monkeypatch.setattr("trunkline.proxy.listener.FULL_PAUSE_S", 0.0)
    turned_away, patient = porch.call(), porch.call()
    porch.listener._on_readable(Exhausted(porch.listener.sockets[0]))  # type: ignore[arg-type]
    assert turned_away.recv(1) == b""
    assert "no file descriptor left" in caplog.text
    await porch.settle(1)
    assert porch.welcomed[0][1].port == patient.getsockname()[1]


async def test_who_waits_in_the_kernel_is_taken_before_the_port_is_left_to_others() -> None:
    """Two on one port: nobody else would hear of him, and he would be reset."""
    engine = Engine(asyncio.get_running_loop())
    taken: list[socket.socket] = []
    listener = Listener(replace(LOOPBACK, so_reuseport=True), lambda connection, remote: taken.append(connection))
    callers = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(ACCEPTS_A_TURN + 3)]
    listener.close()
    assert len(taken) == len(callers)
    for sock in (*taken, *callers):
        sock.close()
    engine.close()
