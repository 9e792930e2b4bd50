"""The sending half of a socket: what it does not take is queued, whole and in order."""

import asyncio
import socket

from trunkline.net.engine import Engine
from trunkline.net.link import Link


async def _all(peer: socket.socket, n: int) -> bytes:
    received = b""
    while len(received) < n:
        received += await asyncio.get_running_loop().sock_recv(peer, 65536)
    return received


async def test_what_the_socket_does_not_take_is_queued_and_arrives_in_order() -> None:
    engine = Engine(asyncio.get_running_loop())
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.setblocking(False)
    link = Link(engine)
    link.attach(ours.detach())
    pieces = [bytes([i]) * 100_000 for i in range(20)]
    for piece in pieces:
        link.write(piece)
    assert link.unsent_count > 0
    assert await _all(peer, 2_000_000) == b"".join(pieces)
    assert link.unsent_count == 0
    link.close()
    peer.close()
    engine.close()


async def test_a_broken_peer_says_nothing_to_who_sends() -> None:
    engine = Engine(asyncio.get_running_loop())
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    link = Link(engine)
    link.attach(ours.detach())
    peer.close()
    for _ in range(3):
        link.write(b"x" * 1000)
    link.close()
    link.write(b"after the end")
    assert not link.opened
    engine.close()
