"""What was said on one connection, in order, with what differs between two runs of the same thing taken out.

Taken out are process ids and cancel keys, wherever the protocol carries them; a value in a row that is the server's own
process id; and the bodies of the authentication, which are random and secret. Times are not recorded.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.faults.fault_proxy.frames import CANCEL, HEADER_BYTES, Piece, Side

KEPT_BYTES = 65_536
"""A longer frame is recorded by its beginning and its length."""
PID = b"<pid>"
SECRET = {("be", "K"): 0, ("be", "R"): 4, ("fe", "p"): 0, ("fe", CANCEL): 0}
"""Of these bodies only so many bytes are kept."""


class Entry(NamedTuple):
    """One frame: who sent it, its type, its body."""

    side: Side
    type: str
    body: bytes


class Transcript:
    """Of one connection. The frames of one direction are in order, and a request comes before its reply."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._pid = b""
        self._parts: dict[Side, tuple[bytearray, int]] = {}

    def add(self, side: Side, piece: Piece) -> None:
        kept, length = self._parts.pop(side, (bytearray(), 0))
        kept += piece.data[: max(0, KEPT_BYTES - len(kept))]
        length += len(piece.data)
        if not piece.last:
            self._parts[side] = kept, length
            return
        body = bytes(kept[HEADER_BYTES:] if piece.type.isalnum() else kept)
        self.entries.append(Entry(side, piece.type, self._normal(side, piece.type, body, length)))

    def _normal(self, side: Side, kind: str, body: bytes, length: int) -> bytes:
        if (side, kind) == ("be", "K"):
            (pid,) = struct.unpack_from("!I", body)
            self._pid = str(pid).encode()
        if (side, kind) in SECRET:
            return body[: SECRET[side, kind]]
        if side == "be" and kind == "A":
            body = PID + body[4:]
        if side == "be" and kind == "D" and self._pid:
            body = body.replace(_value(self._pid), _value(PID))
        return body if length <= KEPT_BYTES else body + b"... of %d bytes" % length

    def shape(self, side: Side) -> str:
        """The types of one direction in one word."""
        return "".join(entry.type for entry in self.entries if entry.side == side)


def _value(text: bytes) -> bytes:
    """As a row has it."""
    return struct.pack("!i", len(text)) + text
