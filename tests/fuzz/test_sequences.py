"""Random conversations, legal and illegal, are answered through Trunkline as PostgreSQL itself answers them."""

from __future__ import annotations

import os
import random

from tests.fuzz.explore import both_ways, explore
from tests.integration.postgres import Postgres

CONVERSATIONS = int(os.environ.get("TRUNKLINE_CONVERSATIONS", "1500"))
SEED = int(os.environ.get("TRUNKLINE_SEED", random.randrange(1 << 32)))


async def test_any_conversation_goes_as_it_does_with_postgresql_itself(postgres: Postgres) -> None:
    async with both_ways(postgres) as sides:
        print(f"TRUNKLINE_SEED={SEED}")  # shown when it fails
        explore(sides, CONVERSATIONS, SEED)
        print(sides.count)
