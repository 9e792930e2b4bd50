"""TLS on both sides: every sslmode, certificates good and bad, and what must not pass for encrypted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.certificates import Authority, Certificate
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import (
    SSL_REQUEST,
    Frame,
    Wire,
    error_fields,
    rows,
    startup_packet,
    untyped,
    unverified_context,
)

STARTUP = {"user": "postgres", "database": "postgres"}


@pytest.fixture
def shown(authority: Authority, tmp_path: Path) -> dict[str, str]:
    """The settings of a proxy that shows a good certificate to clients."""
    certificate, key = authority.issue("localhost").write(tmp_path, "proxy")
    return {"client_tls_cert_file": str(certificate), "client_tls_key_file": str(key), "pool_mode": "transaction"}


@pytest.fixture
async def tls_proxy(start_proxy: Any, shown: dict[str, str], postgres: Postgres) -> Proxy:
    proxy: Proxy = await start_proxy({**shown, "client_tls_sslmode": "require"}, databases={"postgres": postgres})
    return proxy


def trusting(authority: Authority, tmp_path: Path, **options: str) -> dict[str, str]:
    """What libpq needs to check the proxy's certificate."""
    return {"sslmode": "verify-full", "sslrootcert": str(authority.write(tmp_path)), "host": "localhost", **options}


async def last_words(wire: Wire) -> list[str]:
    return [error_fields(frame)["C"] for frame in await wire.read_frames_to_end() if frame.type == "E"]


# --- from the client --------------------------------------------------------------------------------------------


async def test_require_refuses_who_does_not_encrypt(tls_proxy: Proxy) -> None:
    async with await Wire.connect(tls_proxy.port) as wire:
        await wire.send_startup(STARTUP)
        assert await last_words(wire) == ["28000"]


@pytest.mark.parametrize("mode, answer", [("disable", b"N"), ("allow", b"S"), ("prefer", b"S")])
async def test_the_other_modes_take_both(start_proxy, shown, postgres: Postgres, mode: str, answer: bytes) -> None:
    proxy = await start_proxy({**shown, "client_tls_sslmode": mode}, databases={"postgres": postgres})
    for encrypt in (True, False):
        async with await Wire.connect(proxy.port) as wire:
            if encrypt:
                assert await wire.request_tls() == answer
            await wire.login("postgres", PASSWORD)
            assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_direct_tls_speaks_postgresql_or_nothing(tls_proxy: Proxy) -> None:
    """[1a direct TLS]"""
    async with await Wire.connect(tls_proxy.port, tls=unverified_context()) as wire:
        await wire.login("postgres", PASSWORD)
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    without.check_hostname, without.verify_mode = False, ssl.CERT_NONE
    async with await Wire.connect(tls_proxy.port, tls=without) as wire:
        await wire.send_startup(STARTUP)
        assert await last_words(wire) in ([], ["08P01"])
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        async with await Wire.connect(tls_proxy.port, tls=unverified_context(alpn=["http/1.1"])) as wire:
            await wire.login("postgres", PASSWORD)


async def test_plaintext_behind_ssl_request_is_refused(tls_proxy: Proxy) -> None:
    """[1a plaintext before TLS]"""
    for behind in (startup_packet(STARTUP), b"\x16", b"\x16\x03\x01\x00\x05"):
        async with await Wire.connect(tls_proxy.port) as wire:
            await wire.send(untyped(SSL_REQUEST) + behind)
            assert await last_words(wire) == ["08P01"]


async def test_no_second_request_and_no_hello_inside_tls(tls_proxy: Proxy) -> None:
    for inside in (untyped(SSL_REQUEST), b"\x16\x03\x01\x00\x05hello"):
        async with await Wire.connect(tls_proxy.port) as wire:
            assert await wire.request_tls() == b"S"
            await wire.send(inside)
            assert await last_words(wire) == ["08P01"]


async def test_garbage_in_place_of_a_handshake_ends_the_connection(tls_proxy: Proxy) -> None:
    for garbage in (b"\0" * 100, startup_packet(STARTUP), b"GET / HTTP/1.1\r\n\r\n"):
        async with await Wire.connect(tls_proxy.port) as wire:
            await wire.send(untyped(SSL_REQUEST))
            assert await wire.read_exactly(1) == b"S"
            await wire.send(garbage)
            await wire.read_to_end()
    async with await tls_proxy.connect() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


