"""Clients that are logged in and send nonsense: rows 46 to 56 of section 3b, and section 1c."""

from __future__ import annotations

import struct

import pytest

from tests.faults.guard import expect_own_answers, expect_refusal, log_in
from tests.faults.held import resident_bytes
from tests.integration.proxy import Proxy
from tests.integration.wire import (
    FLUSH,
    SYNC,
    Frame,
    Wire,
    bind,
    close,
    describe,
    error_fields,
    execute,
    frame,
    parse,
    query,
    rows,
    startup_packet,
    text,
    untyped,
)

MODES = ["one", "session"]


def types(frames: list[Frame]) -> str:
    return "".join(item.type for item in frames)


def sqlstates(frames: list[Frame]) -> list[str]:
    return [error_fields(item)["C"] for item in frames if item.type == "E"]


BAD_LENGTHS = [0, 1, 2, 3, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
KINDS = ["Q", "P", "B", "S", "d", "X"]


@pytest.mark.parametrize("database", MODES)
@pytest.mark.parametrize("length", BAD_LENGTHS)
async def test_row_48_impossible_lengths_end_the_client(proxy: Proxy, database: str, length: int) -> None:
    for kind in KINDS:
        async with await log_in(proxy, database) as wire:
            await wire.send(frame(kind, b"\0" * 16, length=length))
            await expect_refusal(wire, "08P01")


@pytest.mark.parametrize(
    "before", [query("BEGIN"), parse("SELECT 1"), query("COPY pg_class TO STDOUT")], ids=["begin", "parse", "copy"]
)
async def test_row_48_an_impossible_length_behind_good_requests(proxy: Proxy, before: bytes) -> None:
    async with await log_in(proxy) as wire:
        await wire.send(before + frame("Q", length=3))
        frames = await wire.read_frames_to_end()
        assert sqlstates(frames)[-1:] == ["08P01"]


async def test_row_47_a_message_above_max_packet_size_is_refused_at_its_header(proxy: Proxy) -> None:
    before = resident_bytes(proxy.pid)
    for kind in ("Q", "B", "d", "P"):
        for length in ((1 << 26) + 1, 0x7FFFFFFF):
            async with await log_in(proxy) as wire:
                await wire.send(frame(kind, b"x" * 4096, length=length))
                await expect_refusal(wire, "54000")
    assert resident_bytes(proxy.pid) - before < 4 << 20


@pytest.mark.parametrize("size", [4_000, 70_000, 20 << 20])
async def test_row_46_large_requests_and_rows_stream_through(proxy: Proxy, size: int) -> None:
    before = resident_bytes(proxy.pid)
    async with await log_in(proxy) as wire:
        frames = await wire.query("SELECT length('" + "x" * size + "')")
        assert rows(frames) == [[str(size).encode()]]
        await wire.send(parse("SELECT length($1)") + bind(values=[b"y" * size]) + execute() + SYNC)
        assert rows(await wire.read_until("Z")) == [[str(size).encode()]]
        frames = await wire.query(f"SELECT repeat('z', {size})")
        assert rows(frames) == [[b"z" * size]]
    assert resident_bytes(proxy.pid) - before < 8 << 20


SERVERS_TYPES = [kind for kind in "123RTKZGWIVANnsvt" if kind not in "S"]


@pytest.mark.parametrize("database", MODES)
@pytest.mark.parametrize("inside", [b"", query("BEGIN"), parse("SELECT 1")], ids=["idle", "transaction", "batch"])
async def test_row_49_unknown_and_server_only_types_end_the_client(proxy: Proxy, database: str, inside: bytes) -> None:
    for kind in [*SERVERS_TYPES, "\0", "?", "\x7f", "p", "q"]:
        async with await log_in(proxy, database) as wire:
            await wire.send(inside + frame(kind, b"\0\0\0\0"))
            frames = await wire.read_frames_to_end()
            assert sqlstates(frames) == ["08P01"], (kind, frames)
            assert frames[-1].type == "E"


@pytest.mark.parametrize("packet", [startup_packet({"user": "postgres"}), untyped(80877103), b"GET / HTTP/1.1\r\n\r\n"])
async def test_row_49_a_startup_packet_or_another_protocol_after_the_login(proxy: Proxy, packet: bytes) -> None:
    async with await log_in(proxy) as wire:
        await wire.send(packet)
        frames = await wire.read_frames_to_end()
        assert sqlstates(frames) in (["08P01"], ["54000"])


MISSING = [
    ("a statement to bind", bind("missing") + execute(), "26000"),
    ("a statement to describe", describe("S", "missing"), "26000"),
    ("the unnamed statement", bind() + execute(), "26000"),
    ("a portal to execute", execute("missing"), "34000"),
    ("a portal to describe", describe("P", "missing"), "34000"),
    (
        "a format code",
        parse("SELECT $1::text") + frame("B", text("", "") + struct.pack("!HHHiH", 1, 7, 1, -1, 0)),
        "22023",
    ),
    ("a parameter", parse("SELECT $1::text") + bind() + execute(), "08P01"),
    ("a length", parse("SELECT $1::text") + frame("B", text("", "") + struct.pack("!HHiH", 0, 1, -2, 0)), "08P01"),
    ("the end of a name", frame("B", b"no end"), "08P01"),
    ("a body", frame("P"), "08P01"),
    ("a kind to describe", frame("D", b"?\0"), "08P01"),
    ("a kind to close", frame("C", b"?\0"), "08P01"),
    ("sense", parse("SELEC 1"), "42601"),
]


@pytest.mark.parametrize("database", MODES)
@pytest.mark.parametrize("requests, sqlstate", [case[1:] for case in MISSING], ids=[case[0] for case in MISSING])
async def test_row_50_what_is_missing_gets_postgresql_s_own_error(
    proxy, postgres, database, requests, sqlstate
) -> None:
    """The same requests, straight to the server: what the proxy relays has to be what PostgreSQL says."""
    batch = requests + parse("SELECT 'skipped'") + bind() + execute() + SYNC
    async with await log_in(proxy, database) as wire:
        await wire.send(batch)
        through = await wire.read_until("Z")
        assert sqlstates(through) == [sqlstate]
        assert rows(await wire.query("SELECT 'alive'")) == [[b"alive"]]
    async with await Wire.connect(postgres.port) as direct:
        await direct.login("postgres", postgres.password)
        await direct.send(batch)
        said = await direct.read_until("Z")
    assert types(through) == types(said)
    assert sqlstates(through) == sqlstates(said)


@pytest.mark.parametrize("database", MODES)
async def test_row_51_a_name_twice_and_closing_the_unknown(proxy: Proxy, database: str) -> None:
    async with await log_in(proxy, database) as wire:
        await wire.send(parse("SELECT 1", "twice") + SYNC)
        assert types(await wire.read_until("Z")) == "1Z"
        await wire.send(parse("SELECT 2", "twice") + SYNC)
        frames = await wire.read_until("Z")
        assert sqlstates(frames) == ["42P05"]
        assert '"twice"' in error_fields(frames[0])["M"]
        await wire.send(
            close("S", "unknown") + close("P", "unknown") + close("S", "twice") + close("S", "twice") + SYNC
        )
        assert types(await wire.read_until("Z")) == "3333Z"


@pytest.mark.parametrize("database", MODES)
async def test_row_52_a_query_inside_an_open_batch(proxy: Proxy, database: str) -> None:
    async with await log_in(proxy, database) as wire:
        await wire.send(parse("SELECT 1") + bind() + execute() + query("SELECT 'simple'") + SYNC)
        assert types(await wire.read_until("Z") + await wire.read_until("Z")) == "12DCTDCZZ"
        await wire.send(parse("SELEC") + query("SELECT 'skipped'") + SYNC)
        assert types(await wire.read_until("Z")) == "EZ"


async def test_row_52_a_flood_of_syncs_is_answered_one_by_one(proxy: Proxy) -> None:
    async with await log_in(proxy) as wire:
        await wire.send(SYNC * 5000 + FLUSH * 5000)
        for _ in range(5000):
            assert await wire.read_frame() == Frame("Z", b"I")
        assert types(await wire.query("SELECT 1")) == "TDCZ"


async def test_row_54_an_error_in_the_middle_fails_only_its_own_segment(proxy: Proxy) -> None:
    def segment(sql: str) -> bytes:
        return parse(sql) + bind() + execute() + SYNC

    async with await log_in(proxy) as wire:
        sent = [segment("SELECT 1"), segment("SELECT 1/0"), segment("SELECT 3"), parse("x") + parse("y") + SYNC]
        await wire.send(*sent)
        got = [types(await wire.read_until("Z")) for _ in sent]
        assert got == ["12DCZ", "1EZ", "12DCZ", "EZ"]


@pytest.mark.parametrize("database", MODES)
@pytest.mark.parametrize("stray", [frame("d", b"1\n"), frame("c"), frame("f", text("no"))], ids="dcf")
async def test_row_55_stray_copy_messages_are_ignored(proxy: Proxy, database: str, stray: bytes) -> None:
    async with await log_in(proxy, database) as wire:
        await wire.send(stray * 3 + query("BEGIN") + stray + query("SELECT 1") + stray + query("COMMIT") + stray)
        got = "".join([types(await wire.read_until("Z")) for _ in range(3)])
        assert got == "CZTDCZCZ"
        assert types(await wire.query("SELECT 2")) == "TDCZ"


async def test_row_56_the_last_status_of_a_multi_statement_counts(proxy: Proxy) -> None:
    async with await log_in(proxy) as wire:
        frames = await wire.query("BEGIN; SELECT 1; COMMIT; BEGIN")
        assert frames[-1].body == b"T"
        assert rows(await wire.query("SELECT pg_current_xact_id() = pg_current_xact_id()")) == [[b"t"]]
        assert (await wire.query("ROLLBACK"))[-1].body == b"I"


async def test_row_smuggling_a_bind_that_holds_queries_is_one_bind(proxy: Proxy) -> None:
    smuggled = query("SELECT 'smuggled'") * 3 + SYNC
    async with await log_in(proxy) as wire:
        for padding in (0, 1, 4090, 65_530):
            value = b"x" * padding + smuggled
            await wire.send(
                parse("SELECT length($1::bytea)", "s")
                + frame("B", text("", "s") + struct.pack("!HHHi", 1, 1, 1, len(value)) + value + b"\0\0")
                + execute()
                + close("S", "s")
                + SYNC
            )
            frames = await wire.read_until("Z")
            assert types(frames) == "12DC3Z"
            assert rows(frames) == [[str(len(value)).encode()]]


@pytest.mark.parametrize("database", MODES)
@pytest.mark.parametrize("slices", [1, 7, 61])
async def test_row_frame_splitting_changes_nothing(proxy: Proxy, database: str, slices: int) -> None:
    named = parse("SELECT $1::text", "n") + describe("S", "n") + bind("n", [b"v"]) + execute() + close("S", "n") + SYNC
    batch = query("BEGIN") + named + query("COPY (SELECT 1) TO STDOUT") + parse("SELEC") + SYNC + query("ROLLBACK")
    async with await log_in(proxy, database) as wire:
        for start in range(0, len(batch), slices):
            await wire.send(batch[start : start + slices])
        got = [types(await wire.read_until("Z")) for _ in range(5)]
    assert got == ["CZ", "1tT2DC3Z", "HdcCZ", "EZ", "CZ"]


async def test_row_65_odd_bytes_in_sql_are_the_server_s_to_judge(proxy: Proxy) -> None:
    async with await log_in(proxy) as wire:
        assert sqlstates(await wire.query(b"SELECT '\xff\xfe'")) == ["22021"]
        assert sqlstates(await wire.query("SELECT 1 AS " + "a" * (1 << 20))) == []
        assert types(await wire.query("")) == "IZ"
        assert sqlstates(await wire.query("(" * 100_000)) in (["54001"], ["42601"])
    await expect_own_answers(proxy)
