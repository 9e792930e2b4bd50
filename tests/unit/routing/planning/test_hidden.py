"""Functions that call functions: arguments are followed, and recursion ends."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_recursion_ends() -> None:
    assert planned("SELECT endless()").verdict is Verdict.ANYWHERE


def test_arguments_are_followed_and_leave_no_placeholder() -> None:
    found = planned("SELECT total_of(c.id), total_of(5), total_of(c.id + 1) FROM customers c WHERE c.id = $1")
    assert sorted(one.condition for one in found.occurrences) == [
        "customer_id = $1",
        "customer_id = ?",
        "every shard",
        "id = $1",
    ]
