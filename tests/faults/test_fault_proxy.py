"""The fault proxy before a real PostgreSQL: without faults it changes nothing, and each fault does what it says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.fault_proxy import (
    ACTIONS,
    CANCEL,
    KINDS,
    NEGOTIATION,
    STARTUP,
    WHOLE,
    Blackhole,
    Cancel,
    Close,
    Cut,
    Delay,
    Down,
    Drop,
    Dup,
    FaultProxy,
    Flip,
    HalfClose,
    Inject,
    Kill,
    Rate,
    Rst,
    Rule,
    Run,
    Slice,
    SlowClose,
    Stall,
    Terminate,
)
from tests.faults.fault_proxy.frames import Framer
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.transcript import errors, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import (
    SSL_REQUEST,
    SYNC,
    TERMINATE,
    Wire,
    bind,
    describe,
    execute,
    frame,
    parse,
    query,
    rows,
    split_frames,
    startup_packet,
    untyped,
)


@pytest.fixture
async def faults(postgres: Postgres) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", postgres.port, seed=1, records=True, before_postgres=True) as started:
        yield started


@asynccontextmanager
async def client(faults: FaultProxy) -> AsyncIterator[Wire]:
    async with await Wire.connect(faults.port) as wire:
        await wire.login("postgres", PASSWORD)
        yield wire


# --- without faults -------------------------------------------------------------------------------------------------

SPOKEN = (
    startup_packet({"user": "postgres"}) + query("SELECT 1") + parse("SELECT 2", "s") + frame("d", b"x" * 300) + SYNC
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_pieces_of_a_stream_are_the_stream(size: int) -> None:
    framer = Framer("fe")
    pieces = [piece for at in range(0, len(SPOKEN), size) for piece in framer.feed(SPOKEN[at : at + size])]
    assert b"".join(piece.data for piece in pieces) + framer.rest() == SPOKEN
    assert "".join(piece.type for piece in pieces if piece.first) == f"{STARTUP}QPdS"
    assert [piece.type for piece in pieces if piece.last] == [piece.type for piece in pieces if piece.first]


@pytest.mark.parametrize("size", [1, 5, 50])
def test_a_frame_is_held_back_until_enough_of_it_can_be_seen(size: int) -> None:
    framer = Framer("be", want=lambda kind: 100 if kind == "D" else 0)
    data = frame("D", b"x" * 40) + frame("D", b"y" * 400)
    pieces = [piece for at in range(0, len(data), size) for piece in framer.feed(data[at : at + size])]
    assert b"".join(piece.data for piece in pieces) == data
    assert [len(piece.data) >= min(100, 45 if number == 0 else 405) for number, piece in enumerate(pieces[:2])]


def test_what_is_no_protocol_passes_as_it_is() -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\7abcdefgh", b"\0\xff\xff\xff12345678"):
        framer = Framer("fe")
        pieces = list(framer.feed(garbage))
        assert b"".join(piece.data for piece in pieces) == garbage
        assert next(framer.feed(b"and more")).data == b"and more"


async def test_a_conversation_without_faults_is_the_same_byte_for_byte() -> None:
    """Against a server that echoes: what arrives there, and what comes back, is what was sent."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            arrived.append(data)
            writer.write(frame("D", data))
            await writer.drain()
        writer.close()

    arrived: list[bytes] = []
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as plain:
        sent = untyped(SSL_REQUEST) + SPOKEN + random.Random(1).randbytes(500_000)
        async with await Wire.connect(plain.port) as wire:
            wire.writer.write(sent)
            wire.writer.write_eof()
            said = await wire.read_to_end()
    assert b"".join(arrived) == sent
    assert said == b"".join(frame("D", data) for data in arrived)
    server.close()
    await server.wait_closed()


