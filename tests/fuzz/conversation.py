"""One raw connection to PostgreSQL or to a proxy: bytes are sent, and what came back is read up to an agreed end.

Blocking, since thousands of conversations are held one after the other. The end of a conversation is a ``fence``:
messages that bring any session back to where it began, whatever was said before, and of which the last has an answer
that nothing else has.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import NamedTuple, Self

from scramp import ScramClient

from tests.integration.wire import (
    AUTH_OK,
    AUTH_SASL,
    AUTH_SASL_CONTINUE,
    AUTH_SASL_FINAL,
    HOST,
    SYNC,
    Frame,
    frame,
    query,
    startup_packet,
    text,
)

TIMEOUT_S = 10.0
END = b"this is the end"
RECEIVED_BYTES = 1 << 16


def fence(*tidying: str) -> bytes:
    """Out of COPY, out of an error, out of a transaction; then ``tidying``; then the end."""
    statements = ("rollback", "discard all", *tidying, f"select '{END.decode()}'")
    return frame("f", text("fence")) + SYNC + b"".join(map(query, statements))


class Heard(NamedTuple):
    """What came of a conversation: its frames; ``ended`` if the peer closed; ``silent`` if it said nothing more."""

    frames: list[Frame]
    ended: bool = False
    silent: bool = False


class Conversation:
    """A logged-in connection."""

    def __init__(self, port: int, user: str, password: str, database: str) -> None:
        self.socket = socket.create_connection((HOST, port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._log_in(user, password, database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def _log_in(self, user: str, password: str, database: str) -> None:
        scram = ScramClient(["SCRAM-SHA-256"], user, password)
        self.socket.sendall(startup_packet({"user": user, "database": database}))
        while (message := self._read_frame()) is not None and message.type != "Z":
            assert message.type != "E", message
            if message.type == "R":
                self._authenticate(message.body, scram)

    def _authenticate(self, body: bytes, scram: ScramClient) -> None:
        (request,) = struct.unpack_from("!I", body)
        if request == AUTH_SASL:
            first = scram.get_client_first().encode()
            self.socket.sendall(frame("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        elif request == AUTH_SASL_CONTINUE:
            scram.set_server_first(body[4:].decode())
            self.socket.sendall(frame("p", scram.get_client_final().encode()))
        elif request == AUTH_SASL_FINAL:
            scram.set_server_final(body[4:].decode())
        else:
            assert request == AUTH_OK, f"unknown request for authentication: {request}"

    # --- talking ----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """False when the peer has closed; what it said before that can still be read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def linger(self, seconds: float) -> None:
        """Give the peer a moment to answer, if it is going to; nothing depends on whether it does."""
        select.select([self.socket], [], [], seconds)

    def hear(self) -> Heard:
        """All frames up to and with the end, or as far as they come."""
        frames: list[Frame] = []
        last = b""
        while not (last.endswith(END) and frames[-1].type == "Z"):
            try:
                message = self._read_frame()
            except TimeoutError:
                return Heard(frames, silent=True)
            if message is None:
                return Heard(frames, ended=True)
            frames.append(message)
            last = message.body if message.type == "D" else last
        return Heard(frames)

    def _read_frame(self) -> Frame | None:
        """The next whole frame; None at the end."""
        while (message := self._take_frame()) is None:
            try:
                data = self.socket.recv(RECEIVED_BYTES)
            except ConnectionResetError:
                data = b""
            if not data:
                return None  # half a frame may be here: a reset takes back what was not yet read
            self._received += data
        return message

    def _take_frame(self) -> Frame | None:
        if len(self._received) < 5:
            return None
        size = 1 + int.from_bytes(self._received[1:5], "big")
        if len(self._received) < size:
            return None
        message = Frame(chr(self._received[0]), bytes(self._received[5:size]))
        del self._received[:size]
        return message
