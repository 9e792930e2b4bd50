"""A PostgreSQL client for tests that need the bytes: it sends what it is told and shows what came, frame by frame.

Nothing here is shared with the code under test; SCRAM is scramp's, so that a mistake of ours cannot cancel itself out.
Every read has a deadline: a proxy that stays silent fails the test instead of hanging it.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from scramp import ScramClient

HOST = "127.0.0.1"
PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102
READ_TIMEOUT_S = 15.0

AUTH_OK, AUTH_CLEARTEXT, AUTH_MD5, AUTH_SASL, AUTH_SASL_CONTINUE, AUTH_SASL_FINAL = 0, 3, 5, 10, 11, 12


class Frame(NamedTuple):
    """One message: its type as a letter, and its body without the length."""

    type: str
    body: bytes


# --- encoding ---------------------------------------------------------------------------------------------------


def frame(kind: str, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A message; ``length`` overrides the true length, for tests of lies."""
    return kind.encode() + struct.pack("!I", len(body) + 4 if length is None else length) + body


def text(*values: str | bytes) -> bytes:
    return b"".join((value.encode() if isinstance(value, str) else value) + b"\0" for value in values)


def untyped(code: int, body: bytes = b"") -> bytes:
    """A packet of the time before login: length and code, no type."""
    return struct.pack("!II", len(body) + 8, code) + body


def startup_packet(parameters: Mapping[str, str | bytes], version: int = PROTOCOL_3_0) -> bytes:
    return untyped(version, b"".join(text(name, value) for name, value in parameters.items()) + b"\0")


def query(sql: str | bytes) -> bytes:
    return frame("Q", text(sql))


