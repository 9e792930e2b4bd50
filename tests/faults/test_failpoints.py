"""Row 90 of the catalogue of faults: an error that nobody has foreseen, at every delicate instant.

Only the client that it concerns is closed, its server connection with it; the log has it once; bystanders get their own
answers, and afterwards nothing is left of it. Every failpoint in the code is in the table, or the first test fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.faults.bystanders import CREATE, Crowd, crowd
from tests.faults.commit_points import POINTS as POINTS_OF_COMMITS
from tests.faults.failpoint_build import Faulty
from tests.faults.failpoint_cases import (
    BUSY,
    CASES,
    ENDS_THE_PROCESS,
    SESSION,
    SIDE,
    Stage,
    faulty_proxy,
    points_in_code,
)
from tests.faults.guard import Guard, expect_own_answers
from tests.integration.postgres import Farm, Postgres, flavours_to_run
from tests.integration.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # whoever comes first builds

CROWD = 4


def test_every_failpoint_in_the_code_is_in_the_table_once() -> None:
    assert sorted(points_in_code()) == sorted([*CASES, *POINTS_OF_COMMITS])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(farm: Farm) -> AsyncIterator[Faulty]:
    async with faulty_proxy(await farm.get(flavours_to_run(every_postgres=False)[0])) as started:
        yield started


@asynccontextmanager
async def others_unharmed(stage: Stage) -> AsyncIterator[Crowd]:
    """Bystanders around a fault; afterwards at most one client was closed, and as the table has it."""
    await stage.postgres.fetch(CREATE)
    guard = Guard(stage.proxy)
    async with crowd(stage.proxy, BUSY, CROWD) as bystanders:
        await wait_until(lambda: bystanders.answers > 6 * CROWD, what="the bystanders are at work")
        yield bystanders
        before = bystanders.answers
        await wait_until(lambda: bystanders.answers > before + 6 * CROWD, what="the bystanders go on")
    endings = bystanders.endings + stage.endings
    allowed = CASES[stage.point].ends
    assert len(endings) <= 1, endings
    assert all(ending in allowed for ending in endings), endings
    await guard.check()
    for database in (BUSY, SIDE, SESSION):
        await expect_own_answers(stage.proxy, database)
    await bystanders.check_ledger(stage.postgres)


POINTS = [name for name in CASES if name not in ENDS_THE_PROCESS]


@pytest.mark.parametrize("point", POINTS)
async def test_row_90_an_error_concerns_one_client(shared: Faulty, postgres: Postgres, point: str) -> None:
    stage = Stage(shared, postgres, point, "raise")
    async with others_unharmed(stage) as bystanders:
        await CASES[point].scenario(stage)
    assert shared.log.count(f"failpoint {point}: raise") == 1
    assert shared.log.count(f"failpoints.Injected: {point}") == 1, shared.log
    if ["XX000"] in bystanders.endings + stage.endings:
        assert "internal error (incident " in shared.log


@pytest.mark.parametrize("point", [name for name in POINTS if CASES[name].coroutine])
async def test_row_91_a_cancelled_task_concerns_one_client(shared: Faulty, postgres: Postgres, point: str) -> None:
    """As it would be by an end of the process or a limit of time; also before the first suspension behind the point."""
    stage = Stage(shared, postgres, point, "cancel")
    async with others_unharmed(stage):
        await CASES[point].scenario(stage)
    assert shared.log.count(f"failpoint {point}: cancel") == 1


async def test_nobody_notices_a_process_that_stops_for_a_moment(shared: Faulty, postgres: Postgres) -> None:
    """At every point, while clients and servers go on."""
    everywhere = ",".join(f"{name}=sleep" for name in POINTS)
    stage = Stage(shared, postgres, "before_rfq_relay", "sleep")
    async with others_unharmed(stage) as bystanders:
        shared.arm(everywhere)
        await wait_until(lambda: "release_enter: sleep" in shared.log, what="a point was passed")
    assert not bystanders.endings


async def test_a_drain_that_fails_at_its_beginning_can_be_ended(postgres: Postgres) -> None:
    async with faulty_proxy(postgres) as faulty:
        await CASES["drain_begin"].scenario(Stage(faulty, postgres, "drain_begin", "raise"))
