"""The HTTP endpoint: /metrics, /healthz and /readyz, on the event loop that serves the clients.

Whoever gets to the address may ask, so everything is bounded: connections, bytes and seconds of a request, seconds of
an answer, and the share of the loop's time that scrapes may take, however many come. A connection has one request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import Any, Protocol, Self

from trunkline.config.address import ListenAddress
from trunkline.metrics.exposition import exposition, gzip_accepted
from trunkline.metrics.http import (
    END,
    MAX_CONNECTIONS,
    MAX_REQUEST_BYTES,
    REQUEST_S,
    Answer,
    BadRequest,
    Request,
    parse,
)
from trunkline.metrics.loop_lag import PERIOD_S, LoopLag
from trunkline.metrics.merging import Gathered
from trunkline.metrics.readings import Source
from trunkline.net.tasks import Tasks
from trunkline.proxy.instance import Instance

log = logging.getLogger("trunkline.metrics")

ANSWER_S = 15.0
LINGER_S = 1.0  # for what a peer still sends, which would turn the answer into a reset
REST = 9  # times as long as a scrape took is none begun: scrapes take a tenth of the loop's time at most
_GZIP = 16 + zlib.MAX_WBITS


class Subject(Protocol):
    """Whose metrics are told."""

    def unready(self) -> str:
        """Why no client should be sent here now, in a word; empty if one may come."""

    async def source(self) -> Source | Gathered:
        """What metrics are read from."""

    def on_timer(self, now: float) -> None:
        """Called every PERIOD_S."""


class Own:
    """An instance that is alone."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._source = Source(instance, LoopLag(time.monotonic()))

    def unready(self) -> str:
        return unready(self._instance)

    async def source(self) -> Source:
        return self._source

    def on_timer(self, now: float) -> None:
        self._source.lag.on_timer(now)


class Endpoint:
    """One listening socket and its connections."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._tasks = Tasks()
        self._scraping = asyncio.Lock()
        self._rests_until = 0.0
        self._server: asyncio.Server
        self.sock: socket.socket
        self._timer: asyncio.TimerHandle
        self._routes: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    @classmethod
    async def open(cls, subject: Subject, address: ListenAddress, sock: socket.socket | None = None) -> Self:
        """Listen, at a socket that was inherited or one of our own; OSError if the address cannot be had."""
        endpoint = cls(subject)
        sock = _listen(address) if sock is None else sock
        endpoint.sock = sock
        endpoint._server = await asyncio.start_server(endpoint._welcome, sock=sock, limit=MAX_REQUEST_BYTES)
        endpoint._set_timer()
        log.info("metrics: http://%s/metrics", ListenAddress(*sock.getsockname()[:2]))
        return endpoint

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        self._timer.cancel()
        self._server.close()
        await self._tasks.cancel()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._on_timer)

    def _on_timer(self) -> None:
        self._subject.on_timer(time.monotonic())
        self._set_timer()

    # --- connections ------------------------------------------------------------------------------------------------

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.connections >= MAX_CONNECTIONS:
            writer.transport.abort()
        else:
            serving = self._tasks.spawn(self._serve(reader, writer), "metrics")
            serving.add_done_callback(lambda _: writer.transport.abort())  # also if it is ended before it began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader)
            if answer:
                writer.transport.set_write_buffer_limits(0)  # so that `drain` waits for all of it
                async with asyncio.timeout(ANSWER_S):
                    writer.write(answer)
                    writer.write_eof()
                    await writer.drain()
                async with asyncio.timeout(LINGER_S):
                    while await reader.read(MAX_REQUEST_BYTES):
                        pass
        except OSError:  # a peer that has gone, or is slow: TimeoutError is one of these
            pass

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """The answer to what is asked; empty if the peer went without a word."""
        try:
            async with asyncio.timeout(REQUEST_S):
                request = parse(await reader.readuntil(END))
        except asyncio.IncompleteReadError as end:
            return Answer.words(HTTPStatus.BAD_REQUEST).to_bytes() if end.partial else b""
        except asyncio.LimitOverrunError:
            return Answer.words(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE).to_bytes()
        except BadRequest:
            return Answer.words(HTTPStatus.BAD_REQUEST).to_bytes()
        except TimeoutError:
            return Answer.words(HTTPStatus.REQUEST_TIMEOUT).to_bytes()
        async with asyncio.timeout(ANSWER_S):
            answer = await self._route(request)
        return answer.to_bytes(with_body=request.method != "HEAD")

    async def _route(self, request: Request) -> Answer:
        route = self._routes.get(request.path)
        if route is None:
            return Answer.words(HTTPStatus.NOT_FOUND)
        if request.method not in ("GET", "HEAD"):
            return Answer.words(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        return await route(request)

    # --- what is answered -------------------------------------------------------------------------------------------

    async def _health(self, request: Request) -> Answer:
        return Answer.words(HTTPStatus.OK)

    async def _readiness(self, request: Request) -> Answer:
        why_not = self._subject.unready()
        return Answer.words(HTTPStatus.SERVICE_UNAVAILABLE if why_not else HTTPStatus.OK, why_not or "ready")

    async def _metrics(self, request: Request) -> Answer:
        source = await self._subject.source()
        content_type, parts = exposition(source, request.headers.get("accept", ""))
        zipped = gzip_accepted(request.headers.get("accept-encoding", ""))
        async with self._scraping:
            await asyncio.sleep(self._rests_until - time.monotonic())
            body = await self._gathered(_zipped(parts) if zipped else parts)
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if zipped else {})
        return Answer(HTTPStatus.OK, body, content_type, headers)

    async def _gathered(self, parts: Iterator[bytes]) -> bytes:
        """All parts, with the loop's other work between them."""
        body, used_s = bytearray(), 0.0
        try:
            while True:
                began = time.monotonic()
                part = next(parts, None)
                used_s += time.monotonic() - began
                if part is None:
                    return bytes(body)
                body += part
                await asyncio.sleep(0)
        finally:
            self._rests_until = time.monotonic() + used_s * REST


def unready(instance: Instance) -> str:
    """Why no client should be sent here now, in a word; empty if one may come."""
    if instance.door.draining or instance.stopped.is_set():
        return "draining"
    if instance.listener is None:
        return "starting"
    return "paused" if "" in instance.pools.paused else ""


def _zipped(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    yield from (packer.compress(part) for part in parts)
    yield packer.flush()


def _listen(address: ListenAddress) -> socket.socket:
    """A socket at the address. A name is looked up here, at start: the loop would keep threads for that."""
    both = address.host == "*" and socket.has_dualstack_ipv6()
    family, target = (socket.AF_INET6, ("", address.port)) if both else _found(address)
    try:
        sock = socket.create_server(target, family=family, dualstack_ipv6=both)
    except OSError as error:  # its text has the address in Python's own form
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None
    sock.setblocking(False)
    return sock


def _found(address: ListenAddress) -> tuple[int, Any]:
    """What a name stands for, as a family and an address of it."""
    host = "" if address.host == "*" else address.host
    try:
        found = socket.getaddrinfo(host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:
        raise OSError(f"{host!r} is no name") from None
    family, _, _, _, target = found[0]
    return family, target
