"""Queries: depth and breadth have an end, and scopes nest."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_long_chain_of_unions_is_planned() -> None:
    found = planned(" UNION ALL ".join(["SELECT * FROM orders WHERE customer_id = 5"] * 100))
    assert found.verdict is Verdict.ROUTED
    assert len(found.occurrences) == 100


def test_ctes_that_double_at_each_step_are_refused() -> None:
    steps = ", ".join(f"x{n} AS (SELECT * FROM x{n - 1} UNION ALL SELECT * FROM x{n - 1})" for n in range(1, 20))
    found = planned(f"WITH x0 AS (SELECT * FROM orders), {steps} SELECT * FROM x19")
    assert found.refusal is not None and found.refusal.sqlstate == "54001"
