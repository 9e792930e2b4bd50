"""Random statements over random schemas: what one PostgreSQL says, several shards say too, or they refuse it.

`make lab` asks many more (tests.differential.spread). What was once wrong has a test of its own in test_spread_found.
"""

from __future__ import annotations

import os

import pytest

from tests.differential.spread.running import run
from tests.integration.postgres import FLAVOURS, Farm

STATEMENTS = int(os.environ.get("TRUNKLINE_SPREAD_STATEMENTS", "5000"))
SEED = int(os.environ.get("TRUNKLINE_SPREAD_SEED", "1"))


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(600)
async def test_several_shards_answer_as_one_postgresql_or_refuse(farm: Farm) -> None:
    servers = [await farm.get(name) for name, find in FLAVOURS.items() if next(find(), None) is not None]
    tally = await run(servers, SEED, STATEMENTS, (1, 2, 3, 4), known=1)
    assert not tally.findings, "\n".join(map(str, tally.findings))
    assert tally.rows
    assert tally.refused.total() < tally.statements / 10
    assert tally.failed.total() < tally.statements / 4
