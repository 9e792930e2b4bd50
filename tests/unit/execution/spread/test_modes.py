"""How a session's transactions over several shards are to be."""

from __future__ import annotations

import pytest

from trunkline.config.settings import DatabaseSettings
from trunkline.execution.spread.modes import CrossShardSnapshot, TransactionMode, check, modes_of
from trunkline.shard_errors import InvalidValue


def test_the_database_says_it_and_the_session_may_say_otherwise() -> None:
    settings = DatabaseSettings("shop", transaction_mode="single")
    assert modes_of(settings, {}).transaction is TransactionMode.SINGLE
    assert modes_of(settings, {}).snapshot is CrossShardSnapshot.CONSISTENT
    said = {b"trunkline.transaction_mode": b"TWO_PHASE", b"trunkline.cross_shard_snapshot": b"shard"}
    assert modes_of(settings, said).transaction is TransactionMode.TWO_PHASE
    assert modes_of(settings, said).snapshot is CrossShardSnapshot.SHARD


def test_a_value_that_there_is_not_is_refused() -> None:
    check("transaction_mode", "best_effort")
    check("transaction_mode", "")
    with pytest.raises(InvalidValue, match='"three"'):
        check("transaction_mode", "three")
