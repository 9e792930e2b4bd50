"""Outbox: what a client whose transaction concerns several shards is told, gathered until it goes out.

Rule: it goes out at the end of a unit, at a Flush, or when there is much of it; until then it can be unsaid.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.proxy.client import ClientLink

GATHERED_BYTES = 32768  # of answers, before they go out
UNREAD_BYTES = 131072  # that the client has not taken, before it has to

Place = tuple[int, int]
"""Among the answers, between two of them."""


class Outbox:
    """That of one client."""

    def __init__(self, link: ClientLink) -> None:
        self._link = link
        self._data = bytearray()
        self._sent = 0  # how often some of it went out
        self._drained = asyncio.Event()

    def write(self, data: bytes) -> None:
        self._data += data

    async def give(self, data: bytes) -> None:
        """Rows: they go out while they come, as fast as the client reads."""
        self._data += data
        if len(self._data) >= GATHERED_BYTES:
            self.send()
            while self._link.unsent_count > UNREAD_BYTES:
                self._drained.clear()
                await self._drained.wait()

    def send(self) -> None:
        if self._data:
            self._sent += 1
            self._link.write(bytes(self._data))
            self._data.clear()

    def drained(self) -> None:
        """The client has taken all that was sent."""
        self._drained.set()

    def place(self) -> Place:
        """Where the next answer begins."""
        return self._sent, len(self._data)

    def unsay(self, place: Place) -> None:
        """Nothing was said from there on, unless that has gone out."""
        sent, size = place
        if sent == self._sent:
            del self._data[size:]
