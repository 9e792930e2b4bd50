"""Clients that go away: rows 36 to 43 of section 3b. Whoever comes next meets a clean server and its own answers."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, close, describe, execute, frame, parse, query, rows

EXCHANGES = {
    "simple": query("SELECT 'theirs'"),
    "extended": parse("SELECT 'theirs'") + bind() + describe("P") + execute() + SYNC,
    "named": parse("SELECT 'theirs'", "n") + bind("n") + execute() + close("S", "n") + SYNC,
    "transaction": query("BEGIN") + query("SELECT 'theirs'") + query("ROLLBACK"),
    "flush": parse("SELECT 'theirs'") + FLUSH + bind() + execute() + FLUSH + SYNC,
    "error": query("SELECT 1/0") + parse("SELEC") + SYNC,
}


def cuts(data: bytes) -> list[int]:
    """Every frame's boundary, and the bytes around and in the middle between them."""
    found, start = {1, len(data)}, 0
    while start < len(data):
        size = 1 + int.from_bytes(data[start + 1 : start + 5], "big")
        found |= {start + 1, start + 4, start + 5, start + size // 2, start + size - 1, start + size}
        start += size
    return sorted(cut for cut in found if cut <= len(data))


@pytest.mark.parametrize("database", ["one", "session"])
@pytest.mark.parametrize("name", EXCHANGES)
async def test_row_40_and_42_a_client_vanishes_at_every_point_of_its_requests(proxy, database, name) -> None:
    for number, cut in enumerate(cuts(EXCHANGES[name])):
        wire = await log_in(proxy, database)
        await wire.send(EXCHANGES[name][:cut])
        if number % 2:
            wire.abort()
        await wire.close()
        if number % 4 == 0:
            await expect_own_answers(proxy, database)
    await expect_own_answers(proxy, database)


@pytest.mark.parametrize("sql", ["SELECT 'theirs' FROM generate_series(1, 3)", "COPY (SELECT 'theirs') TO STDOUT"])
async def test_row_unconsumed_replies_a_client_vanishes_after_every_byte_of_a_result(proxy: Proxy, sql: str) -> None:
    async with await log_in(proxy) as wire:
        whole = sum(len(item.body) + 5 for item in await wire.query(sql))
    for size in range(0, whole, 4):
        wire = await log_in(proxy)
        await wire.send_query(sql)
        await wire.read_exactly(size)
        wire.abort()
        await wire.close()
    await expect_own_answers(proxy)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_row_unconsumed_replies_a_large_result_is_left_in_the_middle(proxy: Proxy, how: str) -> None:
    for size in (0, 3, 70, 5_000, 100_000, 1_000_000):
        wire = await log_in(proxy)
        await wire.send_query("SELECT repeat('theirs', 1000) FROM generate_series(1, 2000)")
        await wire.read_exactly(size)
        if how == "rst":
            wire.abort()
        await wire.close()
        await expect_own_answers(proxy)


async def test_row_37_a_transaction_whose_client_vanished_is_rolled_back(proxy: Proxy, postgres: Postgres) -> None:
    await postgres.fetch("DROP TABLE IF EXISTS left_behind; CREATE TABLE left_behind (n int)")
    for how in ("fin", "rst", "terminate"):
        wire = await log_in(proxy)
        await wire.query("BEGIN")
        await wire.query("INSERT INTO left_behind VALUES (1)")
        if how == "rst":
            wire.abort()
        if how == "terminate":
            await wire.send(frame("X"))
        await wire.close()
        await expect_own_answers(proxy)
    assert await postgres.fetch("SELECT count(*) FROM left_behind") == [(0,)]
    await wait_until(lambda: no_transaction(postgres), what="no lock and no transaction is left")


async def no_transaction(postgres: Postgres) -> bool:
    rows_ = await postgres.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND pid <> pg_backend_pid()"
    )
    return bool(rows_ == [(0,)])


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("database", ["one", "session"])
async def test_row_38_a_query_whose_client_vanished_stops(proxy, postgres, database: str, how: str) -> None:
    wire = await log_in(proxy, database)
    await wire.send_query("SELECT pg_sleep(60), 'orphan of row 38'")
    await wait_until(lambda: running(postgres, "orphan of row 38"), what="it runs")
    if how == "rst":
        wire.abort()
    await wire.close()

    async def stopped() -> bool:
        return not await running(postgres, "orphan of row 38")

    await wait_until(stopped, 5.0, what="the server no longer works for nobody")
    await expect_own_answers(proxy, database)


async def running(postgres: Postgres, marker: str) -> int:
    found = await postgres.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()",
        f"%{marker}%",
    )
    return int(found[0][0])