@pytest.mark.parametrize("how", ["negotiated", "direct"])
async def test_channel_binding_is_there_for_who_requires_it(tls_proxy, authority, tmp_path, how: str) -> None:
    """[1b channel binding]"""
    options = trusting(authority, tmp_path, channel_binding="require")
    if how == "direct" and psycopg.pq.version() < 170000:
        pytest.skip("libpq knows direct TLS from 17 on")
    async with await tls_proxy.connect(**options, sslnegotiation="direct" if how == "direct" else "postgres") as link:
        assert await (await link.execute("SELECT 1")).fetchone() == (1,)


async def test_large_results_and_requests_pass_in_both_ways(tls_proxy: Proxy) -> None:
    async with await Wire.connect(tls_proxy.port) as wire:
        await wire.request_tls()
        await wire.login("postgres", PASSWORD)
        await wire.send_query("SELECT repeat('x', 100000) FROM generate_series(1, 300)")
        await asyncio.sleep(0.2)  # nobody reads for a while: everything on the way fills up
        frames = await wire.read_until("Z")
        assert {len(frame.body) for frame in frames if frame.type == "D"} == {100_006}
        assert rows(await wire.query(f"SELECT length('{'y' * 3_000_000}')")) == [[b"3000000"]]


async def test_a_cancel_over_tls_works_as_a_plain_one(tls_proxy: Proxy) -> None:
    """[1a cancel key]"""
    for tls in (True, False):
        async with await Wire.connect(tls_proxy.port) as wire:
            await wire.request_tls()
            await wire.login("postgres", PASSWORD)
            await wire.send_query("SELECT pg_sleep(30)")
            await wait_until(lambda: busy(tls_proxy))
            await Wire.cancel(tls_proxy.port, wire.backend_pid, wire.cancel_key, tls=tls)
            frames: list[Frame] = await wire.read_until("Z")
            assert [error_fields(frame)["C"] for frame in frames if frame.type == "E"] == ["57014"]


async def busy(proxy: Proxy) -> bool:
    found = await proxy.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return bool(found[0][0])


async def test_client_certificates_are_checked(start_proxy, shown, authority, tmp_path, postgres: Postgres) -> None:
    """[1b TLS verification]"""
    modes = {"client_tls_sslmode": "verify-full", "client_tls_ca_file": str(authority.write(tmp_path, "clients"))}
    proxy = await start_proxy({**shown, **modes}, databases={"postgres": postgres})
    good = _files(authority.issue("postgres"), tmp_path, "good")
    async with await proxy.connect(**trusting(authority, tmp_path), **good) as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
    stranger = _files(Authority("Somebody else").issue("postgres"), tmp_path, "stranger")
    expired = _files(authority.issue("postgres", expired=True), tmp_path, "expired")
    for bad in ({"sslcert": "/nowhere"}, stranger, expired):
        with pytest.raises(psycopg.OperationalError):
            await proxy.connect(**trusting(authority, tmp_path), **bad)


async def test_a_certificate_is_a_login_for_its_own_name_only(
    start_proxy, shown, authority, tmp_path, postgres
) -> None:
    modes = {"client_tls_sslmode": "verify-full", "client_tls_ca_file": str(authority.write(tmp_path, "clients"))}
    database = {"postgres": {"primary": postgres.dsn()}}
    proxy = await start_proxy({**shown, **modes, "auth_type": "cert"}, databases=database)
    mine = _files(authority.issue("postgres"), tmp_path, "mine")
    async with await proxy.connect(**trusting(authority, tmp_path), **mine) as connection:
        assert await (await connection.execute("SELECT current_user")).fetchone() == ("postgres",)
    with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
        theirs = _files(authority.issue("guest"), tmp_path, "theirs")
        await proxy.connect(**trusting(authority, tmp_path), **theirs)


def _files(certificate: Certificate, directory: Path, name: str) -> dict[str, str]:
    paths = certificate.write(directory, name)
    return {"sslcert": str(paths[0]), "sslkey": str(paths[1])}


