"""The faults that TLS could hide: vanishing, not reading and flooding inside an encrypted connection, on both sides."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import expect_own_answers
from tests.faults.held import resident_bytes
from tests.faults.test_client_vanishes import EXCHANGES, cuts
from tests.integration.certificates import Authority
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import SYNC, Wire, frame, query, rows

MIB = 1 << 20


@pytest.fixture
async def tls_proxy(start_proxy: Any, authority: Authority, tmp_path: Path, tls_postgres: Postgres) -> Proxy:
    """TLS to its clients and to its servers; one server."""
    certificate, key = authority.issue("localhost").write(tmp_path, "proxy")
    settings = {
        "pool_mode": "transaction",
        "client_tls_sslmode": "allow",
        "client_tls_cert_file": str(certificate),
        "client_tls_key_file": str(key),
        "server_tls_sslmode": "require",
    }
    real = {"primary": f"postgres://localhost:{tls_postgres.port}/postgres", "pool_size": 1}
    proxy: Proxy = await start_proxy(settings, databases={"one": real})
    await expect_own_answers(proxy)
    return proxy


async def log_in(proxy: Proxy) -> Wire:
    wire = await Wire.connect(proxy.port)
    assert await wire.request_tls() == b"S"
    await wire.login("postgres", proxy.users["postgres"], database="one")
    return wire


@pytest.mark.parametrize("name", ["simple", "named", "transaction"])
async def test_row_40_clients_vanish_at_every_point_of_their_requests(tls_proxy: Proxy, name: str) -> None:
    async with unharmed(tls_proxy, "one"):
        for number, cut in enumerate(cuts(EXCHANGES[name])):
            wire = await log_in(tls_proxy)
            await wire.send(EXCHANGES[name][:cut])
            if number % 2:
                wire.abort()
            await wire.close()


async def test_row_45_a_result_of_100_mb_read_slowly_costs_no_memory(tls_proxy: Proxy) -> None:
    async with unharmed(tls_proxy, "one"):
        await expect_own_answers(tls_proxy)
        async with await log_in(tls_proxy) as wire:
            before, most, received = resident_bytes(tls_proxy.pid), 0, 0
            await wire.send_query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)")
            while received < 1000 * 100_000:
                received += len(await wire.reader.read(MIB))
                most = max(most, resident_bytes(tls_proxy.pid))
                await asyncio.sleep(0)
            assert most - before <= 3 * MIB


async def test_row_44_a_client_that_does_not_read_is_waited_for_and_then_forgotten(tls_proxy: Proxy) -> None:
    async with unharmed(tls_proxy, "one"):
        before = resident_bytes(tls_proxy.pid)
        wire = await log_in(tls_proxy)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send_query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)")
        await asyncio.sleep(0.5)
        assert resident_bytes(tls_proxy.pid) - before < 4 * MIB
        wire.abort()
        await wire.close()


async def test_row_53_pipelined_queries_and_large_frames_pass_whole(tls_proxy: Proxy) -> None:
    async with unharmed(tls_proxy, "one"), await log_in(tls_proxy) as wire:
        wire.writer.write(b"".join(query(f"SELECT {n}, repeat('y', 500)") for n in range(3_000)) + SYNC * 100)
        for number in range(3_000):
            assert rows(await wire.read_until("Z"))[0][0] == str(number).encode()
        for _ in range(100):
            assert (await wire.read_frame()).type == "Z"
        assert rows(await wire.query(f"SELECT length('{'z' * MIB}')")) == [[str(MIB).encode()]]
        await wire.close()


@pytest.mark.parametrize("bad", [frame("Q", length=3), frame("?"), b"\xff" * 40], ids=["length", "type", "noise"])
async def test_row_48_and_49_bad_frames_inside_tls(tls_proxy: Proxy, bad: bytes) -> None:
    async with unharmed(tls_proxy, "one"), await log_in(tls_proxy) as wire:
        await wire.send(query("SELECT 1") + bad)
        frames = await wire.read_frames_to_end()
        assert b"C08P01\0" in frames[-1].body
        await wire.close()


async def test_records_that_are_damaged_on_the_way_end_only_their_own_connection(tls_proxy: Proxy) -> None:
    async with unharmed(tls_proxy, "one"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["postgresql"])
        channel = context.wrap_bio(incoming, outgoing)
        async with await Wire.connect(tls_proxy.port) as wire:
            with pytest.raises(ssl.SSLWantReadError):
                channel.do_handshake()
            await wire.send(outgoing.read())
            while True:
                incoming.write(await wire.reader.read(65536))
                try:
                    channel.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    continue
            await wire.send(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"damaged!" * 4)
            await wire.read_to_end()
