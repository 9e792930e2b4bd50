"""Servers that lie: section 3a of the catalogue of faults, rows 20 to 25, and the server's half of 1a and 1b.

Each test has a database name, and so a pool, of its own; behind it stands a ``ScriptedServer``. Whatever a server does,
its client gets an error that says so and is kept, its own connection is closed, and the next query meets a fresh one.
"""

from __future__ import annotations

import asyncio
import secrets
import struct

import pytest

from tests.faults.guard import expect_own_answers, log_in
from tests.faults.held import resident_bytes
from tests.faults.scripted_server import GREETING, READY, Peer, ScriptedServer, answer, error, row
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, close, describe, frame, parse, query, rows, text

DESCRIBED = answer(b"")[: -len(row(b"") + frame("C", text("SELECT 1")) + READY)]
COMPLETE = frame("C", text("SELECT 1"))

BREACHES = {
    **{f"length {n}": frame("D", length=n) for n in (0, 1, 2, 3, 0x80000000, 0xFFFFFFFF)},
    "a bad length behind good rows": DESCRIBED + row(b"1") + frame("D", length=3),
    "an unknown type": frame("x", b"?"),
    "type zero": frame("\0", b"?"),
    "type 255": b"\xff" + struct.pack("!I", 5) + b"?",
    "a frontend's type": frame("Q", text("SELECT 1")),
    "a second ReadyForQuery": answer(b"1") + READY,
    "a row behind ReadyForQuery": answer(b"1") + row(b"1"),
    "an answer to what nobody asked": answer(b"1") + answer(b"2"),
    "ParseComplete without Parse": frame("1"),
    "BindComplete without Bind": frame("2"),
    "CloseComplete without Close": frame("3"),
    "NoData without Describe": frame("n"),
    "ParameterDescription without Describe": frame("t", b"\0\0"),
    "PortalSuspended without Execute": frame("s"),
    "FunctionCallResponse without a call": frame("V", b"\xff\xff\xff\xff"),
    "a request for a password": frame("R", struct.pack("!I", 3)),
    "another cancel key": frame("K", b"\0" * 8),
    "another protocol version": frame("v", b"\0" * 8),
    "ReadyForQuery without a status": answer(b"1")[: -len(READY)] + frame("Z"),
    "ReadyForQuery of no known status": answer(b"1")[: -len(READY)] + frame("Z", b"?"),
    "ReadyForQuery that is too long": answer(b"1")[: -len(READY)] + frame("Z", b"II"),
    "a ParameterStatus without an end": frame("S", b"TimeZone"),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


BEHIND_THE_ANSWER = {"a second ReadyForQuery", "a row behind ReadyForQuery", "an answer to what nobody asked"}


@pytest.mark.parametrize("name", BREACHES)
async def test_row_22_a_server_that_breaks_the_protocol_is_closed(proxy: Proxy, hostile_port: int, name: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        if peer.number == 0:
            await peer.request()
            await peer.send(BREACHES[name])
            await peer.closed()
        else:
            await peer.serve()

    database = f"breach {name}"
    async with ScriptedServer(hostile_port, script) as server:
        async with await log_in(proxy, database) as wire:
            frames = await wire.query("SELECT 'mine'")
            assert errors(frames) == ([] if name in BEHIND_THE_ANSWER else ["08006"])
            await wait_until(lambda: server.ended == 1, what="the proxy closes the connection")
            assert rows(await wire.query("the next")) == [[b"the next"]], "the client was kept"
        await expect_fresh(proxy, database)
        assert server.accepted == 2


async def test_row_22_an_odd_answer_to_a_question_of_our_own_is_no_fault_of_ours(start_proxy, hostile_port) -> None:
    """What a session holds is asked for after a SET; this server answers everything with the text of the question."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.serve()

    databases = {"odd": {"host": "127.0.0.1", "port": hostile_port, "pool_size": 1}}
    async with ScriptedServer(hostile_port, script):
        proxy = await start_proxy({"pool_mode": "transaction", "session_state": "exact"}, databases=databases)
        async with await log_in(proxy, "odd") as wire:
            for _ in range(3):
                assert rows(await wire.query("SET work_mem = '1MB'")) == [[b"SET work_mem = '1MB'"]]
                assert rows(await wire.query("the next")) == [[b"the next"]]
        assert "Traceback" not in proxy.log
        await proxy.stop()


async def expect_fresh(proxy: Proxy, database: str) -> None:
    """The next client gets its own query's text back and nothing else."""
    async with await log_in(proxy, database) as wire:
        nonce = secrets.token_hex(8)
        frames = await wire.query(nonce)
        assert [item.type for item in frames] == list("TDCZ")
        assert rows(frames) == [[nonce.encode()]]


UNASKED = {
    "a row": row(b"smuggled"),
    "a whole answer": answer(b"smuggled"),
    "ReadyForQuery": READY,
    "an error": error(S="ERROR", V="ERROR", C="XX000", M="smuggled"),
    "garbage": b"\0\0\0\0\0\0\0\0",
}


@pytest.mark.parametrize("name", UNASKED)
async def test_row_23_unasked_bytes_on_an_idle_server_reach_nobody(proxy: Proxy, hostile_port: int, name: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        if peer.number == 0:
            await peer.request()
            await peer.send(answer(b"first"))
            await asyncio.wait_for(said.wait(), 5)
            await peer.send(UNASKED[name])
            await peer.closed()
        else:
            await peer.serve()

    database, said = f"unasked {name}", asyncio.Event()
    async with ScriptedServer(hostile_port, script) as server:
        async with await log_in(proxy, database) as wire:
            assert rows(await wire.query("SELECT 1")) == [[b"first"]]
            said.set()
            await wait_until(lambda: server.ended == 1, what="the proxy closes the idle connection")
            assert rows(await wire.query("the next")) == [[b"the next"]]
        await expect_fresh(proxy, database)


async def test_row_24_errors_without_fields_and_large_ones_are_relayed(proxy: Proxy, hostile_port: int) -> None:
    errors = [
        frame("E", b"\0"),
        frame("E"),
        error(S="ERROR", M="no code"),
        error(S="", C="", M=""),
        error(S="ERROR", V="ERROR", C="22000", M="x" * 60_000),
        error(S="ERROR", V="ERROR", C="22000", M="x" * 300_000),
    ]

    async def script(peer: Peer) -> None:
        await peer.log_in()
        for reply in errors:
            await peer.request()
            await peer.send(reply + READY)
        await peer.serve()

    async with ScriptedServer(hostile_port, script) as server:
        async with await log_in(proxy, "odd errors") as wire:
            for reply in errors:
                frames = await wire.query("SELECT 1")
                assert [item.type for item in frames] == ["E", "Z"]
                assert frame("E", frames[0].body) == reply
        await expect_fresh(proxy, "odd errors")
        assert server.accepted == 1, "the connection was returned"


async def test_row_25_a_storm_on_an_idle_server_is_read_and_dropped(proxy: Proxy, hostile_port: int) -> None:
    notice = frame("N", text("SNOTICE", "C00000", "M" + "n" * 4000) + b"\0")
    notification = frame("A", struct.pack("!I", 1) + text("channel", "p" * 4000))
    changes = [frame("S", text("TimeZone", zone)) for zone in ("UTC", "GMT")]
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.request()
        await peer.send(answer(b"first"))
        for _ in range(2500):
            await peer.send(notice, notification, *changes)
        over.set()
        await peer.serve()

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "storm") as wire:
        await wire.query("SELECT 1")
        before = resident_bytes(proxy.pid)
        await asyncio.wait_for(over.wait(), 30)
        assert rows(await wire.query("after the storm")) == [[b"after the storm"]]
        assert resident_bytes(proxy.pid) - before < 4 << 20


async def test_row_21_a_server_of_one_byte_a_segment_is_served_from_and_returned(
    proxy: Proxy, hostile_port: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.startup()
        await peer.trickle(GREETING)
        while True:
            asked = await peer.request()
            notice = frame("N", text("SNOTICE", "C00000", "Mslow") + b"\0")
            await peer.trickle(notice + answer(asked.body[:-1]))

    async with ScriptedServer(hostile_port, script) as server:
        async with await log_in(proxy, "slow") as wire:
            for number in range(3):
                frames = await wire.query(f"query {number}")
                assert [item.type for item in frames] == list("NTDCZ")
                assert rows(frames) == [[f"query {number}".encode()]]
        assert server.accepted == 1
        await expect_own_answers(proxy)


async def test_row_21_our_own_queries_bear_one_byte_a_segment(proxy: Proxy, hostile_port: int) -> None:
    """The replay of a parameter is a query of the proxy's own, whose rows the client must not see."""
    asked: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.log_in()
        while True:
            request = await peer.request()
            asked.append(request.body[:-1])
            changed = frame("S", text("application_name", "slowly")) if b"slowly" in request.body else b""
            await peer.trickle(answer(request.body[:-1])[: -len(READY)] + changed + READY)

    async with ScriptedServer(hostile_port, script):
        wire = await Wire.connect(proxy.port)
        async with wire:
            await wire.login("postgres", proxy.users["postgres"], database="slow own", application_name="slowly")
            frames = await wire.query("mine")
            assert rows(frames) == [[b"mine"]]
            assert [item.type for item in frames] == list("TDCZ")
        assert any(b"slowly" in sql for sql in asked), "the parameter was asked for"


async def test_our_own_answers_never_come_inside_a_frame_that_arrives_in_pieces(
    proxy: Proxy, hostile_port: int
) -> None:
    """Close of a named statement is answered by the proxy, behind a RowDescription that comes byte by byte."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        replies = {"P": frame("1"), "D": frame("t", b"\0\0") + DESCRIBED, "S": READY}
        while True:
            asked = await peer.request()
            await peer.trickle(replies.get(asked.type, b""))

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "pieces") as wire:
        for _ in range(3):
            await wire.send(parse("SELECT 1", "name") + describe("S", "name") + close("S", "name") + SYNC)
            assert "".join(item.type for item in await wire.read_until("Z")) == "1tT3Z"


async def test_a_server_that_stalls_holds_up_nobody_else(proxy: Proxy, hostile_port: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.request()
        await peer.send(DESCRIBED)
        await peer.closed()

    async with ScriptedServer(hostile_port, script), await log_in(proxy, "stalled") as wire:
        await wire.send(query("SELECT 1"))
        assert (await wire.read_frame()).type == "T"
        await expect_own_answers(proxy)