async def test_a_reload_changes_certificates_and_drops_nobody(tls_proxy, authority, tmp_path) -> None:
    """[row 69]"""
    renewed = Authority("The next authority")
    async with await tls_proxy.connect(**trusting(authority, tmp_path)) as old:
        renewed.issue("localhost").write(tmp_path, "proxy")
        await tls_proxy.reload()
        assert await (await old.execute("SELECT 1")).fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            await tls_proxy.connect(**trusting(authority, tmp_path))
        async with await tls_proxy.connect(**trusting(renewed, tmp_path)) as new:
            assert await (await new.execute("SELECT 1")).fetchone() == (1,)
        (tmp_path / "proxy.crt").write_text("no certificate")
        assert "refused" in await tls_proxy.reload()
        await (await tls_proxy.connect(**trusting(renewed, tmp_path))).close()


# --- to the server ----------------------------------------------------------------------------------------------


@pytest.fixture
async def showing(tls_postgres: Postgres, authority: Authority) -> AsyncIterator[Any]:
    """``await showing(certificate)``: have the server use it; the good one is put back at the end."""

    async def show(certificate: Certificate) -> None:
        tls_postgres.write_file(Path("server.crt"), certificate.certificate)
        tls_postgres.write_file(Path("server.key"), certificate.key)
        tls_postgres.reload()
        wanted = ssl.PEM_cert_to_DER_cert(certificate.certificate.decode())
        await wait_until(lambda: _is_shown(tls_postgres, wanted), what="the server shows its new certificate")

    yield show
    await show(authority.issue("localhost"))


async def _is_shown(server: Postgres, wanted: bytes) -> bool:
    async with await Wire.connect(server.port) as wire:
        await wire.request_tls()
        channel = wire.writer.get_extra_info("ssl_object")
        return bool(channel.getpeercert(binary_form=True) == wanted)


CERTIFICATES = ["good", "wrong host", "expired", "unknown authority"]
ACCEPTED = {
    "disable": CERTIFICATES,
    "allow": CERTIFICATES,
    "prefer": CERTIFICATES,
    "require": CERTIFICATES,
    "verify-ca": ["good", "wrong host"],
    "verify-full": ["good"],
}


@pytest.mark.parametrize("which", CERTIFICATES)
async def test_each_mode_judges_the_server_s_certificate(
    start_proxy, authority, tmp_path, tls_postgres, showing, which
):
    """[1b TLS verification] [row 31]"""
    certificate = {
        "good": lambda: authority.issue("localhost"),
        "wrong host": lambda: authority.issue("elsewhere", ["elsewhere.example"]),
        "expired": lambda: authority.issue("localhost", expired=True),
        "unknown authority": lambda: Authority("Somebody else").issue("localhost"),
    }[which]()
    await showing(certificate)
    root = str(authority.write(tmp_path))
    for mode, accepted in ACCEPTED.items():
        settings = {"server_tls_sslmode": mode, "server_tls_ca_file": root, "server_login_retry": 0.2}
        database = {"host": "localhost", "port": tls_postgres.port}
        proxy = await start_proxy(settings, databases={"postgres": database})
        if which in accepted:
            [[encrypted]] = await proxy.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert encrypted == (mode not in ("disable", "allow")), mode
        else:
            with pytest.raises(psycopg.OperationalError) as refusal:
                await proxy.fetch("SELECT 1")
            assert "TLS" in str(refusal.value) or "server" in str(refusal.value)
            assert "certificate" in proxy.log
        await proxy.stop()


async def test_a_server_without_tls_is_refused_where_it_is_required(start_proxy, postgres: Postgres) -> None:
    if await postgres.fetch("SHOW ssl") == [("on",)]:
        pytest.skip("this server speaks TLS")
    for mode, works in (("prefer", True), ("require", False)):
        settings = {"server_tls_sslmode": mode, "server_login_retry": 0.2}
        proxy = await start_proxy(settings, databases={"postgres": postgres})
        if works:
            assert await proxy.fetch("SELECT 1") == [(1,)]
        else:
            with pytest.raises(psycopg.OperationalError):
                await proxy.fetch("SELECT 1")
