"""The little of the PostgreSQL protocol that the benchmarks speak themselves, on blocking sockets.

Raw sockets instead of a driver: 10,000 idle clients and a 200 MB result must not be limited by the measuring side.
"""

from __future__ import annotations

import socket
import ssl
import struct

USER = DATABASE = "bench"
READY = b"Z\0\0\0\x05I"
SSL_REQUEST = struct.pack("!II", 8, 80877103)


def startup_message(user: str = USER, database: str = DATABASE) -> bytes:
    body = b"\0\x03\0\0user\0" + user.encode() + b"\0database\0" + database.encode() + b"\0\0"
    return struct.pack("!I", len(body) + 4) + body


def query_message(sql: str) -> bytes:
    body = sql.encode() + b"\0"
    return b"Q" + struct.pack("!I", len(body) + 4) + body


def prepare_message(name: str, sql: str) -> bytes:
    """Parse and Sync; its parameters have no types but those that they are given."""
    body = name.encode() + b"\0" + sql.encode() + b"\0\0\0"
    return b"P" + struct.pack("!I", len(body) + 4) + body + b"S\0\0\0\x04"


def run_message(name: str, value: bytes) -> bytes:
    """Bind with one parameter, as text, Execute and Sync."""
    body = b"\0" + name.encode() + b"\0\0\0\0\x01" + struct.pack("!I", len(value)) + value + b"\0\0"
    return b"B" + struct.pack("!I", len(body) + 4) + body + b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"


def copy_messages(data: bytes, size: int = 65536) -> bytes:
    """What a client sends behind its COPY FROM STDIN: the data in messages of this size, and the end."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"d" + struct.pack("!I", len(part) + 4) + part for part in parts) + b"c\0\0\0\x04"


def error_text(frame: bytes) -> str:
    """The message field of an ErrorResponse that may stand anywhere in ``frame``."""
    start = frame.find(b"\0M")
    return frame[start + 2 :].split(b"\0", 1)[0].decode(errors="replace") if start >= 0 else repr(frame[:80])


def login(port: int, timeout_s: float = 10.0, database: str = DATABASE) -> socket.socket:
    """A client logged in by trust; ConnectionError with the server's words if it is not let in."""
    client = socket.create_connection(("127.0.0.1", port), timeout_s)
    try:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(startup_message(USER, database))
        _read_until_ready(client)
    except BaseException:
        client.close()
        raise
    return client


def _read_until_ready(client: socket.socket) -> None:
    seen = b""
    while not seen.endswith(READY):
        part = client.recv(8192)
        if not part or seen.startswith(b"E"):
            raise ConnectionError(error_text(seen) if seen else "closed during login")
        seen += part


def read_answer(client: socket.socket) -> None:
    """One answer to its end; ConnectionError with the server's words if it is an error."""
    seen = b""
    while not seen.endswith(READY):
        part = client.recv(65536)
        if not part:
            raise ConnectionError("closed during an answer")
        seen += part
    if seen.startswith(b"E"):
        raise ConnectionError(error_text(seen))


def answers(port: int, timeout_s: float = 10.0) -> None:
    """ConnectionError unless something on ``port`` answers an SSLRequest, whatever login it asks for later."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as client:
        client.sendall(SSL_REQUEST)
        if client.recv(1) not in (b"S", b"N"):
            raise ConnectionError("closed during login")


def accepts_tls(port: int, timeout_s: float = 10.0) -> None:
    """ConnectionError unless the server on ``port`` answers SSLRequest with a working TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout_s) as plain:
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ConnectionError("TLS refused")
        with context.wrap_socket(plain) as client:
            client.sendall(startup_message())
            _read_until_ready(client)
