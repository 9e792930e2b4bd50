"""Reading a Link message by message with `await`: for logins and the console, never for relayed traffic.

The contract with `Link`: `feed` gets what was received, `end` says that no more will come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from trunkline.net.link import Link

HOLD_BYTES = 65536  # an inbox that is not being read stops the peer at this size
WAKES_A_TURN = 4


class ConnectionEnded(Exception):
    """The peer closed the connection, or it was closed under us."""


class MessageTooLong(Exception):
    """A message above what its reader accepts; its body was not read."""


class Turnstile:
    """Lets readers go on a few at a time, so that a crowd at the door does not delay those who are being served.

    Between two turns the event loop looks at all sockets; so relayed traffic waits for `WAKES_A_TURN` steps of logins
    at most, however many clients log in at once.
    """

    __slots__ = ("_queue", "_turning")

    def __init__(self) -> None:
        self._queue: deque[asyncio.Future[None]] = deque()
        self._turning = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """Let this reader go on when it is its turn."""
        self._queue.append(waiter)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        for _ in range(min(WAKES_A_TURN, len(self._queue))):
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
        self._turning = bool(self._queue)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)


class Inbox:
    """Received bytes of one link, in order, for one reader."""

    __slots__ = ("_ended", "_link", "_turnstile", "_waiter", "data", "on_end")

    def __init__(self, link: Link, turnstile: Turnstile | None = None) -> None:
        self.data = bytearray()
        self._turnstile = turnstile
        self._link = link
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self.on_end: Callable[[], None] | None = None  # for a reader that waits for something else meanwhile
        link.open_inbox(self)

    def feed(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= HOLD_BYTES:
            self._link.hold()
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()
        if self.on_end is not None:
            self.on_end()

    def _wake(self) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if self._turnstile is None:
            self._waiter.set_result(None)
        else:
            self._turnstile.wake(self._waiter)

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
