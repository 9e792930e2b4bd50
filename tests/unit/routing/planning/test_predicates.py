"""Which expressions are conditions; the golden cases have most of them."""

from __future__ import annotations

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Equals


@pytest.mark.parametrize("path", [("public", "pg_catalog"), ("other", "public", "pg_catalog")])
def test_an_operator_that_may_be_anybodys_says_nothing(path: tuple[str, ...]) -> None:
    bare = plan(b"SELECT * FROM orders WHERE customer_id = 5", CATALOG, SHARDING, path)
    named = plan(b"SELECT * FROM orders WHERE customer_id OPERATOR(pg_catalog.=) 5", CATALOG, SHARDING, path)
    assert not isinstance(bare.where, Equals)
    assert isinstance(named.where, Equals)