async def test_postgresql_is_spoken_to_as_if_nobody_was_between(faults: FaultProxy, postgres: Postgres) -> None:
    async def scenario(port: int) -> list[Any]:
        async with await Wire.connect(port) as wire:
            assert await wire.request_tls() == b"N"
            await wire.login("postgres", PASSWORD)
            frames = await wire.query("SELECT n, repeat('x', 100000) FROM generate_series(1, 20) n")
            frames += await transact(
                wire, parse("SELECT 1/0"), describe("S"), bind(), execute(), SYNC, query("SELECT 2"), units=2
            )
            await wire.send(TERMINATE)
            assert await wire.read_to_end() == b""
            return frames

    assert await scenario(faults.port) == await scenario(postgres.port)
    await wait_until(lambda: faults.past)
    [conversation] = faults.past
    assert conversation.transcript is not None
    said = conversation.transcript.shape("fe")
    assert said.startswith(NEGOTIATION + STARTUP + "p") and said.endswith("QPDBESQX")
    assert not faults.counts


async def test_two_recordings_of_the_same_conversation_are_equal(faults: FaultProxy) -> None:
    for _ in range(2):
        async with client(faults) as wire:
            await wire.query("SELECT pg_backend_pid(), 'the same'")
            await wire.send(TERMINATE)
            await wire.read_to_end()
    await wait_until(lambda: len(faults.past) == 2)
    first, second = [conversation.transcript for conversation in faults.past]
    assert first is not None and second is not None
    assert first.entries == second.entries


async def test_who_does_not_read_is_felt_by_who_sends(faults: FaultProxy) -> None:
    async with client(faults) as wire:
        await wire.send_query("SELECT repeat('x', 5000) FROM generate_series(1, 20000)")
        flow = faults.live[0].flows["be"]
        await wait_until(lambda: flow.sink.transport.get_write_buffer_size() > 0, what="the proxy waits for its client")
        assert flow.sink.transport.get_write_buffer_size() <= 1 << 20
        assert len(rows(await wire.read_until("Z"))) == 20_000


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule, struck",
    [
        (Rule("fe", "Q", re=rb"two"), [2]),
        (Rule("fe", "Q", after=1), [2]),
        (Rule("fe", "Q", times=2), [1, 2]),
        (Rule("fe", "QX", after=1, times=None), [2, 3]),
        (Rule("fe", "P"), []),
        (Rule("fe", "Q", conn=1), []),
        (Rule("fe", "Q", p=0.0, times=None), []),
        (Rule("be", "C", re="^SELECT 1$", times=None), [1, 2, 3]),
    ],
    ids=str,
)
async def test_a_rule_matches_what_it_says(faults: FaultProxy, rule: Rule, struck: list[int]) -> None:
    fault = faults.add(rule, Stall(0))
    seen = []
    async with client(faults) as wire:
        for number, word in enumerate(("one", "two", "three"), 1):
            before = fault.done
            await wire.query(f"SELECT '{word}'")
            seen += [number] if fault.done > before else []
    assert seen == struck
    assert faults.counts[rule.side, "stall"] == len(struck)


async def test_chances_are_the_same_for_the_same_seed(postgres: Postgres) -> None:
    async def run() -> list[bool]:
        async with FaultProxy("127.0.0.1", postgres.port, seed=7) as faults:
            fault = faults.add(Rule("fe", "Q", p=0.5, times=None), Stall(0))
            async with client(faults) as wire:
                outcomes = []
                for _ in range(20):
                    before = fault.done
                    await wire.query("SELECT 1")
                    outcomes.append(fault.done > before)
                return outcomes

    first = await run()
    assert first == await run()
    assert True in first and False in first


@pytest.mark.parametrize("offset", [0, 1, 5, 9, 20, WHOLE])
async def test_a_fault_comes_at_its_byte(faults: FaultProxy, offset: int) -> None:
    async with client(faults) as wire:
        described, row, *_ = await wire.query("SELECT 'thirty bytes, more or less'")
        faults.add(Rule("be", "D", bytes=offset), Close())
        await wire.send_query("SELECT 'thirty bytes, more or less'")
        said = await wire.read_to_end()
    assert said == frame("T", described.body) + frame("D", row.body)[:offset]


# --- actions --------------------------------------------------------------------------------------------------------

ANSWER_TO_ONE = "TDCZ"


async def end_of(wire: Wire) -> str:
    """How the connection ended, after whatever came."""
    try:
        await asyncio.wait_for(wire.reader.read(), 10)
    except ConnectionResetError:
        return "rst"
    return "fin"


