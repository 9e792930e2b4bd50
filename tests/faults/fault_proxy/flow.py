"""One direction of a connection: reads, cuts into frames, lets the faults in, and sends on.

Nothing is read while the receiver does not take what there is (``drain`` at a mark of zero), so that back-pressure goes
through. What an action asks of the stream is kept as plain fields here: what holds until further notice in ``Shape``,
what holds for the rest of one frame in ``Edit``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.faults.fault_proxy.frames import NEGOTIATION, Framer, Piece, Side
from tests.faults.fault_proxy.rules import HEAD_BYTES, Fault

if TYPE_CHECKING:
    from tests.faults.fault_proxy.conversation import Conversation

READ_BYTES = 65_536
BURSTS_PER_S = 50  # a limited rate goes out in so many portions a second


@dataclass
class Shape:
    """How bytes go out from now on."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate: float = 0.0
    slice_bytes: int = 0
    budget: int | None = None
    """After so many bytes the connection is closed."""
    swallow: bool = False


@dataclass
class Edit:
    """What becomes of the rest of the frame that is passing."""

    sent: int = 0
    waiting: list[Fault] = field(default_factory=list)
    """Faults of this frame whose byte has not come yet, the nearest first."""
    twice: bytearray | None = None
    dropped: bool = False
    flip: int = 0
    """Changed in the next byte."""


class Flow:
    """From ``source`` to ``sink``; ``side`` says who sends."""

    def __init__(
        self, side: Side, conversation: Conversation, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        self.side: Side = side
        self.conversation = conversation
        self.source = source
        self.sink = sink
        self.shape = Shape()
        self.edit = Edit()
        self.framer = Framer(side, self._wanted)
        self._gathered: list[bytes] = []
        sink.transport.set_write_buffer_limits(high=0)

    @property
    def sink_name(self) -> Literal["client", "server"]:
        return "server" if self.side == "fe" else "client"

    @property
    def other(self) -> Flow:
        return self.conversation.flows["be" if self.side == "fe" else "fe"]

    def _wanted(self, kind: str) -> int:
        if kind == "K":  # the conversation looks for the cancel key itself
            return HEAD_BYTES
        return max((fault.head_bytes(kind) for fault in self.conversation.proxy.in_force[self.side]), default=0)

    async def run(self) -> None:
        """Relay until the end of the source, and pass that on too."""
        while data := await self.source.read(READ_BYTES):
            for piece in self.framer.feed(data):
                await self._pass(piece)
            await self.flush()
        self._gathered.append(self.framer.rest())
        await self.flush()
        await self.conversation.on_end(self)

    # --- frames -------------------------------------------------------------------------------------------------

    async def _pass(self, piece: Piece) -> None:
        if self.conversation.transcript is not None:
            self.conversation.transcript.add(self.side, piece)
        if piece.first:
            self.edit = Edit(waiting=self.conversation.begin(self, piece))
            if piece.type == NEGOTIATION and self.side == "fe":
                self.other.framer.answers_due += 1
        data = piece.data
        while self.edit.waiting and self.edit.waiting[0].rule.bytes <= self.edit.sent + len(data):
            fault = self.edit.waiting.pop(0)
            here = fault.rule.bytes - self.edit.sent
            self._emit(data[:here])
            data = data[here:]
            await self._strike(fault, piece.type)
        self._emit(data)
        if piece.last:
            await self._end_frame(piece.type)

    async def _end_frame(self, kind: str) -> None:
        for fault in self.edit.waiting:
            await self._strike(fault, kind)
        if self.edit.twice:
            self._gathered.append(bytes(self.edit.twice))
        self.edit = Edit()

    def _emit(self, data: bytes) -> None:
        """Gather these bytes of the frame, as it is edited now."""
        edit = self.edit
        edit.sent += len(data)
        if edit.flip and data:
            data = bytes([data[0] ^ edit.flip]) + data[1:]
            edit.flip = 0
        if edit.dropped or not data:
            return
        if edit.twice is not None:
            edit.twice += data
        self._gathered.append(data)

    async def _strike(self, fault: Fault, kind: str) -> None:
        await self.flush()
        await self.conversation.strike(fault.action, self.side, kind)

    # --- bytes --------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Send what was gathered, in the shape of the moment."""
        data = b"".join(self._gathered)
        self._gathered.clear()
        if not data or self.shape.swallow:
            return
        if self.shape == PLAIN:
            await self._write(data)
            return
        if self.shape.delay_s:
            jitter = self.shape.jitter_s * self.conversation.proxy.random.uniform(-1, 1)
            await asyncio.sleep(max(0.0, self.shape.delay_s + jitter))
        while data and not self.shape.swallow:
            size = self._portion(len(data))
            await self._write(data[:size])
            data = data[size:]
            await self._after_portion(size)

    def _portion(self, size: int) -> int:
        shape = self.shape
        if shape.slice_bytes:
            size = min(size, shape.slice_bytes)
        if shape.rate:
            size = min(size, max(1, int(shape.rate / BURSTS_PER_S)))
        return size if shape.budget is None else min(size, shape.budget)

    async def _after_portion(self, size: int) -> None:
        await asyncio.sleep(size / self.shape.rate if self.shape.rate else 0)
        if self.shape.budget is not None:
            self.shape.budget -= size
            if not self.shape.budget:
                self.conversation.close()

    async def _write(self, data: bytes) -> None:
        self.sink.write(data)
        await self.sink.drain()

    async def inject(self, data: bytes) -> None:
        """Bytes that nobody sent, at this point of the stream."""
        self._gathered.append(data)
        await self.flush()

    def end(self) -> None:
        """Tell the receiver that nothing more comes; what still comes is swallowed."""
        self.shape.swallow = True
        if not self.sink.transport.is_closing() and self.sink.can_write_eof():
            with suppress(OSError):  # it was reset a moment ago, and has nobody to tell
                self.sink.write_eof()


PLAIN = Shape()
