"""The socket of a nonce client: cuts frames and hands them to a judge; logs in; ends in every way that there is."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping

from scramp import ScramClient, ScramException

from tests.faults.nonce.judge import Judge
from tests.integration.wire import CANCEL_REQUEST, frame, password_message, startup_packet, text, untyped

HOST = "127.0.0.1"
AUTHENTICATION, KEY, READY, ERROR = b"RKZE"
OK, CLEARTEXT, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 10, 11, 12


class Refused(Exception):
    """No login: the SQLSTATE, or why the connection ended."""


class Link(asyncio.Protocol):
    """One connection. ``changed`` is set whenever the judge has settled a step, and at the end of the connection."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._password = password
        self.judge: Judge | None = None
        self.changed = asyncio.Event()
        self.ended: str | None = None
        self.pid = 0
        self.key = b""
        self.transport: asyncio.Transport
        self._rest = b""
        self._need = 5
        self._login: list[tuple[int, bytes]] = []
        self._scram = ScramClient(["SCRAM-SHA-256"], user, password)
        self.parameters: dict[str, str] = {}

    # --- asyncio's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if len(data) < self._need:
            self._rest = data
            return
        at, size = 0, len(data)
        while size - at >= 5:
            length = int.from_bytes(data[at + 1 : at + 5], "big") + 1
            if size - at < length:
                self._need = length
                break
            self._on_frame(data[at], data[at + 5 : at + length])
            at += length
        else:
            self._need = 5
        self._rest = data[at:]

    def _on_frame(self, kind: int, body: bytes) -> None:
        if self.judge is not None:
            self.judge.feed(kind, body)
        else:
            self._on_login_frame(kind, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = type(exc).__name__ if exc is not None else "closed by the peer"
        self.changed.set()

    # --- login ------------------------------------------------------------------------------------------------

    @classmethod
    async def connect(cls, port: int, user: str, password: str, database: str, settings: Mapping[str, str]) -> Link:
        """A logged-in connection; ``Refused`` or OSError."""
        _, link = await asyncio.get_running_loop().create_connection(lambda: cls(user, password), HOST, port)
        link.transport.write(startup_packet({"user": user, "database": database, **settings}))
        try:
            await link._logged_in()
        except BaseException:
            link.abort()
            raise
        return link

    async def _logged_in(self) -> None:
        await self.changed.wait()
        self.changed.clear()
        last, body = self._login[-1] if self._login else (0, b"")
        if last == ERROR:
            raise Refused(body[body.index(b"\0C") + 2 :][:5].decode())
        if last != READY or self.ended is not None:
            raise Refused(self.ended or "no ReadyForQuery")

    def _on_login_frame(self, kind: int, body: bytes) -> None:
        self._login.append((kind, body))
        if kind == AUTHENTICATION:
            self._try_to_authenticate(body)
        elif kind == KEY:
            (self.pid,) = struct.unpack_from("!I", body)
            self.key = body[4:]
        elif kind == ord("S"):
            name, _, value = body[:-1].partition(b"\0")
            self.parameters[name.decode()] = value.decode()
        elif kind in (READY, ERROR):
            self.changed.set()

    def _try_to_authenticate(self, body: bytes) -> None:
        try:
            self._authenticate(body)
        except (ValueError, struct.error, ScramException, Refused) as error:  # falsified on its way
            self.ended = f"no login: {type(error).__name__}"
            self.changed.set()

    def _authenticate(self, body: bytes) -> None:
        (request,) = struct.unpack_from("!I", body)
        if request == CLEARTEXT:
            self.transport.write(password_message(self._password))
        elif request == SASL:
            first = self._scram.get_client_first().encode()
            self.transport.write(frame("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        elif request == SASL_CONTINUE:
            self._scram.set_server_first(body[4:].decode())
            self.transport.write(frame("p", self._scram.get_client_final().encode()))
        elif request == SASL_FINAL:
            self._scram.set_server_final(body[4:].decode())
        elif request != OK:
            raise Refused(f"unknown request for authentication: {request}")

    # --- what it does beyond reading ----------------------------------------------------------------------------

    async def cancel(self, port: int) -> bool:
        """A CancelRequest for whatever runs here, on a connection of its own, to its end; whether it got there."""
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(untyped(CANCEL_REQUEST, struct.pack("!I", self.pid) + self.key))
                await reader.read()
            finally:
                writer.close()
        except OSError:
            return False
        return True

    def abort(self) -> None:
        """Vanish at once: what was not sent is lost, what was not read too."""
        self.transport.abort()

    def reset(self) -> None:
        """RST."""
        handle = self.transport.get_extra_info("socket")
        if handle is not None and handle.fileno() >= 0:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
