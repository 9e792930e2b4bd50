"""A server that plays PostgreSQL's side of the protocol wrong on purpose, over a real socket.

It stands for an attacker or a broken network, not for PostgreSQL: a script says, byte by byte, what each accepted
connection gets.

    async def script(peer):
        await peer.log_in()
        await peer.request()
        await peer.send(b"garbage")

    async with ScriptedServer(port, script) as server: ...

When a script returns, its connection is closed; ``peer.abort`` resets it. What a script raises fails the test at the
end of the ``async with``, but for an end of the connection, which is what scripts wait for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.integration.wire import HOST, SSL_REQUEST, Frame, frame, text

AUTH_OK = frame("R", struct.pack("!I", 0))
KEY = frame("K", struct.pack("!I", 4242) + b"\x01\x02\x03\x04")
READY = frame("Z", b"I")
PARAMETERS = {
    "server_version": "18.0",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "application_name": "",
    "IntervalStyle": "postgres",
    "search_path": '"$user", public',
    "in_hot_standby": "off",
}
GREETING = AUTH_OK + b"".join(frame("S", text(*pair)) for pair in PARAMETERS.items()) + KEY + READY

Script = Callable[["Peer"], Awaitable[None]]


def row(value: bytes) -> bytes:
    """A DataRow of one column."""
    return frame("D", struct.pack("!hi", 1, len(value)) + value)


def answer(value: bytes) -> bytes:
    """The whole answer to a simple query: one row of one column."""
    described = frame("T", struct.pack("!h", 1) + text("nonce") + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))
    return described + row(value) + frame("C", text("SELECT 1")) + READY


def error(**fields: str) -> bytes:
    """An ErrorResponse of exactly these fields, by letter."""
    return frame("E", b"".join(text(letter + value) for letter, value in fields.items()) + b"\0")


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        """How many connections came before this one."""

    async def send(self, *messages: bytes) -> None:
        self.writer.write(b"".join(messages))
        await self.writer.drain()

    async def last_word(self, data: bytes) -> None:
        """What leaves together with the end of the connection, which has to come next."""
        handle: socket.socket = self.writer.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await self.send(data)

    async def trickle(self, data: bytes) -> None:
        """One byte a segment."""
        handle: socket.socket = self.writer.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            await self.send(data[index : index + 1])
            await asyncio.sleep(0)

    async def packet(self) -> bytes:
        """One packet of the time before login, behind its length."""
        (length,) = struct.unpack("!I", await self.reader.readexactly(4))
        return await self.reader.readexactly(length - 4)

    async def startup(self) -> bytes:
        """The startup packet; SSLRequest is answered N before it."""
        packet = await self.packet()
        if packet == struct.pack("!I", SSL_REQUEST):
            await self.send(b"N")
            packet = await self.packet()
        return packet

    async def log_in(self) -> None:
        """Let anybody in, without a password."""
        await self.startup()
        await self.send(GREETING)

    async def request(self) -> Frame:
        """One message of the frontend."""
        header = await self.reader.readexactly(5)
        (length,) = struct.unpack_from("!I", header, 1)
        return Frame(chr(header[0]), await self.reader.readexactly(length - 4))

    async def serve(self) -> None:
        """Be honest from now on: every query is answered with its own text."""
        while True:
            asked = await self.request()
            if asked.type == "Q":
                await self.send(answer(asked.body[:-1]))

    def abort(self) -> None:
        """Reset the connection."""
        handle: socket.socket = self.writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def closed(self) -> None:
        """Wait until the proxy has closed its end; what it still says is dropped."""
        while await self.reader.read(65536):
            pass


class ScriptedServer:
    """Listens on a port of the loopback and runs the script for each connection."""

    def __init__(self, port: int, script: Script) -> None:
        self.port = port
        self.script = script
        self.accepted = 0
        self.ended = 0
        self._failures: list[Exception] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_connection, HOST, self.port, reuse_address=True)
        return self

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        peer = Peer(reader, writer, self.accepted)
        self.accepted += 1
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the proxy has closed, or the test is over
        except Exception as failure:
            self._failures.append(failure)
        finally:
            self.ended += 1
            writer.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if kind is None and self._failures:
            raise self._failures[0]
