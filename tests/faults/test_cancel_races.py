"""Races of cancel requests with the ends of the queries that they are for: ten thousand of them.

Two to sixteen clients share one to four servers. Half of them cancel what they run, at about the time when it ends; the
others work on the same servers, back to back. Nobody but who asked for it may ever see 57014; everybody gets the
answers to exactly what he asked; and a query that has run for 50 ms when its cancel comes is stopped, each time.

[1c cancel race] [row 57]
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import log_in
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, execute, parse, query, rows

ROUNDS = 2500
LONG_S = 0.05
CROWDS = [(2, 1), (4, 1), (8, 2), (16, 4)]


class Racer:
    """A client of its own; what its queries end with is judged at once."""

    def __init__(self, proxy: Proxy, wire: Wire, chance: random.Random) -> None:
        self.proxy = proxy
        self.wire = wire
        self.chance = chance
        self.stopped = self.missed = 0

    async def ask(self, seconds: float) -> tuple[str, asyncio.Task[list[Frame]]]:
        """Send a query that takes so long; its nonce, and the answer to come."""
        nonce = secrets.token_hex(8)
        sql = f"SELECT '{nonce}', pg_sleep({seconds:.6f})"
        extended = self.chance.random() < 0.5
        await self.wire.send(parse(sql) + bind() + execute() + SYNC if extended else query(sql))
        return nonce, asyncio.create_task(self.wire.read_until("Z"))

    def judge(self, nonce: str, frames: list[Frame]) -> bool:
        """Whether it was canceled; else the answer is whole, and its own."""
        if errors(frames):
            assert errors(frames) == ["57014"], frames
            return True
        assert [row[0] for row in rows(frames)] == [nonce.encode()], "somebody else's answer"
        return False

    async def cancel(self) -> None:
        await Wire.cancel(self.proxy.port, self.wire.backend_pid, self.wire.cancel_key)

    async def race(self) -> None:
        """Canceled at about the time when it ends, once or twice."""
        seconds = self.chance.uniform(0, 0.003)
        nonce, answer = await self.ask(seconds)
        await asyncio.sleep(self.chance.uniform(0, 2 * seconds))
        await asyncio.gather(*(self.cancel() for _ in range(self.chance.choice((1, 1, 2)))))
        if self.judge(nonce, await answer):
            self.stopped += 1
        else:
            self.missed += 1

    async def race_in_a_transaction(self) -> None:
        await self.wire.query("BEGIN")
        await self.race()
        await self.wire.query("ROLLBACK")

    async def stop_a_long_one(self) -> None:
        """One that has run for LONG_S, or still waits for a server, is stopped for certain."""
        nonce, answer = await self.ask(60)
        await asyncio.sleep(LONG_S)
        await self.cancel()
        assert self.judge(nonce, await answer)
        self.stopped += 1

    async def run(self, rounds: int) -> None:
        ways = [self.race, self.race_in_a_transaction, self.stop_a_long_one]
        for _ in range(rounds):
            [way] = self.chance.choices(ways, [90, 9, 1])
            await way()

    async def work(self, over: asyncio.Event) -> None:
        """Work of somebody who cancels nothing, and is never canceled."""
        while not over.is_set():
            nonce, answer = await self.ask(self.chance.choice((0, 0, 0.001)))
            assert not self.judge(nonce, await answer), "canceled by somebody else"


@pytest.mark.parametrize("clients, servers", CROWDS)
async def test_row_cancel_race_hits_its_own_query_or_nothing(
    postgres: Postgres, start_proxy: Any, clients: int, servers: int
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    database = {"primary": f"postgres://127.0.0.1:{postgres.port}/postgres", "pool_size": servers}
    proxy = await start_proxy({"pool_mode": "transaction", "log_connections": False}, databases={"one": database})
    async with unharmed(proxy, "one"):
        racers = [await racer(proxy, seed + number) for number in range(clients)]
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            bystanders = [group.create_task(one.work(over)) for one in racers[clients // 2 :]]
            canceling = racers[: clients // 2]
            await asyncio.gather(*(one.run(ROUNDS // len(canceling)) for one in canceling))
            over.set()
            await asyncio.gather(*bystanders)
        for one in racers:
            await one.wire.close()
    assert sum(one.stopped for one in racers) > ROUNDS // 20, "some were in time"
    assert sum(one.missed for one in racers) > ROUNDS // 20, "and some too late"


async def racer(proxy: Proxy, seed: int) -> Racer:
    wire = await Wire.connect(proxy.port)
    await wire.login("postgres", PASSWORD, database="one")
    return Racer(proxy, wire, random.Random(seed))


async def test_row_57_a_query_that_was_only_flushed_is_stopped(proxy: Proxy, postgres: Postgres) -> None:
    """Execute and Flush, as pipelines do: the query runs, though its Sync has not come."""
    async with await log_in(proxy) as wire:
        for _ in range(3):
            await wire.send(parse("SELECT pg_sleep(60)") + bind() + execute() + FLUSH)
            await wait_until(lambda: sleeps(postgres), what="it runs")
            await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)
            await wire.send(SYNC)
            assert errors(await wire.read_until("Z")) == ["57014"]


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_row_38_a_query_that_was_only_flushed_stops_with_its_client(
    proxy: Proxy, postgres: Postgres, how: str
) -> None:
    wire = await log_in(proxy)
    await wire.send(parse("SELECT pg_sleep(60)") + bind() + execute() + FLUSH)
    await wait_until(lambda: sleeps(postgres), what="it runs")
    if how == "reset":
        wire.abort()
    await wire.close()

    async def is_over() -> bool:
        return not await sleeps(postgres)

    await wait_until(is_over, what="it was stopped")


async def sleeps(postgres: Postgres) -> bool:
    found = await postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return bool(found[0][0])
