"""A client that listens by way of a shared connection: what it listens to, and what waits for it (see `listening`).

Pure but for writing to the client: what both servers say comes in as calls, in the order in which they say it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from typing import Any, Protocol

from trunkline.errors import SlowListener, TrunklineError
from trunkline.pool.server import Lessee

MAX_WAITING_BYTES = 16 << 20  # of one client: in its queue, or sent and not taken
_EVERY = b"*"


class Connection(Protocol):
    """The shared connection, as its subscribers see it."""

    mark_channel: bytes

    def leave(self, subscriber: Subscriber, channels: set[bytes]) -> None: ...


class Subscriber:
    """What one client listens to by way of a shared connection, and what waits for it."""

    __slots__ = (
        "_at_home",
        "_ended",
        "_in_transaction",
        "_mark",
        "_noted",
        "_waiting",
        "_waiting_bytes",
        "lessee",
        "live",
        "shared",
    )

    def __init__(self, lessee: Lessee, shared: Connection) -> None:
        self.lessee = lessee
        self.shared = shared
        self.live: set[bytes] = set()
        self._at_home = False  # its server listens too, until the lease ends
        self._mark: Mark | None = None  # of the takeover under way
        self._waiting: deque[tuple[bytes, bytes]] = deque()  # channel and frame
        self._waiting_bytes = 0
        self._noted: set[bytes] = set()  # channels that an UNLISTEN on its way names
        self._in_transaction: set[bytes] = set()
        self._ended: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<Subscriber {len(self.live)} channels, {len(self._waiting)} waiting, {self.lessee!r}>"

    # --- what comes by the shared connection ----------------------------------------------------------------------

    def hear(self, channel: bytes, frame: bytes) -> None:
        """A notification on a channel that it may listen to."""
        if channel not in self.live:
            return
        self._waiting.append((channel, frame))
        self._waiting_bytes += len(frame)
        self.deliver()
        if self._waiting_bytes + self.lessee.unsent_count > MAX_WAITING_BYTES:
            end(self.lessee, SlowListener("too many notifications wait for this client"))

    def deliver(self) -> None:
        """Give the client what waits for it, if it is between transactions."""
        if self._mark is not None or not self._between_transactions():
            return
        while self._waiting and self.lessee.opened:
            _, frame = self._waiting.popleft()
            self._waiting_bytes -= len(frame)
            self.lessee.write(frame)

    def _between_transactions(self) -> bool:
        server = self.lessee.server
        return server is None or (server.session.free and not server.mid_reply)

    # --- what its own server says ---------------------------------------------------------------------------------

    def on_own(self, body: bytes) -> bool:
        """A notification that its leased server sent; true if it is not for the client."""
        channel, payload = body[4:].split(b"\0")[:2]
        mark = self._mark
        if mark is not None and channel == self.shared.mark_channel:
            if hmac.compare_digest(payload, mark.nonce):
                mark.own.set()
            return True
        if mark is not None and channel in mark.channels:
            return mark.own.is_set()  # not `live`: the shared connection may be past the mark before its server is
        return channel in self.live

    def come_home(self) -> bytes:
        """Have its server listen to what it listens to, for a statement that asks; b"" if it does already."""
        if self._at_home or not self.live:
            return b""
        self._at_home = True
        return b"; ".join(b"LISTEN " + quote_channel(channel) for channel in sorted(self.live))

    def note_unlisten(self, channels: frozenset[bytes]) -> None:
        """UNLISTEN is on its way to the server."""
        self._noted |= channels

    def on_tag(self, tag: bytes) -> None:
        """A CommandComplete of its server: what ends what it has asked for."""
        if tag == b"UNLISTEN":
            self._in_transaction |= self._noted
        elif tag == b"DISCARD ALL":
            self._ended.add(_EVERY)
        elif tag == b"COMMIT":
            self._ended |= self._in_transaction
            self._in_transaction.clear()
        elif tag == b"ROLLBACK":
            self._in_transaction.clear()

    def on_error(self, in_block: bool) -> None:
        if not in_block:  # in a block its end will tell
            self._in_transaction.clear()

    def unit_over(self) -> None:
        """No transaction is open: what was unlistened is over, and what waits may be given."""
        self._ended |= self._in_transaction
        if self._ended:
            self.forget(set(self.live) if _EVERY in self._ended else self._ended & self.live)
        self._noted.clear()
        self._in_transaction.clear()
        self._ended.clear()
        self._at_home = False
        self.deliver()

    # --- what it listens to ---------------------------------------------------------------------------------------

    def begin(self, mark: Mark) -> None:
        self._mark = mark

    def finish(self) -> None:
        """The takeover is over, well or not."""
        self._mark = None

    def forget(self, channels: set[bytes]) -> None:
        """It no longer listens to these."""
        self.live -= channels
        kept = [item for item in self._waiting if item[0] in self.live]
        self._waiting, self._waiting_bytes = deque(kept), sum(len(frame) for _, frame in kept)
        self.shared.leave(self, channels)
        if not self.live and self._mark is None:
            self.lessee.listening = None

    def end(self) -> None:
        """The client is gone."""
        self.forget(set(self.live))
        self.lessee.listening = None


class Mark:
    """One takeover: the place in the queue of notifications where it happens."""

    __slots__ = ("channels", "joined", "nonce", "own", "subscriber")

    def __init__(self, subscriber: Subscriber, channels: set[bytes]) -> None:
        self.subscriber = subscriber
        self.channels = channels
        self.nonce = secrets.token_hex(12).encode()
        self.own = asyncio.Event()  # the client's server is past it
        self.joined = asyncio.Event()  # and the shared connection


def end(lessee: Any, error: TrunklineError) -> None:
    """Close a client whose notifications cannot be delivered."""
    if lessee.opened and not lessee.eof:
        lessee.end(error)


def quote_channel(name: bytes) -> bytes:
    return b'"%b"' % name.replace(b'"', b'""')
