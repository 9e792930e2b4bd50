"""From nothing to a logged-in server, against a far end that says what the test writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.relay import READY, Relay, error, relay, rows
from trunkline.auth.keys import KeyCache
from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.errors import ServerProtocolViolation, ServerRefused, ServerUnavailable, TrunklineError
from trunkline.net.contexts import server_tls
from trunkline.pool.derivation import KeyDerivation
from trunkline.pool.opening import Credentials, Opener, Target
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import (
    AUTHENTICATION_OK,
    SSL_REQUEST,
    message,
    parameter_status,
    query,
    startup_message,
)

KEY = message(b"K", b"\0\0\0\x2akey!")
WELCOME = AUTHENTICATION_OK + parameter_status(b"TimeZone", b"UTC") + KEY + READY
ALICE = Credentials("alice", "secret", None, None)


class Scripted:
    """A listener that answers each thing it reads with the next line of its script, then waits or closes."""

    def __init__(self, *script: bytes, closes: bool = False) -> None:
        self.script = script
        self.closes = closes
        self.heard: list[bytes] = []
        self.talking = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talking += 1
        with contextlib.suppress(ConnectionError):
            await self._talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.talking -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in self.script:
            heard = await reader.read(65536)
            if not heard:
                break
            self.heard.append(heard)
            writer.write(line)
        if not self.closes:
            await reader.read(65536)


@asynccontextmanager
async def serving(script: Scripted) -> AsyncIterator[ServerAddress]:
    server = await asyncio.start_server(script, "127.0.0.1", 0)
    try:
        yield ServerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        while script.talking:
            await asyncio.sleep(0)


async def attempt(
    script: Scripted,
    *,
    place: Callable[[ServerLink], None] = lambda _: None,
    connect_query: str = "",
    **settings: object,
) -> tuple[Relay, ServerLink]:
    """Log in to the script once; the connection is closed at the end."""
    chosen = replace(Settings(), **{"server_tls_sslmode": "disable", **settings})  # type: ignore[arg-type]
    async with relay() as made, serving(script) as address:
        derivation = KeyDerivation(KeyCache(b"0" * 32))
        opener = Opener(made.engine, derivation)
        opener.use(chosen, server_tls(chosen))
        try:
            server = await opener.open(
                made.pool, Target(address, "app", ALICE, [(b"timezone", b"UTC")], connect_query), place
            )
            server.close()
        finally:
            derivation.close()
    return made, server


async def test_a_login_without_a_password() -> None:
    script = Scripted(WELCOME)
    _, server = await attempt(script)
    assert script.heard == [startup_message([(b"user", b"alice"), (b"database", b"app"), (b"timezone", b"UTC")])]
    assert server.params.reported == {b"TimeZone": b"UTC"}
    assert (server.pid, server.cancel_key) == (42, b"key!")


async def test_a_password_in_clear_text() -> None:
    script = Scripted(message(b"R", b"\0\0\0\3"), WELCOME)
    await attempt(script)
    assert script.heard[1] == message(b"p", b"secret\0")


async def test_notices_on_the_way_are_no_trouble() -> None:
    await attempt(Scripted(message(b"N", b"SNOTICE\0\0") + WELCOME))


async def test_the_new_connection_is_placed_before_its_login() -> None:
    placed: list[ServerLink] = []
    _, server = await attempt(Scripted(WELCOME), place=placed.append)
    assert placed == [server]


async def test_a_connect_query_runs_before_the_first_use() -> None:
    script = Scripted(WELCOME, rows(b"1") + parameter_status(b"TimeZone", b"CET") + READY)
    _, server = await attempt(script, connect_query="set timezone to cet")
    assert script.heard[1] == query(b"set timezone to cet")
    assert server.params.reported == {b"TimeZone": b"CET"}


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (Scripted(error("28P01", "wrong", "FATAL")), ServerRefused, "wrong"),
        (Scripted(AUTHENTICATION_OK + error("3D000", "none", "FATAL")), ServerRefused, "none"),
        (Scripted(b"", closes=True), ServerUnavailable, "closed the connection"),
        (Scripted(b"R\0\0\0\0"), ServerUnavailable, "closed the connection"),
        (Scripted(b"R\x7f\0\0\0"), ServerUnavailable, "closed the connection"),
        (Scripted(message(b"T", b"\0\0")), ServerProtocolViolation, "unexpected message"),
        (Scripted(message(b"R", b"\0")), ServerProtocolViolation, "unexpected message"),
        (Scripted(AUTHENTICATION_OK + message(b"D", b"\0\0")), ServerProtocolViolation, "unexpected message"),
        (Scripted(message(b"R", b"\0\0\0\x07")), ServerUnavailable, "GSS"),
    ],
    ids=["refused", "refused later", "closed", "length 0", "huge", "a row", "short", "a row later", "gss"],
)
async def test_what_goes_wrong_is_said_and_nothing_is_left(
    script: Scripted, kind: type[TrunklineError], words: str
) -> None:
    placed: list[ServerLink] = []
    with pytest.raises(kind, match=words):
        await attempt(script, place=placed.append)
    assert not any(server.opened for server in placed)


async def test_a_connect_query_that_fails_is_a_refusal() -> None:
    with pytest.raises(ServerRefused, match="no"):
        await attempt(Scripted(WELCOME, error() + READY), connect_query="nonsense")


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(ServerUnavailable, match="timed out"):
        await attempt(Scripted(b""), server_connect_timeout=0.05)


async def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    async with relay() as made, serving(Scripted()) as address:
        pass
    async with relay() as made:
        opener = Opener(made.engine, KeyDerivation(KeyCache(b"0" * 32)))
        with pytest.raises(ServerUnavailable, match="cannot connect"):
            await opener.open(made.pool, Target(address, "app", ALICE, []), lambda _: None)
        assert "Connection refused" in caplog.text
        caplog.clear()
        with pytest.raises(ServerUnavailable) as told:
            await opener.open(made.pool, Target(address, "app", ALICE, [], quiet=True), lambda _: None)
        assert (caplog.text, str(told.value.__cause__)) == ("", "[Errno 111] Connection refused")


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_a_server_without_tls_is_taken_where_tls_is_only_preferred() -> None:
    script = Scripted(b"N", WELCOME)
    await attempt(script, server_tls_sslmode="prefer")
    assert script.heard[0] == SSL_REQUEST


@pytest.mark.parametrize("answer", [b"N", b"E", b"X"])
async def test_a_server_without_tls_is_refused_where_tls_is_demanded(answer: bytes) -> None:
    with pytest.raises(ServerUnavailable, match="TLS"):
        await attempt(Scripted(answer), server_tls_sslmode="require")


async def test_bytes_that_nobody_encrypted_never_pass_for_the_servers() -> None:
    with pytest.raises(ServerProtocolViolation, match="unencrypted"):
        await attempt(Scripted(b"S" + WELCOME), server_tls_sslmode="require")


async def test_allow_tries_without_tls_first() -> None:
    script = Scripted(WELCOME)
    await attempt(script, server_tls_sslmode="allow")
    assert script.heard[0] != SSL_REQUEST
