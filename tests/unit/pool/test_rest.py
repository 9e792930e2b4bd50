"""A GET that ends, whatever the other end does."""

from __future__ import annotations

import ssl

import pytest

from tests.unit.pool.rest_stub import RestStub, http
from tests.unit.relay import relay
from trunkline.net.sockets import resolve
from trunkline.pool import rest
from trunkline.pool.rest import NoAnswer, get


async def answer(url: str, context: ssl.SSLContext | None = None) -> bytes:
    async with relay() as made:
        made.opener.settings = made.pools.config.settings  # type: ignore[attr-defined]
        made.opener.resolver = resolve  # type: ignore[attr-defined]
        return await get(made.opener, url, context)  # type: ignore[arg-type]


async def test_the_body_of_an_answer_is_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhol\r\n1\r\ne\r\n0\r\n\r\n"
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole and more"
    async with RestStub() as stub:
        for said in (http(b"whole"), chunked, sized):
            stub.said = said
            assert await answer(f"{stub.url}/some/path") == b"whole"
    assert stub.requests[0].startswith(b"GET /some/path HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (http(b"{}", "503 Service Unavailable"), "its answer is 503"),
        (b"", "not an answer of HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "not an answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not an answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n", "not an answer of HTTP"),
        (http(b"x" * (rest.MAX_BYTES + 1)), "an answer of more than"),
    ],
)
async def test_what_is_no_answer_is_said_in_words(said: bytes, why: str) -> None:
    async with RestStub() as stub:
        stub.said = said
        with pytest.raises(NoAnswer, match=why):
            await answer(stub.url)


async def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "ANSWER_S", 0.05)
    async with RestStub() as stub:
        stub.said = None
        with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s"):
            await answer(stub.url)


async def test_nobody_there_and_nobody_who_speaks_tls() -> None:
    async with RestStub() as stub:
        secure = stub.url.replace("http:", "https:")
        with pytest.raises(NoAnswer):
            await answer(secure, ssl.create_default_context())
    with pytest.raises(NoAnswer, match="Connection refused"):
        await answer(stub.url)
