"""The HTTP endpoint with everything that may come to it, on a loop of its own and without a PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from trunkline.config.address import ListenAddress
from trunkline.metrics import endpoint as module
from trunkline.metrics.endpoint import Endpoint, Own, unready
from trunkline.metrics.http import END, MAX_CONNECTIONS, MAX_REQUEST_BYTES
from trunkline.net.tasks import Tasks
from trunkline.proxy.instance import Drain, Instance

LOOPBACK = ListenAddress("127.0.0.1", 0)


class Caller:
    """Who asks."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.port = endpoint.port

    async def send(self, raw: bytes) -> bytes:
        """The whole answer to these bytes; empty where there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            return await reader.read()
        finally:
            writer.close()

    async def ask(self, path: str, method: str = "GET", headers: str = "") -> tuple[int, bytes, bytes]:
        """Status, head and body."""
        answer = await self.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
        head, _, body = answer.partition(END)
        return int(head.split()[1]), head, body


@pytest.fixture
async def caller(instance: Instance, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Caller]:
    endpoint = await Endpoint.open(Own(instance), LOOPBACK)
    yield Caller(endpoint)
    await endpoint.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_metrics_and_health_are_served(caller: Caller) -> None:
    status, head, body = await caller.ask("/metrics")
    assert status == 200
    assert b"Content-Type: text/plain; version=0.0.4" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"trunkline_build_info{" in body
    assert await caller.ask("/healthz?x=y") == (200, *(await caller.ask("/healthz"))[1:])


async def test_a_scraper_that_takes_gzip_gets_gzip(caller: Caller) -> None:
    _, head, body = await caller.ask("/metrics", headers="Accept-Encoding: deflate, gzip\r\n")
    assert b"Content-Encoding: gzip" in head
    assert b"trunkline_build_info{" in gzip.decompress(body)


async def test_head_has_no_body(caller: Caller) -> None:
    status, head, body = await caller.ask("/healthz", method="HEAD")
    assert (status, body) == (200, b"")
    assert b"Content-Length: 3" in head


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "*", 404),
        ("POST", "/metrics", 405),
        ("get", "/metrics", 405),
    ],
)
async def test_everything_else_is_not_there_or_not_allowed(caller: Caller, method: str, path: str, status: int) -> None:
    assert (await caller.ask(path, method))[0] == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x00" * 100 + END, b"400"),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n " + END, b"400"),
        (b"A" * (MAX_REQUEST_BYTES + 100), b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20) + END, b"431"),
    ],
)
async def test_bad_requests_are_answered_and_are_the_last(caller: Caller, raw: bytes, status: bytes) -> None:
    assert (await caller.send(raw)).split()[1] == status
    assert (await caller.ask("/healthz"))[0] == 200


async def test_who_goes_in_the_middle_of_a_request_is_told_so(caller: Caller) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
    writer.write(b"GET /metr")
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_who_is_too_slow_is_sent_away(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.05)
    assert (await caller.send(b"GET /metrics HTTP/1.1\r\n")).startswith(b"HTTP/1.1 408 ")


async def test_who_does_not_read_is_left(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    monkeypatch.setattr(module, "exposition", lambda source, accept: ("text/plain", iter([b"x" * (64 << 20)])))
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", caller.port))
        await loop.sock_sendall(deaf, b"GET /metrics HTTP/1.0\r\n\r\n")
        while not caller.endpoint.connections:
            await asyncio.sleep(0)
        while caller.endpoint.connections:
            await asyncio.sleep(0)


async def test_more_than_so_many_at_a_time_are_not_served(caller: Caller) -> None:
    held = [await asyncio.open_connection("127.0.0.1", caller.port) for _ in range(MAX_CONNECTIONS)]
    with contextlib.suppress(ConnectionError):
        assert await caller.send(b"GET /healthz HTTP/1.0\r\n\r\n") == b""
    for _, writer in held:
        writer.close()
    while await _served(caller) != 200:
        await asyncio.sleep(0)


async def _served(caller: Caller) -> int:
    try:
        return (await caller.ask("/healthz"))[0]
    except (ConnectionError, IndexError):
        return 0


async def test_a_flood_of_scrapes_is_served_one_after_another(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.ask("/metrics") for _ in range(MAX_CONNECTIONS)))
    assert [status for status, _, _ in answers] == [200] * MAX_CONNECTIONS


async def test_a_scrape_is_made_in_parts_with_other_work_between(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []

    def parts():
        for _ in range(3):
            turns.append(0)
            asyncio.get_running_loop().call_soon(lambda: turns.append(1))
            yield b"x"

    monkeypatch.setattr(module, "exposition", lambda source, accept: ("text/plain", parts()))
    assert (await caller.ask("/metrics"))[2] == b"xxx"
    assert turns == [0, 1] * 3


async def test_whether_clients_may_come_is_told_with_a_word(instance: Instance, caller: Caller) -> None:
    assert (await caller.ask("/readyz"))[::2] == (503, b"starting\n")
    assert unready(instance) == "starting"
    instance.listener = object()  # type: ignore[assignment]
    try:
        assert (await caller.ask("/readyz"))[::2] == (200, b"ready\n")
        await instance.pause("app")
        assert unready(instance) == ""
        await instance.pause()
        assert (await caller.ask("/readyz"))[::2] == (503, b"paused\n")
        await instance.resume()
        assert unready(instance) == ""
    finally:
        instance.listener = None
    instance.drain(Drain.CLIENTS)
    assert (await caller.ask("/readyz"))[::2] == (503, b"draining\n")


async def test_an_address_that_is_taken_is_an_error(instance: Instance, caller: Caller) -> None:
    with pytest.raises(OSError, match="in use"):
        await Endpoint.open(Own(instance), ListenAddress("127.0.0.1", caller.port))


@pytest.mark.parametrize("host", ["no such host.invalid", "a..b"])
async def test_a_name_that_is_none_is_an_error(instance: Instance, host: str) -> None:
    with pytest.raises(OSError):
        await Endpoint.open(Own(instance), ListenAddress(host, 0))


async def test_all_addresses_are_one_of_the_words(instance: Instance) -> None:
    endpoint = await Endpoint.open(Own(instance), ListenAddress("*", 0))
    await endpoint.close()


async def test_after_the_end_nobody_is_served(instance: Instance) -> None:
    endpoint = await Endpoint.open(Own(instance), LOOPBACK)
    caller, clients = Caller(endpoint), Tasks()
    asking = clients.spawn(caller.send(b"GET "))
    while not endpoint.connections:
        await asyncio.sleep(0)
    await endpoint.close()
    with contextlib.suppress(ConnectionError):
        assert await asking == b""
    with pytest.raises(ConnectionRefusedError):
        await caller.send(b"GET ")
