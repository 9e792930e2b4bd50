"""Cancel requests of clients: from a process id and a key to the query that is stopped, or to nothing.

Rules:
1. Only the key decides, and nothing is ever answered. An address that guesses is not listened to for the rest of the
   second; there are 2^63 and more keys to guess from.
2. A request stops what its client has asked for and has not been answered: running, in line, or on its way.
3. The requester's connection is closed when the request has reached the server, as PostgreSQL's is: who waits for that
   knows that what he asks next is not hit.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from trunkline.errors import QueryCanceled
from trunkline.pool.pool import Pool
from trunkline.protocol.peer_key import hops_of
from trunkline.proxy.peering import Peering

if TYPE_CHECKING:
    from trunkline.pool.server import ServerLink
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.clients import Clients

WRONG_KEYS_A_SECOND = 100  # from one address; clients that come and go cancel late now and then


Elsewhere = Callable[[int, bytes], Awaitable[bool]]
"""Whether another process had the client with this process id and key, once its server has heard."""

Heard = asyncio.Future[Any]
"""Ends when all servers that had to hear of a request have heard."""

OUTCOMES = ("accepted", "passed_on", "wrong_key", "ignored")


class Guesses:
    """How many wrong keys have come from whom in this second."""

    def __init__(self) -> None:
        self._second = 0
        self._wrong: Counter[str] = Counter()

    def _turn(self, now: float) -> None:
        if int(now) != self._second:
            self._second = int(now)
            self._wrong.clear()

    def note(self, host: str, now: float) -> None:
        """One more wrong key."""
        self._turn(now)
        self._wrong[host] += 1

    def too_many(self, host: str, now: float) -> bool:
        """Whether this address is not listened to now."""
        self._turn(now)
        return self._wrong[host] >= WRONG_KEYS_A_SECOND


class Cancels:
    """Finds the client that a cancel request is for, and stops what it has under way."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._guesses = Guesses()
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.elsewhere: Elsewhere | None = None
        self.peering = Peering(clients)

    def request(self, pid: int, key: bytes, host: str = "") -> Heard | None:
        """Stop the query of exactly the client that has this key; None when there is nothing to wait for."""
        if self._guesses.too_many(host, self._clients.pools.now):
            self.counts["ignored"] += 1
            return None
        key = self.peering.own_key(pid, key)
        link = self._find(pid, key)
        if link is not None:
            self.counts["accepted"] += 1
            return self._stop(link)
        peer = self.peering.owner(pid)
        if peer is not None and hops_of(key):
            self.counts["passed_on"] += 1
            return self._clients.tasks.spawn(self.peering.pass_on(peer, pid, key), "cancel at a peer")
        if self.elsewhere is not None:
            return self._clients.tasks.spawn(self._pass_on(self.elsewhere, pid, key, host), "cancel elsewhere")
        self._note(host)
        return None

    def _find(self, pid: int, key: bytes) -> ClientLink | None:
        others = (link for link in self._clients.namesakes if link.session.pid == pid)
        for link in (self._clients.by_pid.get(pid), *others):
            if link is not None and hmac.compare_digest(link.session.key, key):
                return link
        return None

    def _note(self, host: str) -> None:
        self.counts["wrong_key"] += 1
        self._guesses.note(host, self._clients.pools.now)

    async def _pass_on(self, elsewhere: Elsewhere, pid: int, key: bytes, host: str) -> None:
        """Another process of this instance may have the client."""
        if not await elsewhere(pid, key):
            self._note(host)

    async def from_elsewhere(self, pid: int, key: bytes) -> bool:
        """What another process was asked: whether the client is ours; its server has heard by then."""
        link = self._find(pid, key)
        if link is None:
            return False
        self.counts["accepted"] += 1
        heard = self._stop(link)
        if heard is not None:
            await asyncio.wait([heard])
        return True

    def _stop(self, link: ClientLink) -> Heard | None:
        if link.session.on_cancel is not None:
            return self._stop_running(link)
        pool, server = link.pool, link.server
        if link.waiting_since and isinstance(pool, Pool):
            pool.refuse(link, QueryCanceled("canceling statement due to user request"))
        elif server is not None and server.setup is not None and link.kept is not None:
            return self.want(link)  # its server is being made ready: what it asked for has not been sent yet
        elif link.route is not None and link.route.waits and link.kept is not None:
            return self.want(link) if link.blocked else None  # nothing has been sent
        else:
            return self._stop_running(link)
        return None

    def _stop_running(self, link: ClientLink) -> Heard | None:
        """Stop what runs for a client, at its server unless that is being done there."""
        if link.session.on_cancel is not None:
            stopping = link.session.on_cancel()
            return asyncio.gather(*stopping, return_exceptions=True) if stopping else None
        pool, server = link.pool, link.server
        if pool is None or server is None or server.setup is not None or not server.session.running:
            return None
        return server.stopping if _is_being_stopped(server) else self._clients.pools.cancel(pool, server)

    # --- what has not been sent yet: it is sent before it is stopped ------------------------------------------------

    def want(self, link: ClientLink) -> Heard:
        """What the client has asked for is to be stopped when it has been sent: `sent`, or else `lapse`, comes."""
        if link.cancel_wanted is None:
            link.cancel_wanted = asyncio.get_running_loop().create_future()
        return link.cancel_wanted

    def sent(self, link: ClientLink) -> None:
        """It has been sent now, or is over several shards."""
        wanted = link.cancel_wanted
        link.cancel_wanted = None
        heard = self._stop_running(link)
        if heard is None:
            _end(wanted)
        else:
            heard.add_done_callback(lambda _: _end(wanted))

    def lapse(self, link: ClientLink) -> None:
        """It never will be: the client was told so, or has gone."""
        _end(link.cancel_wanted)
        link.cancel_wanted = None


def _end(wanted: Heard | None) -> None:
    if wanted is not None and not wanted.done():
        wanted.set_result(None)


def _is_being_stopped(server: ServerLink) -> bool:
    """A request for an earlier query of the same client may be under way too: that one stops nothing more."""
    return bool(server.cancels) and server.cancel_unit == server.units_done
