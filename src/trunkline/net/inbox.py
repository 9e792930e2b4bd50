"""Reading a Link message by message with `await`: for logins and the console, never for relayed traffic.

The contract with `Link`: `feed` gets what was received, `end` says that no more will come.
"""

from __future__ import annotations

import asyncio

from trunkline.net.link import Link

HOLD_BYTES = 65536  # an inbox that is not being read stops the peer at this size


class ConnectionEnded(Exception):
    """The peer closed the connection, or it was closed under us."""


class MessageTooLong(Exception):
    """A message above what its reader accepts; its body was not read."""


class Inbox:
    """Received bytes of one link, in order, for one reader."""

    __slots__ = ("_ended", "_link", "_waiter", "data")

    def __init__(self, link: Link) -> None:
        self.data = bytearray()
        self._link = link
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        link.open_inbox(self)

    def feed(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= HOLD_BYTES:
            self._link.hold()
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def more(self) -> None:
        """Wait until something happens; ConnectionEnded if that is the end."""
        if self._ended:
            raise ConnectionEnded
        self._link.unhold()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def take(self, n: int) -> bytes:
        """Exactly n bytes."""
        while len(self.data) < n:
            await self.more()
        taken = bytes(self.data[:n])
        del self.data[:n]
        return taken

    async def message(self, max_bytes: int) -> tuple[int, bytes]:
        """The next message as (type byte, body). MessageTooLong for a body above `max_bytes`, at its header."""
        while len(self.data) < 5:
            await self.more()
        length = int.from_bytes(self.data[1:5], "big")
        if not 4 <= length <= max_bytes + 4:
            raise MessageTooLong(length)
        frame = await self.take(1 + length)
        return frame[0], frame[5:]

    def rest(self) -> bytes:
        """What was received and not read; the inbox is empty afterwards."""
        rest = bytes(self.data)
        self.data.clear()
        return rest
