"""What a client sends for its COPY FROM STDIN, once it has been told to."""

from __future__ import annotations

from trunkline.errors import ProtocolViolation
from trunkline.execution.spread.asked import CopyIn
from trunkline.net.inbox import Inbox
from trunkline.protocol.messages import message

MAX_COPY_BYTES = 0x3FFFFFFE  # PostgreSQL's own limit (libpq.h, PQ_LARGE_MESSAGE_LIMIT)


async def fed(copy: CopyIn, inbox: Inbox) -> bytes:
    """The client's data, up to their end: the tag. Its Sync and Flush are ignored meanwhile (copyfromparse.c)."""
    while True:
        kind, body = await inbox.message(MAX_COPY_BYTES)
        if kind == ord("d"):
            await copy.feed(message(b"d", body))
        elif kind == ord("c"):
            return await copy.finish()
        elif kind == ord("f"):
            await copy.give_up(body)
        elif kind not in b"SH":
            raise ProtocolViolation(f"unexpected message type 0x{kind:02X} during COPY from stdin")
