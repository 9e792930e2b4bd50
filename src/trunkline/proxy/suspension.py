"""SUSPEND: nothing is read from anybody, so that everything stands still between two messages, until RESUME.

1. Nobody new is accepted, no server is given out, and the clock of clients and pools does not run.
2. It has been reached when all that was on its way is sent; who does not take it within suspend_timeout is closed.
3. Only a console that is connected can undo it, so it is undone when the last one has left, or will not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.net.link import Link
from trunkline.pool.server import ServerLink
from trunkline.proxy.client import ClientLink

if TYPE_CHECKING:
    from trunkline.proxy.instance import Instance

log = logging.getLogger("trunkline")

POLL_S = 0.02


class Suspension:
    """Whether everything stands still."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.active = False
        self._passed_on = False  # the console that wants it is at another process of this instance

    async def begin(self, *, passed_on: bool = False) -> None:
        """Returns when everything stands still, or somebody has undone it."""
        instance = self._instance
        self.active, self._passed_on = True, passed_on
        if instance.listener is not None:
            instance.listener.suspend()
        for pool in instance.pools:
            pool.suspend()
        for link in self._links():
            link.suspend()
        try:
            await self._flushed(instance.pools.now + instance.config.settings.suspend_timeout)
        except asyncio.CancelledError:
            self.end()
            raise

    async def _flushed(self, deadline: float) -> None:
        while self.active and (unsent := [link for link in self._links() if link.unsent_count]):
            if self._instance.pools.now >= deadline:
                for link in unsent:
                    self._give_up(link)
                return
            await asyncio.sleep(POLL_S)

    def _give_up(self, link: Link) -> None:
        if isinstance(link, ServerLink):
            link.drop("suspend_timeout")
        elif isinstance(link, ClientLink):
            self._instance.clients.on_gone(link, "suspend_timeout")

    def end(self) -> None:
        """Go on where everything stood still."""
        if not self.active:
            return
        self.active = False
        instance = self._instance
        for link in self._links():
            link.wake()
        for pool in instance.pools:
            pool.wake()
        if instance.listener is not None:
            instance.listener.wake()

    def tick(self) -> None:
        """All that time does while everything stands still."""
        if not (self._passed_on or len(self._instance.clients.consoles)):
            log.info("the console has left while suspended: RESUME")
            self.end()
            if self._instance.siblings is not None:
                self._instance.tasks.spawn(self._instance.siblings.ask("resume", database=""), "resume elsewhere")

    def _links(self) -> Iterator[Link]:
        """All but the console's, which has to be able to undo this."""
        instance = self._instance
        yield from instance.clients.logging_in
        yield from (link for link in instance.clients if link.session.kind != "console")
        for pool in instance.pools:
            for place in pool.places:
                yield from place