@pytest.mark.parametrize(
    "action, how",
    [
        (Close(), "fin"),
        (Close("client"), "fin"),
        (Close("server"), "fin"),
        (Rst(), "rst"),
        (Rst("client"), "rst"),
        (Rst("server"), "fin"),
    ],
    ids=str,
)
async def test_close_and_rst_end_both_ends(faults: FaultProxy, postgres: Postgres, action: Any, how: str) -> None:
    before = await postgres.server_connections()
    faults.add(Rule("fe", "Q"), action)
    async with client(faults) as wire:
        await wire.send_query("SELECT 1")
        assert await end_of(wire) == how
        await wait_until(lambda: not faults.live)
    await wait_until(lambda: none_left(postgres, before))


async def none_left(postgres: Postgres, before: int) -> bool:
    return await postgres.server_connections() <= before


async def test_half_close_ends_one_direction(faults: FaultProxy) -> None:
    """PostgreSQL answers what it got, sees the end, and closes."""
    faults.add(Rule("fe", "Q", bytes=WHOLE), HalfClose())
    async with client(faults) as wire:
        await wire.send_query("SELECT 1")
        assert shape(split_frames(await wire.read_to_end())) == ANSWER_TO_ONE


async def test_slow_close_says_nothing_for_a_while(faults: FaultProxy) -> None:
    faults.add(Rule("fe", "Q"), SlowClose(100))
    async with client(faults) as wire:
        began = time.monotonic()
        await wire.send_query("SELECT 1")
        assert await wire.read_to_end() == b""
        assert time.monotonic() - began >= 0.1


async def test_a_blackhole_swallows_all_and_ends_nothing(faults: FaultProxy, postgres: Postgres) -> None:
    async with client(faults) as wire:
        await faults.strike(Blackhole())
        await wire.send_query("SELECT 1")
        await postgres.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        await wait_until(lambda: faults.live[0].flows["be"].source.at_eof())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.reader.read(1), 0.1)
    await wait_until(lambda: not faults.live)


@pytest.mark.parametrize("size", [0, 1, 5, 100])
async def test_cut_lets_so_many_bytes_pass(faults: FaultProxy, size: int) -> None:
    faults.add(Rule("be", "T"), Cut(size))
    async with client(faults) as wire:
        await wire.send_query("SELECT repeat('x', 1000)")
        assert len(await wire.read_to_end()) == size


async def test_down_refuses_and_up_accepts_again(faults: FaultProxy) -> None:
    async with client(faults) as wire:
        faults.down()
        with pytest.raises(ConnectionRefusedError):
            await Wire.connect(faults.port)
        assert shape(await wire.query("SELECT 'goes on'")) == ANSWER_TO_ONE
        faults.up()
        async with client(faults):
            pass
        faults.add(Rule("fe", "Q"), Down(50))
        await wire.query("SELECT 1")
        await wait_until(lambda: can_connect(faults.port), what="it is up again by itself")


async def can_connect(port: int) -> bool:
    try:
        async with await Wire.connect(port):
            return True
    except ConnectionRefusedError:
        return False


@pytest.mark.parametrize("action, at_least", [(Stall(100), 0.1), (Delay(50, 10), 0.04), (Rate(10_000), 0.1)], ids=str)
async def test_slow_connections_are_slow_and_faultless(faults: FaultProxy, action: Any, at_least: float) -> None:
    async with client(faults) as wire:
        faults.add(Rule("be", "T"), action)
        began = time.monotonic()
        frames = await wire.query("SELECT repeat('x', 1000)")
        assert time.monotonic() - began >= at_least
        assert rows(frames) == [[b"x" * 1000]]


