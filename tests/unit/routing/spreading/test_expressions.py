"""What each shard may compute for its own rows."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure

LET_THROUGH = [
    "abs(x) + 1", "CASE WHEN x > 1 THEN 'a' ELSE t END", "coalesce(x, $1)", "x::numeric(10, 2)", "t || 'b'",
    "ARRAY[x, 1]", "x BETWEEN 1 AND 2", "t LIKE 'a%'", "x IS NULL", "(x, k) = (1, 2)", "greatest(x, 1)",
    "current_user", "a.x", "nullif(x, 1)", "t COLLATE \"C\"", "'nowhere'",
]  # fmt: skip
NOT_LET_THROUGH = [
    "now()", "own(x)", "nobody(x)", "generate_series(1, x)", "current_timestamp", "'today'::date", "'a'::regclass",
    "x::regrole", "ctid", "a.xmin", "a", "nothing", "b.x", "localtime", "' Now '",
]  # fmt: skip


@pytest.mark.parametrize("text", LET_THROUGH)
def test_what_is_the_same_on_every_shard_is_let_through(text: str) -> None:
    plan_or_reason(request(f"SELECT {text} FROM a"))


@pytest.mark.parametrize("text", NOT_LET_THROUGH)
def test_what_may_differ_is_not(text: str) -> None:
    for sql in (f"SELECT {text} FROM a", f"SELECT x FROM a WHERE {text} IS NULL", f"SELECT x FROM a ORDER BY {text}"):
        with pytest.raises(Unsure):
            plan_or_reason(request(sql))