def parse(sql: str | bytes, name: str = "", types: Sequence[int] = ()) -> bytes:
    return frame("P", text(name, sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(
    statement: str = "",
    values: Sequence[bytes | None] = (),
    portal: str = "",
    result_formats: Sequence[int] = (),
    formats: Sequence[int] = (),
) -> bytes:
    """Bind with parameters in text format, and results too, unless it says otherwise."""
    body = text(portal, statement) + struct.pack(f"!H{len(formats)}h", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return frame("B", body + struct.pack(f"!H{len(result_formats)}h", len(result_formats), *result_formats))


def describe(kind: str, name: str = "") -> bytes:
    """``kind`` is S for a statement, P for a portal."""
    return frame("D", kind.encode() + text(name))


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return frame("E", text(portal) + struct.pack("!I", max_rows))


def close(kind: str, name: str = "") -> bytes:
    return frame("C", kind.encode() + text(name))


def password_message(secret: str | bytes) -> bytes:
    return frame("p", text(secret))


SYNC = frame("S")
FLUSH = frame("H")
TERMINATE = frame("X")


# --- decoding ---------------------------------------------------------------------------------------------------


def error_fields(message: Frame) -> dict[str, str]:
    """ErrorResponse or NoticeResponse by field letter: S severity, C SQLSTATE, M message, D detail, H hint."""
    assert message.type in "EN", f"neither an error nor a notice: {message}"
    parts = message.body.rstrip(b"\0").split(b"\0")
    return {part[:1].decode(): part[1:].decode() for part in parts}


def data_row(message: Frame) -> list[bytes | None]:
    assert message.type == "D", f"not a row: {message}"
    (count,) = struct.unpack_from("!H", message.body)
    values: list[bytes | None] = []
    offset = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", message.body, offset)
        offset += 4
        values.append(None if length < 0 else message.body[offset : offset + length])
        offset += max(length, 0)
    return values


def rows(messages: Sequence[Frame]) -> list[list[bytes | None]]:
    return [data_row(message) for message in messages if message.type == "D"]


# --- the connection ---------------------------------------------------------------------------------------------


class Wire:
    """One connection; ``parameters``, ``backend_pid`` and ``cancel_key`` are filled in by the login."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.parameters: dict[str, str] = {}
        self.backend_pid = 0
        self.cancel_key = b""

    @classmethod
    async def connect(cls, port: int, host: str = HOST, *, tls: ssl.SSLContext | None = None) -> Self:
        """``tls`` begins with the TLS handshake at once (direct TLS); see ``request_tls`` for the usual way."""
        return cls(*await asyncio.open_connection(host, port, ssl=tls))

    @classmethod
    async def connect_unix(cls, path: str) -> Self:
        return cls(*await asyncio.open_unix_connection(path))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close without Terminate; the peer may have done so already."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (OSError, ssl.SSLError):
            return

    def abort(self) -> None:
        """Reset the connection (RST), as a client that dies does."""
        handle: socket.socket = self.writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    # --- before login -----------------------------------------------------------------------------------------

    async def request_tls(self, context: ssl.SSLContext | None = None, *, code: int = SSL_REQUEST) -> bytes:
        """Send SSLRequest (or GSSENCRequest) and return the one-byte answer; after ``S`` the connection is TLS."""
        await self.send(untyped(code))
        answer = await self.read_exactly(1)
        if answer == b"S":
            await self.writer.start_tls(context or unverified_context(), server_hostname="localhost")
        return answer

    async def send_startup(self, parameters: Mapping[str, str | bytes], version: int = PROTOCOL_3_0) -> None:
        await self.send(startup_packet(parameters, version))

    async def login(
        self,
        user: str,
        password: str = "",
        *,
        database: str = "postgres",
        version: int = PROTOCOL_3_0,
        **parameters: str,
    ) -> list[Frame]:
        """Log in by whatever the server asks for; all frames up to ReadyForQuery. A refusal fails the test."""
        await self.send_startup({"user": user, "database": database, **parameters}, version)
        frames = await self.login_with(user, password)
        assert frames[-1].type == "Z", f"login refused: {error_fields(frames[-1])}"
        return frames

    async def login_with(self, user: str, password: str) -> list[Frame]:
        """Answer the requests for a password until ReadyForQuery or an error, whichever comes."""
        frames: list[Frame] = []
        scram = ScramClient(["SCRAM-SHA-256"], user, password)
        while not frames or frames[-1].type not in "ZE":
            message = await self.read_frame()
            frames.append(message)
            if message.type == "R":
                await self._authenticate(message.body, user, password, scram)
            self._remember(message)
        return frames

    async def _authenticate(self, body: bytes, user: str, password: str, scram: ScramClient) -> None:
        (request,) = struct.unpack_from("!I", body)
        if request == AUTH_CLEARTEXT:
            await self.send(password_message(password))
        elif request == AUTH_MD5:
            await self.send(password_message(md5_answer(user, password, body[4:8])))
        elif request == AUTH_SASL:
            first = scram.get_client_first().encode()
            await self.send(frame("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        elif request == AUTH_SASL_CONTINUE:
            scram.set_server_first(body[4:].decode())
            await self.send(frame("p", scram.get_client_final().encode()))
        elif request == AUTH_SASL_FINAL:
            scram.set_server_final(body[4:].decode())
        else:
            assert request == AUTH_OK, f"unknown request for authentication: {request}"

    def _remember(self, message: Frame) -> None:
        if message.type == "S":
            name, value = message.body[:-1].split(b"\0")
            self.parameters[name.decode()] = value.decode()
        elif message.type == "K":
            (self.backend_pid,) = struct.unpack_from("!I", message.body)
            self.cancel_key = message.body[4:]

    @classmethod
    async def cancel(cls, port: int, pid: int, key: bytes, *, tls: bool = False) -> None:
        """Send a CancelRequest on a connection of its own, and wait until the peer has closed it."""
        async with await cls.connect(port) as wire:
            if tls:
                await wire.request_tls()
            await wire.send_cancel(pid, key)
            assert await wire.read_to_end() == b""

    async def send_cancel(self, pid: int, key: bytes) -> None:
        """A CancelRequest, as the first thing that is said."""
        await self.send(untyped(CANCEL_REQUEST, struct.pack("!I", pid) + key))

    # --- after login ------------------------------------------------------------------------------------------

    async def send(self, *messages: bytes) -> None:
        """Send raw bytes, all in one write."""
        self.writer.write(b"".join(messages))
        await self.writer.drain()

    async def send_query(self, sql: str) -> None:
        await self.send(query(sql))

    async def query(self, sql: str) -> list[Frame]:
        """A simple query; all frames up to and with ReadyForQuery."""
        await self.send_query(sql)
        return await self.read_until("Z")

    async def read_exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), READ_TIMEOUT_S)

    async def read_frame(self) -> Frame:
        header = await self.read_exactly(5)
        (length,) = struct.unpack_from("!I", header, 1)
        return Frame(chr(header[0]), await self.read_exactly(length - 4))

    async def read_until(self, types: str) -> list[Frame]:
        """Frames up to and with the first of one of these types."""
        frames = [await self.read_frame()]
        while frames[-1].type not in types:
            frames.append(await self.read_frame())
        return frames

    async def read_to_end(self) -> bytes:
        """All that still comes before the peer closes; a reset counts as a close."""
        try:
            return await asyncio.wait_for(self.reader.read(), READ_TIMEOUT_S)
        except ConnectionResetError:
            return b""

    async def read_frames_to_end(self) -> list[Frame]:
        """The whole frames that still come before the peer closes."""
        return split_frames(await self.read_to_end())


def split_frames(data: bytes) -> list[Frame]:
    frames: list[Frame] = []
    while data:
        (length,) = struct.unpack_from("!I", data, 1)
        assert len(data) > length, f"a frame was cut short: {data!r}"
        frames.append(Frame(chr(data[0]), data[5 : length + 1]))
        data = data[length + 1 :]
    return frames


def md5_answer(user: str, password: str, salt: bytes) -> str:
    """PostgreSQL's md5 method (protocol documentation, section 55.2.1)."""
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


def unverified_context(*, alpn: Sequence[str] = ("postgresql",)) -> ssl.SSLContext:
    """TLS that trusts anyone: for tests of the transport, not of certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context