async def test_slice_limits_the_segments(faults: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(faults) as wire:
        sent = []
        sink = faults.live[0].flows["be"].sink
        write = sink.write
        monkeypatch.setattr(sink, "write", lambda data: (sent.append(data), write(data)))
        faults.add(Rule("be", "T"), Slice(3))
        frames = await wire.query("SELECT 'in slices'")
        assert rows(frames) == [[b"in slices"]]
        assert {len(data) for data in sent[:-1]} == {3}


@pytest.mark.parametrize(
    "action, seen",
    [(Dup(), "TDDCZ"), (Drop(), "TCZ"), (Inject(frame("N", b"\0")), "TNDCZ"), (Flip(1), "TECZ")],
    ids=str,
)
async def test_what_is_said_is_changed(faults: FaultProxy, action: Any, seen: str) -> None:
    async with client(faults) as wire:
        faults.add(Rule("be", "D"), action)
        assert shape(await wire.query("SELECT 1")) == seen
        assert shape(await wire.query("SELECT 1")) == ANSWER_TO_ONE


async def test_a_byte_in_the_middle_is_flipped(faults: FaultProxy) -> None:
    async with client(faults) as wire:
        faults.add(Rule("be", "D", bytes=11), Flip(0x20))
        assert rows(await wire.query("SELECT 'abc'")) == [[b"Abc"]]


async def test_cancel_stops_what_runs_at_that_instant(faults: FaultProxy) -> None:
    async with client(faults) as wire:
        faults.add(Rule("be", "T"), Cancel())  # which PostgreSQL gets before the client sees the answer
        await wire.query("SELECT 1")  # which may have been over on the server
        await wire.send_query("SELECT pg_sleep(60)")
        assert errors(await canceled(faults, wire)) == ["57014"]


async def canceled(faults: FaultProxy, wire: Wire) -> Any:
    """The answer to a query that is canceled as often as it takes."""
    answer = asyncio.ensure_future(wire.read_until("Z"))
    while not answer.done():
        await faults.strike(Cancel(), conn=0)
        await asyncio.sleep(0.01)
    return await answer


async def test_terminate_ends_the_backend(faults: FaultProxy) -> None:
    async with client(faults) as wire:
        # a server that ends with a query still unread resets the connection, and its last words are lost
        faults.add(Rule("be", "N", bytes=WHOLE), Terminate())
        await wire.send_query("DO $$ BEGIN RAISE NOTICE 'at it'; PERFORM pg_sleep(60); END $$")
        assert errors(await wire.read_frames_to_end()) == ["57P01"]


async def test_kill_takes_the_backend_without_a_word(own_postgres: Postgres) -> None:
    async with FaultProxy("127.0.0.1", own_postgres.port, before_postgres=True) as faults, client(faults) as wire:
        faults.add(Rule("fe", "Q", bytes=WHOLE), Kill())
        await wire.send_query("SELECT pg_sleep(60)")
        assert await wire.read_to_end() == b""


async def test_kill_is_refused_where_process_ids_are_not_known() -> None:
    async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(nobody, "127.0.0.1", 0)
    with pytest.raises(ValueError, match="before_postgres"):
        async with FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as faults:
            faults.add(Rule("fe", "Q"), Kill())
            async with await Wire.connect(faults.port) as wire:
                await wire.send(startup_packet({"user": "x"}), query("SELECT 1"))
                await wire.read_to_end()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("how", ["function", "coroutine", "command"])
async def test_anything_can_be_run_at_a_moment(faults: FaultProxy, tmp_path: Any, how: str) -> None:
    done = tmp_path / "done"

    async def touch(moment: Any) -> None:
        done.touch()

    what: dict[str, Any] = {
        "function": lambda moment: done.touch(),
        "coroutine": touch,
        "command": ["touch", str(done)],
    }
    faults.add(Rule("fe", "Q"), Run(what[how]))
    async with client(faults) as wire:
        assert shape(await wire.query("SELECT 1")) == ANSWER_TO_ONE
        assert done.exists()


async def test_a_cancel_request_passes_and_can_be_met(faults: FaultProxy) -> None:
    fault = faults.add(Rule("fe", CANCEL), Stall(1))
    async with client(faults) as wire:
        await Wire.cancel(faults.port, wire.backend_pid, wire.cancel_key)
        assert fault.done == 1
        assert shape(await wire.query("SELECT 1")) in (ANSWER_TO_ONE, "EZ")


async def test_a_server_that_cannot_be_reached_is_an_end_for_the_client(own_postgres: Postgres) -> None:
    async with FaultProxy("127.0.0.1", own_postgres.port) as faults:
        await own_postgres.stop("immediate")
        async with await Wire.connect(faults.port) as wire:
            assert await wire.read_to_end() == b""


async def test_the_table_lists_every_kind() -> None:
    assert len(KINDS) == len(set(KINDS)) >= 30
    for name, make in ACTIONS.items():
        assert make(random.Random(1)).name == name
