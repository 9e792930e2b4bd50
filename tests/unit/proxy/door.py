"""A running instance without its listener: clients come in over socket pairs, servers are the test's far ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.unit.relay import FarEnd, Opener, config, hide_nothing, pair
from trunkline.config.settings import Config
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.net.tasks import Tasks
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance
from trunkline.proxy.login import log_in


class Visitors:
    """The instance, and everybody who came to it."""

    def __init__(self, configuration: Config) -> None:
        self.configuration = configuration
        self.instance = Instance(lambda: self.configuration, configuration, self._console)
        hide_nothing(self.instance.pools)
        self.opener = Opener(self.instance.engine)
        self.instance.pools.opener = self.opener  # type: ignore[assignment]
        self.instance.door.replication.opener = self.opener  # type: ignore[attr-defined]
        self.tasks = Tasks()
        self.links: list[ClientLink] = []
        self.far_ends: list[FarEnd] = []
        self.console_visits: list[str] = []

    async def _console(self, instance: Instance, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self.console_visits.append(identity.user)
        try:
            await inbox.take(1 << 20)
        except ConnectionEnded:
            link.close()

    async def come(self, *said: bytes, peer: Peer | None = None) -> FarEnd:
        """A new connection that says this."""
        fd, far = pair()
        link = ClientLink(self.instance.engine)
        link.session = Identity(self.instance.clients, peer or Peer("", ""))
        self.instance.clients.move(link, self.instance.clients.logging_in)
        self.tasks.spawn(log_in(self.instance.door, link, Inbox(link)))
        link.attach(fd)
        self.links.append(link)
        self.far_ends.append(far)
        far.send(*said)
        await self.settle()
        return far

    async def settle(self, times: int = 12) -> None:
        for _ in range(times):
            self.instance.engine.dispatch()
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.tasks.cancel()
        await self.instance.close()
        for link in self.links:
            link.close()
        for server, far in self.opener.opened:
            server.close()
            far.close()
        for far in (*self.far_ends, *self.opener.dialed):
            far.close()


def known(**settings: Any) -> Config:
    """A configuration that knows two users."""
    return replace(config(**settings), secrets={"alice": "secret", "ops": "secret"})


@asynccontextmanager
async def door(**settings: Any) -> AsyncIterator[Visitors]:
    """Whoever is known is let in without a password, unless `auth_type` says otherwise."""
    made = Visitors(known(**{"auth_type": "trust", **settings}))
    try:
        yield made
    finally:
        await made.close()
