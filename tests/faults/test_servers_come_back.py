"""Servers whose client left in the middle are used again: the very same backend, clean. Rows 37 to 40 of section 3b."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, execute, frame, parse, query, rows

SLEEP = "SELECT pg_sleep(60)"
ENDLESS = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT"
INSERT = "INSERT INTO come_back VALUES (1)"

# where the client is -> what it has said, and the types of what it has heard
PLACES = {
    "row 37, idle in a transaction": (query("BEGIN") + query(INSERT), "CZCZ"),
    "row 37, in a failed transaction": (query("BEGIN") + query("SELECT 1/0"), "CZEZ"),
    "row 38, in a query": (query(SLEEP), ""),
    "row 38, in a query in a transaction": (query("BEGIN") + query(SLEEP), "CZ"),
    "row 38, in a query of the extended protocol": (parse(SLEEP) + bind() + execute() + SYNC, ""),
    "row 38, in a query that was only flushed": (parse(SLEEP) + bind() + execute() + FLUSH, ""),
    "row 38, in a pipeline": (query("BEGIN") + query(SLEEP) + query(INSERT) * 20, "CZ"),
    "row 39, in COPY IN": (query("COPY come_back FROM STDIN") + frame("d", b"1\n"), "G"),
    "row 39, in COPY IN in a transaction": (query("BEGIN") + query("COPY come_back FROM STDIN"), "CZG"),
    "row 39, in COPY IN of the extended protocol": (
        parse("COPY come_back FROM STDIN") + bind() + execute() + FLUSH + frame("d", b"1\n"),
        "12G",
    ),
    "row 39, before COPY IN has begun": (parse("COPY come_back FROM STDIN") + bind() + execute() + SYNC, ""),
    "row 39, in COPY OUT": (query(ENDLESS), "Hd"),
    "row 40, behind Parse": (parse("SELECT 1", "s"), ""),
    "row 40, behind Parse and Flush": (parse("SELECT 1", "s") + FLUSH, "1"),
    "row 40, behind Execute": (parse(INSERT) + bind() + execute() + FLUSH, "12C"),
    "row 40, behind an error": (parse("SELEKT") + FLUSH, "E"),
}


async def backend(proxy: Proxy) -> bytes | None:
    async with await log_in(proxy) as wire:
        [[pid]] = rows(await wire.query("SELECT pg_backend_pid()"))
        return pid


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("place", PLACES)
async def test_rows_37_to_40_a_server_survives_its_client(proxy: Proxy, postgres: Postgres, place: str, how: str):
    requests, heard = PLACES[place]
    await postgres.fetch("DROP TABLE IF EXISTS come_back; CREATE TABLE come_back (n int)")
    before = await backend(proxy)
    wire = await log_in(proxy)
    await wire.send(requests)
    for kind in heard:
        assert (await wire.read_frame()).type == kind
    if SLEEP.encode() in requests:
        await wait_until(lambda: sleeps(postgres), what="it runs")
    if how == "rst":
        wire.abort()
    await wire.close()
    await expect_own_answers(proxy)
    assert await backend(proxy) == before
    assert await postgres.fetch("SELECT count(*) FROM come_back") == [(0,)]


async def sleeps(postgres: Postgres) -> bool:
    found = await postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return bool(found[0][0])


@pytest.mark.parametrize("timer", ["query_timeout", "transaction_timeout", "idle_transaction_timeout"])
async def test_row_61_a_client_that_is_ended_by_a_timer_leaves_its_server(postgres, start_proxy, timer: str) -> None:
    url = f"postgres://127.0.0.1:{postgres.port}/postgres"
    settings = {"pool_mode": "transaction", timer: 0.3}
    proxy = await start_proxy(settings, databases={"one": {"primary": url, "pool_size": 1}})
    before = await backend(proxy)
    async with await log_in(proxy) as wire:
        await wire.query("BEGIN")
        if timer == "query_timeout":
            await wire.send_query(SLEEP)
        await wire.read_frames_to_end()
    assert await backend(proxy) == before


async def test_row_38_a_crowd_that_vanishes_leaves_every_server(postgres: Postgres, start_proxy) -> None:
    url = f"postgres://127.0.0.1:{postgres.port}/postgres"
    proxy = await start_proxy({"pool_mode": "transaction"}, databases={"one": {"primary": url, "pool_size": 4}})

    async def vanish(number: int) -> None:
        wire: Wire = await log_in(proxy)
        await wire.send(query("BEGIN") + query(INSERT) + query("SELECT pg_sleep(0.05)"))
        await wire.read_exactly(number % 40)
        wire.abort()
        await wire.close()

    await postgres.fetch("DROP TABLE IF EXISTS come_back; CREATE TABLE come_back (n int)")
    await asyncio.gather(*(vanish(number) for number in range(40)))
    await expect_own_answers(proxy)
    assert await postgres.fetch("SELECT count(*) FROM come_back") == [(0,)]
    [pool] = [row for row in await proxy.admin("SHOW POOLS") if row["database"] == "one"]
    assert pool["sv_idle"] + pool["sv_tested"] + pool["sv_being_canceled"] <= 4
