"""Servers that lie while we log in to them: rows 13, 15 and 20, and the server's half of sections 1a and 1b."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.conftest import unharmed
from tests.faults.guard import log_in
from tests.faults.held import cpu_seconds
from tests.faults.scripted_server import AUTH_OK, GREETING, Peer, ScriptedServer, error
from tests.integration.proxy import Proxy
from tests.integration.wire import SSL_REQUEST, Wire, error_fields, frame, rows, text

QUICK = {
    "server_connect_timeout": 0.5,
    "server_login_retry": 0.3,
    "pool_mode": "transaction",
    "session_state": "pgbouncer",  # scripts know nothing of the questions that exact state has for a server
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_quick_proxy(hostile_port: int) -> AsyncIterator[Proxy]:
    """A proxy that soon gives a server up; every database leads to the hostile port."""
    async with Proxy(QUICK, databases={"*": {"host": "127.0.0.1", "port": hostile_port}}) as started:
        yield started


@pytest.fixture
async def quick_proxy(shared_quick_proxy: Proxy) -> AsyncIterator[Proxy]:
    async with unharmed(shared_quick_proxy):
        yield shared_quick_proxy


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """A name, and so a pool, of the test's own."""
    return hashlib.md5(request.node.name.encode(), usedforsecurity=False).hexdigest()


async def refusal(proxy: Proxy, database: str) -> dict[str, str]:
    """What a client hears whose login needs a server that cannot be had."""
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": database})
        frames = await wire.login_with("postgres", proxy.users["postgres"])
        assert frames[-1].type == "E", frames
        assert await wire.read_to_end() == b""
        return error_fields(frames[-1])


async def silence(peer: Peer) -> None:
    await peer.closed()


async def silence_after_startup(peer: Peer) -> None:
    await peer.startup()
    await peer.closed()


