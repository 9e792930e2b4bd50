"""FROM: what is joined to what."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_subquery_that_is_not_lateral_does_not_see_its_left() -> None:
    beside = planned("SELECT * FROM orders o, (SELECT * FROM items WHERE items.customer_id = o.customer_id) x")
    assert [one.condition for one in beside.occurrences] == ["every shard", "every shard"]


def test_every_occurrence_is_told() -> None:
    found = planned("SELECT * FROM orders a, orders b, logs WHERE a.customer_id = $1")
    assert [(one.table, one.alias, one.kind, one.condition) for one in found.occurrences] == [
        ("public.orders", "a", "sharded", "customer_id = $1"),
        ("public.orders", "b", "sharded", "every shard"),
        ("public.logs", "logs", "home", "on s0"),
    ]
