"""Random conversations, legal and illegal, are answered through Trunkline as PostgreSQL itself answers them."""

from __future__ import annotations

import pytest

from tests.fuzz.conversations import hold_random_conversations
from tests.fuzz.instrumented import is_sanitized
from tests.integration.postgres import Postgres

CONVERSATIONS = 1500
SEED = 11  # the same ones each time; `make fuzz` holds others


@pytest.mark.skipif(is_sanitized(), reason="PostgreSQL would be run under the sanitizer too")
@pytest.mark.timeout(600)
async def test_any_conversation_goes_as_it_does_with_postgresql_itself(postgres: Postgres) -> None:
    count = await hold_random_conversations(postgres, CONVERSATIONS, SEED)
    assert count.conversations >= CONVERSATIONS
    print(count)
