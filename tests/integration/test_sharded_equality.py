"""A database with two shards answers what one database with the same rows does; `make equality` asks it for longer."""

from __future__ import annotations

import os

from tests.integration.postgres import Postgres
from tests.integration.sharded_equality import compare

STATEMENTS = int(os.environ.get("TRUNKLINE_EQUAL_STATEMENTS", "3000"))
SEED = int(os.environ.get("TRUNKLINE_EQUAL_SEED", "1"))


async def test_what_is_not_refused_is_answered_as_by_one_database(postgres: Postgres) -> None:
    tally = await compare(postgres, STATEMENTS, SEED)
    assert tally.rows
    assert tally.refused < tally.statements / 3
    assert tally.failed.total() < tally.statements / 3
