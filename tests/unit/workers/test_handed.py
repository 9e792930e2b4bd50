"""Connections that one process hands to another, both ends in one here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from trunkline.workers.handed import Handed, hand


class Both:
    def __init__(self) -> None:
        self.supervisors, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.supervisors.setblocking(False)
        self.taken: list[tuple[socket.socket, object]] = []
        self.handed = Handed(workers, 6432, lambda *one: self.taken.append(one))
        self.callers: list[socket.socket] = []

    def connection(self) -> socket.socket:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.callers.append(socket.create_connection(server.getsockname()))
            return server.accept()[0]

    async def until(self, count: int) -> None:
        while self.handed.taken < count:
            await asyncio.sleep(0)

    def close(self) -> None:
        self.handed.close()
        self.supervisors.close()
        for sock in (*self.callers, *(sock for sock, _ in self.taken)):
            sock.close()


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    made = Both()
    yield made
    made.close()


async def test_a_connection_arrives_with_its_address(both: Both) -> None:
    connection = both.connection()
    assert hand(both.supervisors, connection)
    assert connection.fileno() == -1
    await both.until(1)
    ((taken, remote),) = both.taken
    assert remote == both.callers[0].getsockname()
    both.callers[0].sendall(b"x")
    assert taken.recv(1) == b"x"
    assert not taken.get_inheritable()


async def test_one_that_has_gone_on_the_way_is_taken_and_closed(both: Both) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    unconnected = socket.socket()
    assert hand(both.supervisors, unconnected)
    ours.close()
    await both.until(1)
    assert not both.taken


async def test_connections_wait_while_suspended(both: Both) -> None:
    both.handed.suspend()
    assert hand(both.supervisors, both.connection())
    await asyncio.sleep(0)
    assert not both.taken
    both.handed.wake()
    await both.until(1)
    assert len(both.taken) == 1


async def test_a_full_worker_takes_no_more_and_the_connection_stays_open(both: Both) -> None:
    both.handed.suspend()
    pairs = []
    while True:
        pairs.append(socket.socketpair())
        if not hand(both.supervisors, pairs[-1][0]):
            break
    assert pairs[-1][0].fileno() >= 0
    for pair in pairs:
        for sock in pair:
            sock.close()
    both.handed.wake()
    await both.until(len(pairs) - 1)


async def test_nothing_is_taken_after_the_end(both: Both) -> None:
    both.handed.close()
    connection = both.connection()
    assert not hand(both.supervisors, connection)
    connection.close()
