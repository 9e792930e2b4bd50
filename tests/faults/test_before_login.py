"""Strangers on the port: section 1a of the catalogue of faults, and rows 48, 49 and 63 before the login."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct

import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import expect_own_answers, expect_refusal, log_in
from tests.faults.held import held, resident_bytes
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import (
    AUTH_SASL,
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    PROTOCOL_3_0,
    SSL_REQUEST,
    Wire,
    frame,
    password_message,
    query,
    startup_packet,
    text,
    untyped,
)

STARTUP = startup_packet({"user": "postgres", "database": "one"})


def packet(length: int, body: bytes = b"") -> bytes:
    return struct.pack("!I", length & 0xFFFFFFFF) + body


BAD_PACKETS = {
    **{f"length {n}": packet(n, b"\0\3\0\0") for n in range(8)},
    "length 10,001": packet(10_001),
    "length 2^31-1": packet(0x7FFFFFFF),
    "length -1": packet(-1),
    "length -2^31": packet(-(1 << 31)),
    "no terminator": untyped(PROTOCOL_3_0, text("user", "postgres")),
    "a name without a value": untyped(PROTOCOL_3_0, text("user", "postgres", "database") + b"\0"),
    "no end of a value": untyped(PROTOCOL_3_0, b"user\0postgres"),
    "bytes behind the terminator": untyped(PROTOCOL_3_0, text("user", "postgres") + b"\0more"),
    "a long SSLRequest": untyped(SSL_REQUEST, b"more"),
    "a password": password_message("x"),
    "a query": query("SELECT 1"),
    "Terminate": frame("X"),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "SMTP": b"EHLO localhost\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "zeros": bytes(64),
}


@pytest.mark.parametrize("name", BAD_PACKETS)
async def test_row_48_and_63_a_first_packet_that_is_none_is_refused(proxy: Proxy, name: str) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send(BAD_PACKETS[name])
        await expect_refusal(wire, "08P01")


@pytest.mark.parametrize("key", [b"\0\0\0\1\0\0\0", b"\0\0\0\1" + b"k" * 257], ids=["too short", "too long"])
async def test_a_cancel_key_of_impossible_length_gets_no_answer(proxy: Proxy, key: bytes) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send(untyped(CANCEL_REQUEST, key))
        assert await wire.read_frames_to_end() == []


@pytest.mark.parametrize("version", [2 << 16, 1 << 16, 4 << 16, 0x7FFF0000, 3 << 16 | 0x80000000])
async def test_row_protocol_version_another_major_is_refused(proxy: Proxy, version: int) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres"}, version)
        await expect_refusal(wire, "0A000")


async def test_row_protocol_version_3_9999_is_told_once_what_is_spoken(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        unknown = {"_pq_.test_protocol_negotiation": "1", "_pq_.other": "x"}
        frames = await wire.login(
            "postgres", proxy.users["postgres"], database="one", version=3 << 16 | 9999, **unknown
        )
        told = [item.body for item in frames if item.type == "v"]
        assert told == [struct.pack("!II", 3 << 16 | 2, 2) + text(*unknown)]
        assert len(wire.cancel_key) == 32


@pytest.mark.parametrize("code", [SSL_REQUEST, GSSENC_REQUEST])
@pytest.mark.parametrize("behind", [STARTUP, b"\x16", untyped(SSL_REQUEST)], ids=["startup", "byte", "again"])
async def test_row_plaintext_stuffed_behind_a_request_executes_nothing(proxy: Proxy, code: int, behind: bytes) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send(untyped(code) + behind)
        await expect_refusal(wire, "08P01")


async def test_row_negotiation_recursion_ends_after_one_of_each(proxy: Proxy) -> None:
    before = resident_bytes(proxy.pid)
    async with await Wire.connect(proxy.port) as wire:
        assert await wire.request_tls() == b"N"
        assert await wire.request_tls(code=GSSENC_REQUEST) == b"N"
        await wire.send(untyped(SSL_REQUEST))
        await expect_refusal(wire, "08P01")
    async with await Wire.connect(proxy.port) as wire:
        await wire.send(untyped(SSL_REQUEST) * 5000)
        await expect_refusal(wire, "08P01")
    assert resident_bytes(proxy.pid) - before < 4 << 20


async def begun_login(proxy: Proxy) -> Wire:
    """A client that has been asked for SCRAM."""
    wire = await Wire.connect(proxy.port)
    await wire.send(STARTUP)
    request = await wire.read_frame()
    assert (request.type, request.body[:4]) == ("R", struct.pack("!I", AUTH_SASL))
    return wire


INSIDE = {
    "a second startup": STARTUP,
    "SSLRequest": untyped(SSL_REQUEST),
    "a query": query("SELECT 1"),
    "Sync": frame("S"),
    "an unknown type": frame("?"),
    "a server's type": frame("R", b"\0\0\0\0"),
    **{f"length {n}": frame("p", b"\0" * 8, length=n) for n in (0, 1, 2, 3)},
    "length 2^31-1": frame("p", length=0x7FFFFFFF),
    "length -1": frame("p", length=0xFFFFFFFF),
    "a SASL message above 1,024 bytes": frame("p", length=1029),
    "an unknown mechanism": frame("p", text("SCRAM-MD5") + struct.pack("!I", 0)),
    "a mechanism without an end": frame("p", b"SCRAM-SHA-256"),
    "an initial response that is cut short": frame("p", text("SCRAM-SHA-256") + struct.pack("!I", 99) + b"n,,"),
    "an initial response of length -2": frame("p", text("SCRAM-SHA-256") + struct.pack("!i", -2)),
    "a plain password": password_message("postgres"),
    "no GS2 header": frame("p", text("SCRAM-SHA-256") + struct.pack("!I", 9) + b"n=u,r=abc"),
    "binding without TLS": frame("p", text("SCRAM-SHA-256-PLUS") + struct.pack("!I", 5) + b"p=x,,"),
}


@pytest.mark.parametrize("name", INSIDE)
async def test_row_message_order_inside_the_login_is_kept(proxy: Proxy, name: str) -> None:
    async with await begun_login(proxy) as wire:
        await wire.send(INSIDE[name])
        await expect_refusal(wire, "08P01")


ODD_STARTUPS = {
    "a user without a server's encoding": {"user": b"\xff\xfe", "database": "one"},
    "a user of 5,000 bytes": {"user": "u" * 5000, "database": "one"},
    "a database of 5,000 bytes": {"user": "nobody", "database": "d" * 5000},
    "a user that quotes": {"user": "x'; DROP TABLE users; --", "database": "one"},
    "an unknown database": {"user": "nobody", "database": "no such"},
}


@pytest.mark.parametrize("name", ODD_STARTUPS)
async def test_row_error_oracle_odd_names_meet_only_a_failed_password(proxy: Proxy, name: str) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup(ODD_STARTUPS[name])
        frames = await wire.login_with("whoever", "wrong")
        assert b"C28P01\0" in frames[-1].body


async def test_row_log_a_name_cannot_forge_a_line_of_the_log(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "x\nforged line\x1b[2J", "database": "one"})
        await wire.login_with("x", "wrong")
    assert "x\\x0aforged line\\x1b[2J" in proxy.log


async def test_row_startup_a_login_of_one_byte_a_segment_is_a_login(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        for index in range(len(STARTUP)):
            await wire.send(STARTUP[index : index + 1])
            await asyncio.sleep(0)
        frames = await wire.login_with("postgres", proxy.users["postgres"])
        assert frames[-1].type == "Z"


async def test_row_no_user_is_refused(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"database": "one"})
        await expect_refusal(wire, "28000")


@pytest.mark.parametrize("cut", ["startup", "sasl"])
async def test_a_client_that_vanishes_at_every_byte_of_its_login_leaves_nothing(proxy: Proxy, cut: str) -> None:
    for size in range(0, len(STARTUP) + 1, 3):
        wire = await (begun_login(proxy) if cut == "sasl" else Wire.connect(proxy.port))
        await wire.send((frame("p", text("SCRAM-SHA-256") + b"\0" * 40) if cut == "sasl" else STARTUP)[:size])
        if size % 2:
            wire.abort()
        await wire.close()


async def test_row_cancel_key_random_requests_cancel_nothing(proxy: Proxy) -> None:
    """Also with the right process and a wrong key, and with the right key and a wrong process."""
    async with await log_in(proxy) as wire:
        await wire.send_query("SELECT pg_sleep(0.5), 'unharmed'")
        pid, key = wire.backend_pid, wire.cancel_key
        wrong = [(pid, b"\0" * 4), (pid, key + b"\0"), (pid ^ 1, key), (pid, key * 8), (0, b"\0" * 4)]
        wrong += [(secrets.randbits(31), secrets.token_bytes(4)) for _ in range(50)]
        for number, guess in wrong:
            await Wire.cancel(proxy.port, number, guess)
        assert "".join(item.type for item in await wire.read_until("Z")) == "TDCZ"


async def test_row_slowloris_half_open_logins_end_in_time_and_cost_little(start_proxy, postgres) -> None:
    limit = {"client_login_timeout": 1.5, "listen_backlog": 512}
    proxy = await start_proxy(limit, databases={"one": {"primary": postgres.dsn(), "pool_size": 1}})
    await expect_own_answers(proxy)
    async with unharmed(proxy, "one"):
        before = resident_bytes(proxy.pid)
        wires = await asyncio.gather(*(Wire.connect(proxy.port) for _ in range(300)))
        await wait_until(lambda: held(proxy.pid, proxy.port).clients == 300)
        dripping = itertools.cycle(STARTUP[:8])
        for wire in wires:
            await wire.send(bytes([next(dripping)]) if wire is not wires[0] else packet(9000) + b"x" * 8000)
        await expect_own_answers(proxy)
        assert resident_bytes(proxy.pid) - before < 300 * 16384
        ended = await asyncio.gather(*(wire.read_frames_to_end() for wire in wires))
        assert all(b"C08P01\0" in frames[-1].body for frames in ended if frames)
        for wire in wires:
            await wire.close()
