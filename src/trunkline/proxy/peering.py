"""Peers: programs behind the same load balancer, each of which gets cancel requests for clients of the others.

Rule: what is passed on is the request itself, one hop older; the requester is told by the end of its connection, which
comes when the peer has closed its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trunkline.config.settings import PeerSettings
from trunkline.net.sockets import connect
from trunkline.protocol.messages import cancel_request
from trunkline.protocol.peer_key import HOPS, hops_of, peer_of, with_hops

if TYPE_CHECKING:
    from trunkline.proxy.clients import Clients

log = logging.getLogger("trunkline.client")


@dataclass(slots=True)
class PeerPool:
    """Requests on their way to one peer."""

    waiting: int = 0  # for one of those that connect or are connected
    connecting: int = 0
    active: int = 0
    _done: asyncio.Event = field(default_factory=asyncio.Event)

    async def enter(self, limit: int) -> None:
        """Returns when this one may connect; it counts as connecting then."""
        self.waiting += 1
        try:
            while limit and self.connecting + self.active >= limit:
                self._done.clear()
                await self._done.wait()
            self.connecting += 1
        finally:
            self.waiting -= 1

    def left(self) -> None:
        """Somebody else may connect."""
        self._done.set()


class Peering:
    """Whose client a cancel request is for, by its key, and how it comes there."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.pools: dict[int, PeerPool] = {}

    def own_key(self, pid: int, key: bytes) -> bytes:
        """The key as our client was told it, if the request says that it is one of ours."""
        number = self._clients.config.settings.peer_id
        return with_hops(key, HOPS) if number and peer_of(pid) == number else key

    def owner(self, pid: int) -> PeerSettings | None:
        """The peer that has the client with this process id, if that is another one than this program."""
        config = self._clients.config
        number = peer_of(pid)
        return config.peers.get(number) if config.settings.peer_id not in (0, number) else None

    async def pass_on(self, peer: PeerSettings, pid: int, key: bytes) -> None:
        """Returns when the peer has done with the request, or cannot be reached in time."""
        settings = self._clients.config.settings
        pool = self.pools.setdefault(peer.number, PeerPool())
        request = cancel_request(pid, with_hops(key, hops_of(key) - 1))
        limit = settings.default_pool_size if peer.pool_size is None else peer.pool_size
        try:
            async with asyncio.timeout(settings.cancel_wait_timeout or None):
                await pool.enter(limit)
                await self._deliver(pool, peer, request)
        except (TimeoutError, OSError) as error:
            log.warning("cancel request for peer %d was lost: %s", peer.number, str(error) or type(error).__name__)

    async def _deliver(self, pool: PeerPool, peer: PeerSettings, request: bytes) -> None:
        try:
            sock = await connect(peer.address, self._clients.config.settings)
        finally:
            pool.connecting -= 1
            pool.left()
        pool.active += 1
        try:
            await _say(sock, request)
        finally:
            pool.active -= 1
            pool.left()
            sock.close()


async def _say(sock: socket.socket, request: bytes) -> None:
    """All that is said on this connection; the answer is its end."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request)
    while await loop.sock_recv(sock, 4096):
        pass
