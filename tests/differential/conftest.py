"""The stage of the differential tests: one for each test process, and one event loop for all that stands on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.differential.stage import Stage, set_up
from tests.integration.conftest import farm, workspace
from tests.integration.postgres import Farm, flavours_to_run

__all__ = ["farm", "workspace"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(farm: Farm) -> AsyncIterator[Stage]:
    async with set_up(await farm.get(flavours_to_run(every_postgres=False)[0])) as made:
        yield made
