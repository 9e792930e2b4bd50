"""FOR UPDATE and its like at each shard."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure


@pytest.mark.parametrize(
    ("sql", "asked"),
    [
        ("SELECT x FROM a FOR UPDATE", "SELECT x FROM a FOR UPDATE"),
        ("SELECT a.x FROM a, r FOR SHARE OF a NOWAIT", "SELECT a.x FROM a, r FOR SHARE OF a NOWAIT"),
        (
            "SELECT x FROM a ORDER BY x -- in order\nFOR NO KEY UPDATE SKIP LOCKED;",
            "SELECT x, x FROM a ORDER BY 2 ASC NULLS LAST FOR NO KEY UPDATE SKIP LOCKED",
        ),
    ],
)
def test_each_shard_locks_the_rows_that_it_gives(sql: str, asked: str) -> None:
    merge = plan_or_reason(request(sql))
    assert merge.sql.decode() == asked
    assert merge.locks


@pytest.mark.parametrize("sql", ["SELECT a.x FROM a, r FOR UPDATE OF r", "SELECT a.x FROM a FOR UPDATE OF nothing"])
def test_rows_that_every_shard_has_are_not_locked_at_one(sql: str) -> None:
    with pytest.raises(Unsure):
        plan_or_reason(request(sql))
