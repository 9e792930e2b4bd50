"""How a session's transactions over several shards are to be."""

from __future__ import annotations

from trunkline.config.settings import DatabaseSettings
from trunkline.execution.spread.modes import CrossShardSnapshot, TransactionMode, modes_of, wrong_mode


def test_the_database_says_it_and_the_session_may_say_otherwise() -> None:
    settings = DatabaseSettings("shop", transaction_mode="single")
    assert modes_of(settings, {}).transaction is TransactionMode.SINGLE
    assert modes_of(settings, {}).snapshot is CrossShardSnapshot.CONSISTENT
    said = {b"trunkline.transaction_mode": b"TWO_PHASE", b"trunkline.cross_shard_snapshot": b"shard"}
    assert modes_of(settings, said).transaction is TransactionMode.TWO_PHASE
    assert modes_of(settings, said).snapshot is CrossShardSnapshot.SHARD


def test_a_value_that_there_is_not_is_refused() -> None:
    for name, value in ((b"trunkline.transaction_mode", b"best_effort"), (b"trunkline.transaction_mode", b"")):
        assert wrong_mode(name, value) is None
    assert wrong_mode(b"trunkline.shard", b"anything") is None
    error = wrong_mode(b"trunkline.cross_shard_snapshot", b"mine")
    assert error is not None
    assert error.message == 'invalid value for parameter "trunkline.cross_shard_snapshot": "mine"'
    assert error.hint == "Available values: consistent, shard."
