"""One GET of a REST API: bounded in time and size, whatever the other end does, and without a thread."""

from __future__ import annotations

import asyncio
import ssl
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from trunkline.config.address import ServerAddress
from trunkline.net.sockets import connect

if TYPE_CHECKING:
    import socket

    from trunkline.pool.opening import Opener

MAX_BYTES = 1 << 20
ANSWER_S = 3.0
_PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """Why there is none, in words."""


async def get(opener: Opener, url: str, context: ssl.SSLContext | None) -> bytes:
    """The body of a 200; NoAnswer for anything else."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return _body(await _exchange(opener, url, context))
    except TimeoutError:
        raise NoAnswer(f"no answer within {ANSWER_S:g} s") from None
    except (OSError, ssl.SSLError) as error:
        raise NoAnswer(error.strerror or str(error)) from None


async def _exchange(opener: Opener, url: str, context: ssl.SSLContext | None) -> bytes:
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    sock = await connect(ServerAddress(host, port), opener.settings, opener.resolver)
    try:
        secure = parts.scheme == "https"
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context if secure else None, server_hostname=host if secure else None
        )
    except BaseException:
        sock.close()
        raise
    try:
        request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n"
        writer.write(f"{request}Connection: close\r\n\r\n".encode("ascii", "replace"))
        return await _read(reader)
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    said = bytearray()
    while piece := await reader.read(1 << 16):
        said += piece
        if len(said) > MAX_BYTES:
            raise NoAnswer(f"an answer of more than {MAX_BYTES} bytes")
    return bytes(said)


class _Said:
    """As much of a socket as HTTPResponse needs."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._said)


def _body(said: bytes) -> bytes:
    response = HTTPResponse(cast("socket.socket", _Said(said)))
    try:
        response.begin()
        body = response.read()
    except (HTTPException, ValueError) as error:
        raise NoAnswer(f"not an answer of HTTP ({type(error).__name__})") from None
    if response.status != 200:
        raise NoAnswer(f"its answer is {response.status}")
    return body
