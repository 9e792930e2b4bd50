"""Two workers before two shards: a commit that one of them is at is read by the other whole, or not at all.

The worker stands still, or dies, just behind the decision, while one shard has committed and the other has not.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from tests.faults.failpoint_build import Faulty
from tests.faults.sharded import FIRST, OTHER
from tests.integration.postgres import Postgres
from tests.integration.sharded import create
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, query, rows

pytestmark = pytest.mark.timeout(300)  # whoever comes first builds

DATABASE = "two_workers"
NAMES = "SELECT name FROM customers"


class Crew(NamedTuple):
    """A client of one worker, and two of the other; `pids` are the workers' by their numbers."""

    faulty: Faulty
    one: Wire
    other: Wire
    beside: Wire

    @property
    def pids(self) -> dict[int, int]:
        found = re.findall(r"worker (\d+) serves, pid (\d+)", self.faulty.proxy.log)
        return {int(number): int(pid) for number, pid in found}


@pytest.fixture
async def crew(postgres: Postgres) -> AsyncIterator[Crew]:
    settings = await create(postgres, DATABASE)
    config = {"pool_mode": "transaction", "workers": 2, "databases": {DATABASE: settings}}
    async with Faulty(config) as faulty, AsyncExitStack() as stack:
        of_worker: dict[str, list[Wire]] = {"1": [], "2": []}
        for _ in range(4):
            wire = await stack.enter_async_context(session(faulty.proxy, database=DATABASE))
            of_worker[re.findall(r"worker (\d+) trunkline.client: login", faulty.proxy.log)[-1]].append(wire)
        (one, _), others = of_worker.values()
        for key in (FIRST, OTHER):
            assert shape(await one.query(f"INSERT INTO customers VALUES ({key}, 'before')")) == "CZ"
        yield Crew(faulty, one, *others)
    assert await postgres.fetch("SELECT gid FROM pg_prepared_xacts WHERE database LIKE %s", f"{DATABASE}_s_") == []


async def test_a_reader_waits_for_the_commit_of_another_worker(crew: Crew) -> None:
    before = crew.pids
    await crew.one.query("BEGIN")
    for key in (FIRST, OTHER):
        assert shape(await crew.one.query(f"UPDATE customers SET name = 'changed' WHERE id = {key}")) == "CZ"
    crew.faulty.arm("two_phase_decided=stop")
    await crew.one.send(query("COMMIT"))
    (stopped,) = await who_has_stopped(before)
    try:
        reading = asyncio.ensure_future(crew.other.query(NAMES))
        for _ in range(5):
            assert rows(await crew.beside.query(f"{NAMES} WHERE id = {FIRST}"))
        assert not reading.done()
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert shape(await crew.one.read_until("Z")) == "CZ"
    assert rows(await reading) == [[b"changed"], [b"changed"]]


async def test_row_75_a_commit_whose_worker_has_died_is_read_whole_by_the_other(crew: Crew) -> None:
    before = crew.pids
    await crew.one.query("BEGIN")
    for key in (FIRST, OTHER):
        assert shape(await crew.one.query(f"UPDATE customers SET name = 'changed' WHERE id = {key}")) == "CZ"
    crew.faulty.arm("two_phase_decided=crash")
    await crew.one.send(query("COMMIT"))
    assert await crew.one.read_frames_to_end() == []
    assert rows(await crew.other.query(NAMES)) == [[b"changed"], [b"changed"]]
    await wait_until(lambda: crew.pids != before, what="there is another worker")


async def test_row_76_a_deadlock_of_two_workers_ends_the_younger_one(crew: Crew) -> None:
    elder, younger = crew.one, crew.other
    for wire, key in ((elder, FIRST), (younger, OTHER)):
        await wire.query("BEGIN")
        assert shape(await wire.query(f"UPDATE customers SET name = 'own' WHERE id = {key}")) == "CZ"
        assert shape(await wire.query(NAMES)) == "TDDCZ"
    waiting = asyncio.ensure_future(elder.query(f"UPDATE customers SET name = 'elder' WHERE id = {OTHER}"))
    assert errors(await younger.query(f"UPDATE customers SET name = 'younger' WHERE id = {FIRST}")) == ["40P01"]
    await younger.query("ROLLBACK")
    assert shape(await waiting) == "CZ"
    assert shape(await elder.query("COMMIT")) == "CZ"
    assert sorted(rows(await younger.query(NAMES))) == [[b"elder"], [b"own"]]


async def who_has_stopped(pids: dict[int, int]) -> list[int]:
    """The workers that stand still, once there is one."""

    def stopped() -> list[int]:
        return [pid for pid in pids.values() if _state(pid) == "T"]

    await wait_until(lambda: bool(stopped()), what="a worker stands still")
    return stopped()


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
