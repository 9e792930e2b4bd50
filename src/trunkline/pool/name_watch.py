"""Names that move: where a server's name has other addresses than before, connections go to those.

The names of servers that are connected to are looked up every dns_max_ttl, off the loop. A connection whose other end
is none of its name's addresses any more is closed: at once if it is one of our own, which is opened anew, and those of
pools as soon as they are free. A name that cannot be looked up changes nothing. New connections look it up by
themselves.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from trunkline.net.sockets import literal_address, peer_of
from trunkline.net.tasks import Tasks
from trunkline.pool.server import ServerLink

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

WHY = "the name of its server has other addresses now"
Name = tuple[str, int]


class NameWatch:
    """All names of a process."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks = Tasks()
        self._next = 0.0
        self._unknown: set[Name] = set()  # that could not be looked up, as has been said

    def tick(self, now: float) -> None:
        period = self.pools.config.settings.dns_max_ttl
        if now < self._next or not period or len(self.tasks):
            return
        self._next = now + period
        for name in self._links():
            self.tasks.spawn(self._look_up(name), f"look up {name[0]}")

    def shown(self) -> list[tuple[str, int, set[str]]]:
        """Of each name that is gone by: where its connections go, and in how many seconds it is looked up again."""
        due = max(0, round(self._next - self.pools.now)) if self.pools.config.settings.dns_max_ttl else 0
        return [
            (host, due, {peer for link in links if (peer := _peer(link)) is not None})
            for (host, _), links in self._links().items()
        ]

    def _links(self) -> dict[Name, list[ServerLink]]:
        """All connections to servers that go by a name."""
        found: defaultdict[Name, list[ServerLink]] = defaultdict(list)
        pooled = (link for pool in self.pools for place in pool.places for link in place)
        for link in (*self._own(), *pooled):
            address = link.address
            if not address.is_unix and literal_address(address.host) is None:
                found[address.host, address.port].append(link)
        return found

    def _own(self) -> list[ServerLink]:
        """Those that nobody leases."""
        return [*self.pools.control, *self.pools.directories, *self.pools.listeners.place]

    async def _look_up(self, name: Name) -> None:
        try:
            found = await self.pools.opener.resolver(*name)
        except (OSError, UnicodeError) as error:  # a name may have a form that no lookup takes
            if name not in self._unknown:
                log.warning("%s cannot be looked up, and is taken to be where it was: %s", name[0], error)
            self._unknown.add(name)
            return
        self._unknown.discard(name)
        self._leave_others(name, {str(target[0]) for _, target in found})

    def _leave_others(self, name: Name, addresses: set[str]) -> None:
        left = [link for link in self._links().get(name, ()) if addresses and _peer(link) not in (None, *addresses)]
        if left:
            now = ", ".join(sorted(addresses))
            log.warning("%s is at %s now: %d connections to where it was are given up", name[0], now, len(left))
        own = self._own()
        resting = [link for pool in self.pools for link in pool.idle]
        for link in left:
            link.close_needed = True
            if link in own or link in resting:
                link.drop(WHY)


def _peer(link: ServerLink) -> str | None:
    """Where it leads; None as long as it leads nowhere."""
    try:
        return peer_of(link.fileno())
    except OSError:
        return None
