"""A SCRAM-SHA-256 client that is as cheap as one can be, so that a storm of logins measures the proxy.

The client key is derived once for each (salt, iterations) and kept, as libpq's users with a key file or any pool
would; against a server with a fixed secret a login then costs the client three HMACs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from bench import wire

ITERATIONS = 4096
AUTHENTICATION_OK, SASL, SASL_CONTINUE, SASL_FINAL = 0, 10, 11, 12


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _client_key(password: str, salt: bytes, iterations: int) -> bytes:
    return _hmac(hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations), b"Client Key")


def make_secret(password: str) -> str:
    """The secret as PostgreSQL stores it in pg_authid.rolpassword."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    salt64, stored64, server64 = (b64encode(raw).decode() for raw in (salt, stored, _hmac(salted, b"Server Key")))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"


def _message(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack("!I", len(body) + 4) + body


@dataclass
class Credentials:
    """A user's password and the keys derived from it so far."""

    user: str
    password: str
    keys: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    def final(self, first: str, nonce: str) -> bytes:
        """client-final-message for the server-first-message ``first`` (RFC 5802, section 5)."""
        answer = dict(part.split("=", 1) for part in first.split(","))
        salt, iterations = b64decode(answer["s"]), int(answer["i"])
        if (salt, iterations) not in self.keys:
            self.keys[salt, iterations] = _client_key(self.password, salt, iterations)
        key = self.keys[salt, iterations]
        bare = f"c=biws,r={answer['r']}"
        signed = f"n=,r={nonce},{first},{bare}".encode()
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{bare},p={b64encode(proof).decode()}".encode()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
    if head[:1] == b"E":
        raise ConnectionError(wire.error_text(b"\0" + body))
    return head[:1], body


async def log_in(port: int, credentials: Credentials) -> asyncio.StreamWriter:
    """A client logged in and ready; ConnectionError with the server's words if it is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(wire.startup_message(credentials.user))
        await _authenticate(reader, writer, credentials)
        while (await _read(reader))[0] != b"Z":
            pass
    except BaseException:
        writer.close()
        raise
    return writer


async def _authenticate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credentials: Credentials) -> None:
    nonce = b64encode(os.urandom(18)).decode()
    while True:
        _, body = await _read(reader)
        request = int.from_bytes(body[:4], "big")
        if request == SASL:
            opening = f"n,,n=,r={nonce}".encode()
            writer.write(_message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(opening)) + opening))
        elif request == SASL_CONTINUE:
            writer.write(_message(b"p", credentials.final(body[4:].decode(), nonce)))
        elif request == AUTHENTICATION_OK:
            return
        elif request != SASL_FINAL:
            raise ConnectionError(f"asked for authentication {request} instead of SCRAM")