async def half_a_greeting(peer: Peer) -> None:
    await peer.startup()
    await peer.send(GREETING[: len(GREETING) // 2])
    await peer.closed()


async def silence_after_ssl_request(peer: Peer) -> None:
    await peer.packet()
    await peer.closed()


@pytest.mark.parametrize(
    "script", [silence, silence_after_startup, half_a_greeting, silence_after_ssl_request], ids=lambda s: s.__name__
)
async def test_row_20_a_server_that_never_finishes_the_login_is_given_up(
    quick_proxy, database: str, hostile_port, script
) -> None:
    async with ScriptedServer(hostile_port, script):
        assert (await refusal(quick_proxy, database))["C"] == "08001"


async def test_row_15_an_unreachable_server_is_told_to_all_who_wait_at_once(quick_proxy: Proxy, database: str) -> None:
    told = await asyncio.gather(*(refusal(quick_proxy, database) for _ in range(10)))
    assert {fields["C"] for fields in told} == {"08001"}
    assert not any("127.0.0.1" in str(fields) for fields in told), "the host stands in the log alone"
    assert "127.0.0.1" in quick_proxy.log


async def test_row_13_a_full_server_is_waited_for(quick_proxy: Proxy, database: str, hostile_port: int) -> None:
    async def script(peer: Peer) -> None:
        if peer.number < 2:
            await peer.startup()
            await peer.send(error(S="FATAL", V="FATAL", C="53300", M="sorry, too many clients already"))
            return
        await peer.log_in()
        await peer.serve()

    async with (
        unharmed(quick_proxy),
        ScriptedServer(hostile_port, script),
        await log_in(quick_proxy, database) as wire,
    ):
        assert rows(await wire.query("at last")) == [[b"at last"]]
        await wire.close()


LIES = {
    "an unknown type": frame("?", b"what"),
    "a bad length": frame("R", length=3),
    "a huge length": frame("R", length=0x7FFFFFFF),
    "a short Authentication": frame("R", b"\0"),
    "an unknown method": frame("R", struct.pack("!I", 99)),
    "SASL without mechanisms": frame("R", struct.pack("!I", 10) + b"\0"),
    "SASL of unknown mechanisms": frame("R", struct.pack("!I", 10) + text("SCRAM-SHA-1") + b"\0"),
    "SASLContinue before SASL": frame("R", struct.pack("!I", 11) + b"r=x,s=eA==,i=4096"),
    "SASLFinal before SASL": frame("R", struct.pack("!I", 12) + b"v=eA=="),
    "a ParameterStatus without an end": AUTH_OK + frame("S", b"x"),
    "an empty ParameterStatus": AUTH_OK + frame("S"),
    "a row": AUTH_OK + frame("D", b"\0\0"),
    "a cancel key without a process": AUTH_OK + frame("K", b"\0"),
    "an error without anything": frame("E"),
    "an error without SQLSTATE": error(S="FATAL", M="no code"),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", LIES)
async def test_row_22_a_server_that_lies_during_the_login_is_refused(
    quick_proxy, database: str, hostile_port, name
) -> None:
    async def script(peer: Peer) -> None:
        await peer.startup()
        await peer.send(LIES[name])
        await peer.closed()

    async with ScriptedServer(hostile_port, script) as server:
        fields = await refusal(quick_proxy, database)
        assert fields["C"] in ("08001", "08006", "XX000"), fields
        assert server.accepted < 20, "a pause between two tries"


SERVER_FIRST = {
    "i of 2^31-1": b"i=2147483647",
    "i of 10^18": b"i=1000000000000000000",
    "i of 0": b"i=0",
    "i negative": b"i=-1",
    "no number": b"i=many",
}


@pytest.mark.parametrize("name", SERVER_FIRST)
async def test_row_scram_iterations_a_server_cannot_burn_our_time(
    quick_proxy, database: str, hostile_port, name
) -> None:
    """The count is the server's choice, so it is capped (CVE-2026-42198 of pgjdbc)."""
    reply = SERVER_FIRST[name]

    async def script(peer: Peer) -> None:
        await scram_challenge(peer, lambda nonce: b"r=" + nonce + b"serverpart,s=" + base64.b64encode(b"s" * 16), reply)
        await peer.closed()

    async with ScriptedServer(hostile_port, script):
        before = cpu_seconds(quick_proxy.pid)
        assert (await refusal(quick_proxy, database))["C"] in ("08001", "08006")
        assert cpu_seconds(quick_proxy.pid) - before < 2.0


async def scram_challenge(peer: Peer, first, rest: bytes) -> bytes:
    """Begin SCRAM with the proxy; the client's nonce."""
    await peer.startup()
    await peer.send(frame("R", struct.pack("!I", 10) + text("SCRAM-SHA-256") + b"\0"))
    initial = await peer.request()
    nonce = initial.body.rpartition(b"r=")[2]
    await peer.send(frame("R", struct.pack("!I", 11) + first(nonce) + b"," + rest))
    return nonce


NONCES = {
    "not ours": lambda nonce: b"r=somebodyelses,s=eHh4eA==",
    "nothing added": lambda nonce: b"r=" + nonce + b",s=eHh4eA==",
    "huge": lambda nonce: b"r=" + nonce + b"n" * 60_000 + b",s=eHh4eA==",
    "bad base64": lambda nonce: b"r=" + nonce + b"more,s=!!!!",
    "an unknown extension": lambda nonce: b"m=ext,r=" + nonce + b"more,s=eHh4eA==",
    "twice": lambda nonce: b"r=" + nonce + b"a,r=" + nonce + b"b,s=eHh4eA==",
}


@pytest.mark.parametrize("name", NONCES)
async def test_row_scram_parser_a_server_s_first_message_is_judged(
    quick_proxy, database: str, hostile_port, name
) -> None:
    async def script(peer: Peer) -> None:
        await scram_challenge(peer, NONCES[name], b"i=4096")
        answered = await peer.reader.read(1)
        assert answered == b"", "no proof may leave for a challenge that is not one"

    async with ScriptedServer(hostile_port, script):
        assert (await refusal(quick_proxy, database))["C"] in ("08001", "08006")


async def test_row_scram_a_server_that_never_proves_itself_is_refused(quick_proxy, database: str, hostile_port) -> None:
    """AuthenticationOk in place of the server's signature: whoever answers does not know the secret."""

    async def script(peer: Peer) -> None:
        await scram_challenge(peer, lambda nonce: b"r=" + nonce + b"more,s=eHh4eA==", b"i=4096")
        await peer.request()
        await peer.send(GREETING)
        await peer.closed()

    async with ScriptedServer(hostile_port, script):
        assert (await refusal(quick_proxy, database))["C"] in ("08001", "08006")


@pytest.mark.parametrize("stuffed", [GREETING, b"\x16\x03\x01", b"E"], ids=["greeting", "hello", "one byte"])
async def test_row_plaintext_behind_the_answer_to_ssl_request_is_refused(
    quick_proxy, database: str, hostile_port, stuffed
) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.packet() == struct.pack("!I", SSL_REQUEST)
        await peer.send(b"S" + stuffed)
        await peer.closed()

    async with ScriptedServer(hostile_port, script):
        assert (await refusal(quick_proxy, database))["C"] in ("08001", "08006")
        assert "unencrypted data" in quick_proxy.log


@pytest.mark.parametrize("answer", [b"E" + struct.pack("!I", 4), b"H", b"\0", b"SSSS"])
async def test_row_an_odd_answer_to_ssl_request_is_no_tls(
    quick_proxy, database: str, hostile_port, answer: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.packet()
        await peer.send(answer)
        await peer.closed()

    async with ScriptedServer(hostile_port, script):
        assert (await refusal(quick_proxy, database))["C"] in ("08001", "08006")
