"""Frames in a byte stream of the protocol, in either direction, without holding the stream up.

``Framer`` is pure: bytes in, pieces out, and joined together the pieces are the bytes. A frame that is not here whole
comes out in several pieces, so that a large one is never held in memory; ``want`` says of how many bytes of its head a
matcher must see before the first piece comes out.

What is not the protocol (TLS, a length that cannot be) comes out as pieces of type ``OPAQUE``, to the stream's end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from tests.integration.wire import CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST

Side = Literal["fe", "be"]
SIDES: tuple[Side, ...] = ("fe", "be")

# Types of what has none on the wire.
STARTUP = "^"
NEGOTIATION = "?"  # SSLRequest or GSSENCRequest
ANSWER = "~"  # the byte that answers a negotiation
CANCEL = "!"
OPAQUE = "*"

UNTYPED = {CANCEL_REQUEST: CANCEL, SSL_REQUEST: NEGOTIATION, GSSENC_REQUEST: NEGOTIATION}
HEADER_BYTES = 5
UNTYPED_HEADER_BYTES = 8
LONGEST_UNTYPED = 10_000
LONGEST = 1 << 30


class Piece(NamedTuple):
    """Part of a frame, header included; a whole frame is both first and last."""

    type: str
    data: bytes
    first: bool
    last: bool


class Framer:
    """Cuts one direction of a connection."""

    def __init__(self, side: Side, want: Callable[[str], int] = lambda kind: 0) -> None:
        self._want = want
        self._size_at: Callable[[int], int] = self._untyped if side == "fe" else self._typed
        """Whole size of the frame that begins there, -1 when that cannot be told yet; sets its type."""
        self._buffer = b""
        self._left = 0
        """Bytes of the frame under way that have not come out."""
        self._type = ""
        self.answers_due = 0
        """Negotiations that the other direction has asked for: each is answered by a single byte."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that these bytes complete."""
        self._buffer += data
        start = 0
        while start < len(self._buffer):
            used = 0
            if self._left:
                used = min(self._left, len(self._buffer) - start)
                self._left -= used
                yield Piece(self._type, self._buffer[start : start + used], False, not self._left)
            else:
                size = self._size_at(start)
                here = len(self._buffer) - start
                if size < 0 or here < min(size, max(self._want(self._type), HEADER_BYTES)):
                    break
                used = min(size, here)
                self._left = size - used
                yield Piece(self._type, self._buffer[start : start + used], True, not self._left)
            start += used
        self._buffer = self._buffer[start:]

    def rest(self) -> bytes:
        """What was held back, at the end of the stream."""
        held, self._buffer = self._buffer, b""
        return held

    def _typed(self, start: int) -> int:
        if self.answers_due and self._buffer[start : start + 1] in (b"S", b"N", b"G"):
            return self._answer(start)
        if len(self._buffer) - start < HEADER_BYTES:
            return -1
        (length,) = struct.unpack_from("!I", self._buffer, start + 1)
        if not 4 <= length < LONGEST:
            return self._opaque(start)
        self._type = chr(self._buffer[start])
        return int(length) + 1

    def _answer(self, start: int) -> int:
        self.answers_due -= 1
        if self._buffer[start : start + 1] != b"N":
            self._size_at = self._opaque
        self._type = ANSWER
        return 1

    def _untyped(self, start: int) -> int:
        if self._buffer[start]:  # the first byte of a length below 2^24 is zero; TLS begins with 0x16
            return self._opaque(start)
        if len(self._buffer) - start < UNTYPED_HEADER_BYTES:
            return -1
        length, code = struct.unpack_from("!II", self._buffer, start)
        if not UNTYPED_HEADER_BYTES <= length <= LONGEST_UNTYPED:
            return self._opaque(start)
        self._type = UNTYPED.get(code, STARTUP)
        if self._type == STARTUP:
            self._size_at = self._typed
        return int(length)

    def _opaque(self, start: int) -> int:
        self._size_at = self._opaque
        self._type = OPAQUE
        return len(self._buffer) - start


def text_of(side: Side, kind: str, head: bytes) -> bytes:
    """What a rule's expression is searched in: the SQL, the command tag, or the body as it is."""
    body = head[HEADER_BYTES:]
    if side == "fe" and kind == "P":
        body = body.partition(b"\0")[2]
    if (side, kind) in {("fe", "Q"), ("fe", "P"), ("be", "C")}:
        return body.partition(b"\0")[0]
    return body