COPY_ENDS = {
    "behind the request": b"",
    "between two rows": frame("d", b"1\n"),
    "in the middle of a row": frame("d", b"1\n") + frame("d", b"2\n")[:6],
    "in the middle of a large row": frame("d", b"1\n") + frame("d", b"3" * 100_000)[:50_000],
    "behind Sync": frame("d", b"1\n") + SYNC,
}


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("name", COPY_ENDS)
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
async def test_row_39_copy_in_whose_client_vanished_commits_nothing(proxy, postgres, name, how, extended) -> None:
    await postgres.fetch("DROP TABLE IF EXISTS copied; CREATE TABLE copied (n text)")
    sql = "COPY copied FROM STDIN"
    wire = await log_in(proxy)
    await wire.send(parse(sql) + bind() + execute() + SYNC if extended else query(sql))
    await wire.read_until("G")
    await wire.send(COPY_ENDS[name])
    if how == "rst":
        wire.abort()
    await wire.close()
    await expect_own_answers(proxy)
    await wait_until(lambda: no_transaction(postgres))
    assert await postgres.fetch("SELECT count(*) FROM copied") == [(0,)]


async def test_a_client_that_vanishes_inside_a_frame_that_answers_nothing(proxy: Proxy) -> None:
    """Half a Flush or half a late CopyData is at the server, all else is answered: the connection is not clean."""
    for database in ("one", "session"):
        for late in (b"H", b"d", b"Q"):
            wire = await log_in(proxy, database)
            await wire.send(query("BEGIN") + query("SELECT 1"))
            await wire.read_until("Z")
            await wire.read_until("Z")
            await wire.send(query("ROLLBACK") + late + (1000).to_bytes(4, "big") + b"half")
            await wire.read_until("Z")
            await wire.close()
            await expect_own_answers(proxy, database)


async def test_a_client_that_vanishes_inside_copy_data_that_came_too_late(proxy: Proxy, postgres: Postgres) -> None:
    await postgres.fetch("DROP TABLE IF EXISTS copied_numbers; CREATE TABLE copied_numbers (n int)")
    for how in ("fin", "rst"):
        wire = await log_in(proxy)
        await wire.send(query("COPY copied_numbers FROM STDIN"))
        await wire.read_until("G")
        await wire.send(frame("d", b"no number\n") + frame("d", b"1\n" * 50_000)[:70_000])
        await wire.read_until("Z")
        if how == "rst":
            wire.abort()
        await wire.close()
        await expect_own_answers(proxy)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_row_41_clients_that_vanish_in_line_are_forgotten_in_order(proxy, postgres, how: str) -> None:
    holder = await log_in(proxy)
    await holder.query("BEGIN")
    line = [await log_in(proxy) for _ in range(5)]
    for number, wire in enumerate(line):
        await wire.send(query(f"SELECT {number}"))
    for wire in line[1:4]:
        if how == "rst":
            wire.abort()
        await wire.close()
    await holder.query("COMMIT")
    assert rows(await line[0].read_until("Z")) == [[b"0"]]
    assert rows(await line[4].read_until("Z")) == [[b"4"]]
    for wire in (holder, line[0], line[4]):
        await wire.close()


async def test_row_41_nobody_opens_a_server_for_a_client_that_is_gone(proxy: Proxy, postgres: Postgres) -> None:
    holder = await log_in(proxy)
    await holder.query("BEGIN")
    for _ in range(20):
        wire = await log_in(proxy)
        await wire.send(parse("SELECT 1") + bind() + execute())
        await wire.close()
    await holder.query("COMMIT")
    await holder.close()


async def test_row_36_clients_that_vanish_idle_touch_nothing(proxy: Proxy) -> None:
    async with await log_in(proxy) as first:
        before = rows(await first.query("SELECT pg_backend_pid()"))
        for how in ("fin", "rst", "half a header"):
            wire = await log_in(proxy)
            await wire.send(b"Q\0" if how == "half a header" else b"")
            if how == "rst":
                wire.abort()
            await wire.close()
        assert rows(await first.query("SELECT pg_backend_pid()")) == before


async def test_row_43_a_client_that_closes_only_its_sending_side_gets_its_result(proxy: Proxy) -> None:
    for database in ("one", "session"):
        wire = await log_in(proxy, database)
        await wire.send(query("SELECT repeat('x', 3000000)") + query("SELECT 'second'"))
        wire.writer.write_eof()
        frames = await wire.read_frames_to_end()
        assert "".join(item.type for item in frames) == "TDCZTDCZ"
        await wire.close()


async def test_row_57_cancels_of_clients_that_come_and_go_hit_nobody_else(proxy: Proxy) -> None:
    """One server for all: a cancel that comes late must not reach whoever has the server by then."""
    async with await log_in(proxy) as bystander:
        for number in range(40):
            wire = await log_in(proxy)
            await wire.send(query(f"SELECT pg_sleep({0.002 * (number % 3)})"))
            canceling = asyncio.gather(
                *(Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key) for _ in range(1 + number % 2))
            )
            await wire.close()
            for _ in range(3):
                frames = await bystander.query(f"SELECT {number}")
                assert rows(frames) == [[str(number).encode()]], frames
            await canceling
