"""A crash at every delicate instant: clients see the end of their connections, and nothing half-done is acknowledged.

Row 67 of the catalogue of faults, with the instant chosen by us. PostgreSQL rolls back what was open and ends its
sessions; a Trunkline that is started again serves at once, and is the next test's victim.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest
import pytest_asyncio

from tests.faults.bystanders import CREATE, crowd
from tests.faults.failpoint_build import Faulty
from tests.faults.failpoint_cases import BUSY, CASES, SIDE, Stage, faulty_proxy
from tests.faults.guard import expect_own_answers
from tests.faults.held import held
from tests.integration.postgres import Farm, Postgres, flavours_to_run
from tests.integration.waiting import wait_until
from trunkline.failpoints import CRASH_EXIT_CODE

pytestmark = pytest.mark.timeout(300)  # whoever comes first builds


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mortal(farm: Farm) -> AsyncIterator[Faulty]:
    async with faulty_proxy(await farm.get(flavours_to_run(every_postgres=False)[0])) as started:
        yield started


@pytest.mark.parametrize("point", CASES)
async def test_row_67_a_crash_leaves_nothing_half_done(mortal: Faulty, postgres: Postgres, point: str) -> None:
    await postgres.fetch(CREATE)
    stage = Stage(mortal, postgres, point, "crash")
    others = await postgres.server_connections() - held(stage.proxy.pid, stage.proxy.port).servers
    async with crowd(stage.proxy, BUSY, 3) as bystanders:
        await wait_until(lambda: bystanders.answers > 6, what="the bystanders are at work")
        scenario = asyncio.ensure_future(CASES[point].scenario(stage))
        assert await stage.proxy.wait() == CRASH_EXIT_CODE
        with suppress(AssertionError, OSError, EOFError, IndexError, RuntimeError, psycopg.Error):
            await scenario  # what it asserts is of a process that lives
    assert all(ending == [] for ending in bystanders.endings), bystanders.endings
    await wait_until(lambda: has_only(postgres, others), what="PostgreSQL has ended the sessions of the dead")
    await bystanders.check_ledger(postgres)
    mortal.arm("")
    await stage.proxy.start()
    await expect_own_answers(stage.proxy, BUSY)
    await expect_own_answers(stage.proxy, SIDE)


async def has_only(postgres: Postgres, others: int) -> bool:
    """No session is left but those of other proxies."""
    return await postgres.server_connections() <= others
