"""One connection through the fault proxy: its two flows, how it ends, and what is known of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from tests.faults.fault_proxy.actions import Action, Moment, Whom
from tests.faults.fault_proxy.flow import Flow
from tests.faults.fault_proxy.frames import HEADER_BYTES, Piece, Side
from tests.faults.fault_proxy.rules import Fault
from tests.faults.fault_proxy.transcript import Transcript

if TYPE_CHECKING:
    from tests.faults.fault_proxy.proxy import FaultProxy

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LINGER_S = 1.0
"""How long a peer that was told the end may go on sending before the descriptor is closed."""


class Conversation:
    """A client, a server, and what passes between them; ``number`` counts from 0 in the order of arrival."""

    def __init__(self, proxy: FaultProxy, number: int, client: Stream, server: Stream) -> None:
        self.proxy = proxy
        self.number = number
        self.writers = {"client": client[1], "server": server[1]}
        self.flows: dict[Side, Flow] = {
            "fe": Flow("fe", self, client[0], server[1]),
            "be": Flow("be", self, server[0], client[1]),
        }
        self.transcript = Transcript() if proxy.records else None
        self.pid = 0
        self.cancel_key = b""
        self.holds = False
        """The ends of the peers are not passed on (a network that has gone away tells nobody anything)."""
        self.closing = False
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Conversation {self.number} pid={self.pid}>"

    async def run(self) -> None:
        """Relay until both directions have ended; a connection that breaks breaks the other."""
        tasks = [asyncio.ensure_future(flow.run()) for flow in self.flows.values()]
        try:
            await asyncio.gather(*tasks)
        except OSError:
            if not self.closing:
                self.reset()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._release()

    async def _release(self) -> None:
        for writer in self.writers.values():
            writer.close()
        for writer in self.writers.values():
            try:
                await writer.wait_closed()
            except OSError:
                continue

    # --- faults -------------------------------------------------------------------------------------------------

    def begin(self, flow: Flow, piece: Piece) -> list[Fault]:
        """A frame begins: the faults that it meets, in the order of their bytes."""
        if piece.type == "K" and flow.side == "be" and piece.last:
            (self.pid,) = struct.unpack_from("!I", piece.data, HEADER_BYTES)
            self.cancel_key = piece.data[HEADER_BYTES + 4 :]
        met = [
            fault
            for fault in self.proxy.in_force[flow.side]
            if fault.strikes(self.number, piece.type, piece.data, self.proxy.random)
        ]
        return sorted(met, key=lambda fault: fault.rule.bytes)

    async def strike(self, action: Action, side: Side, kind: str = "") -> None:
        """Do it here and now."""
        self.proxy.count(side, action)
        await action.apply(Moment(self.proxy, self, self.flows[side], kind))

    # --- the end ------------------------------------------------------------------------------------------------

    async def on_end(self, flow: Flow) -> None:
        """A source has ended."""
        if self.holds and flow.side == "be":
            await self._over.wait()  # the client is never told; it is for the client to leave
        elif self.holds:
            self.reset()
        elif not self.closing:
            flow.end()

    def swallow(self) -> None:
        """From now on nothing passes in either direction."""
        for flow in self.flows.values():
            flow.shape.swallow = True

    def close(self, whom: Whom = "both") -> None:
        """FIN. The peers may still speak for a while, unheard; who got no FIN hears of the end after that."""
        self._begin_to_end()
        for flow in self.flows.values():
            if whom in ("both", flow.sink_name):
                flow.end()

    def reset(self, whom: Whom = "both") -> None:
        """RST: what is under way is lost. Who gets none hears of it by a FIN."""
        self._begin_to_end()
        for flow in self.flows.values():
            if whom in ("both", flow.sink_name):
                _reset(flow.sink)
            else:
                flow.end()

    def _begin_to_end(self) -> None:
        self.swallow()
        if not self.closing:
            self.closing = True
            self._over.set()
            self.proxy.spawn(self._break_off_late())

    async def _break_off_late(self) -> None:
        await asyncio.sleep(LINGER_S)
        for writer in self.writers.values():
            writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    handle = writer.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
