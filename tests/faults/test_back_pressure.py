"""Clients that do not read and clients that only ask: rows 44, 45, 52 and 53 of section 3b.

Memory is judged by the proxy's own, before and after; a pause of the reading side is seen at the server.
"""

from __future__ import annotations

import asyncio
import socket

from tests.faults.guard import expect_own_answers, log_in
from tests.faults.held import resident_bytes
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, close, execute, parse, query, rows

MIB = 1 << 20
WIDE = "SELECT repeat('x', 100000) FROM generate_series(1, {rows})"


async def narrow(proxy: Proxy) -> Wire:
    """A client with a small receive buffer, so that not reading is felt at once."""
    wire = await log_in(proxy)
    handle: socket.socket = wire.writer.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return wire


async def writes_to_nobody(postgres: Postgres) -> bool:
    found = await postgres.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'ClientWrite'"
    )
    return bool(found[0][0])


async def test_row_44_a_client_that_stops_reading_stops_its_server(proxy: Proxy, postgres: Postgres) -> None:
    await expect_own_answers(proxy)
    before = resident_bytes(proxy.pid)
    wire = await narrow(proxy)
    await wire.send_query(WIDE.format(rows=20_000))
    await wait_until(lambda: writes_to_nobody(postgres), what="the server waits for its client")
    assert resident_bytes(proxy.pid) - before < 2 * MIB
    await expect_own_answers(proxy, "session")
    wire.abort()
    await wire.close()
    await expect_own_answers(proxy)


async def test_row_44_a_server_is_read_again_once_its_slow_client_has_let_it_go(start_proxy, postgres) -> None:
    """The end of a result waits at the proxy: its server, no longer read because of that, is the next client's."""
    options = {"pool_mode": "transaction", "tcp_socket_buffer": 8192}
    proxy = await start_proxy(options, databases={"one": {"primary": postgres.dsn(), "pool_size": 1}})
    async with await log_in(proxy) as fast:
        for size in range(8_000, 120_000, 4_000):
            async with await narrow(proxy) as slow:
                await slow.send_query(f"SELECT repeat('x', {size})")
                await asyncio.sleep(0.02)  # lets the result arrive while nobody reads; without it less is proved
                await slow.read_until("Z")
                assert rows(await fast.query("SELECT 'served'")) == [[b"served"]]


async def test_row_45_a_result_of_200_mb_read_slowly_costs_no_memory(proxy: Proxy) -> None:
    await expect_own_answers(proxy)
    before, most, received = resident_bytes(proxy.pid), 0, 0
    async with await narrow(proxy) as wire:
        await wire.send_query(WIDE.format(rows=2_000))
        while received < 2_000 * 100_000:
            received += len(await wire.reader.read(MIB))
            most = max(most, resident_bytes(proxy.pid))
            await asyncio.sleep(0)  # lets the proxy fill what was emptied
        assert most - before <= 2 * MIB


async def test_row_53_ten_thousand_pipelined_queries_without_reading(proxy: Proxy) -> None:
    """Both directions fill up, and nothing is lost once the client reads."""
    await expect_own_answers(proxy)
    before, count = resident_bytes(proxy.pid), 10_000
    async with await narrow(proxy) as wire:
        padding = "-" * 300
        wire.writer.transport.set_write_buffer_limits(64 << 20)
        wire.writer.write(b"".join(query(f"SELECT {n}, repeat('y', 500) --{padding}") for n in range(count)))
        await asyncio.sleep(0.5)
        assert resident_bytes(proxy.pid) - before < 3 * MIB
        for number in range(count):
            assert rows(await wire.read_until("Z"))[0][0] == str(number).encode()


async def test_row_53_ten_thousand_segments_of_a_pipeline(proxy: Proxy) -> None:
    async with await log_in(proxy) as wire:
        one = parse("SELECT $1::text", "n") + bind("n", [b"v"]) + execute() + close("S", "n") + SYNC
        wire.writer.write(one * 10_000)
        for _ in range(10_000):
            assert "".join(item.type for item in await wire.read_until("Z")) == "12DC3Z"


async def flood_unread(proxy: Proxy, wire: Wire, piece: bytes, total: int) -> int:
    """Send up to so many bytes without reading; how many the proxy took."""
    taken = 0
    while taken < total:
        wire.writer.write(piece)
        try:
            await asyncio.wait_for(wire.writer.drain(), 0.5)
        except TimeoutError:
            break
        taken += len(piece)
    return taken


async def test_row_52_a_flood_of_syncs_that_nobody_reads_is_not_kept(proxy: Proxy) -> None:
    await expect_own_answers(proxy)
    before = resident_bytes(proxy.pid)
    wire = await narrow(proxy)
    wire.writer.transport.set_write_buffer_limits(0)
    taken = await flood_unread(proxy, wire, SYNC * 20_000, 60 * MIB)
    assert taken < 60 * MIB, "the proxy stopped reading"
    assert resident_bytes(proxy.pid) - before < 3 * MIB
    wire.abort()
    await wire.close()


async def test_row_52_floods_while_a_long_query_runs_are_bounded(proxy: Proxy) -> None:
    await expect_own_answers(proxy)
    before = resident_bytes(proxy.pid)
    for piece in (close("S", "known") + parse("SELECT 1", "known"), close("P", "x"), FLUSH, SYNC, query("SELECT 1")):
        wire = await narrow(proxy)
        await wire.send(parse("SELECT 1", "known") + SYNC)
        await wire.read_until("Z")
        await wire.send(query("SELECT pg_sleep(60)"))
        wire.writer.transport.set_write_buffer_limits(0)
        taken = await flood_unread(proxy, wire, piece * 5_000, 40 * MIB)
        assert taken < 40 * MIB, f"the proxy stopped reading {piece!r}"
        wire.abort()
        await wire.close()
        await expect_own_answers(proxy)
    assert resident_bytes(proxy.pid) - before < 24 * MIB


async def test_a_client_in_line_that_goes_on_sending_is_not_kept(proxy: Proxy) -> None:
    await expect_own_answers(proxy)
    async with await log_in(proxy) as holder:
        await holder.query("BEGIN")
        before = resident_bytes(proxy.pid)
        wire = await narrow(proxy)
        wire.writer.transport.set_write_buffer_limits(0)
        assert await flood_unread(proxy, wire, query("SELECT 1") * 10_000, 40 * MIB) < 40 * MIB
        assert resident_bytes(proxy.pid) - before < 2 * MIB
        wire.abort()
        await wire.close()
        await holder.query("COMMIT")
