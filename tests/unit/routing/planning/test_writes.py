"""Writes: what is written is marked, and a key stays what it is."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_what_is_written_is_marked() -> None:
    found = planned("UPDATE orders SET total = 1 FROM customers c WHERE c.id = orders.customer_id")
    assert [(one.table, one.writes) for one in found.occurrences] == [
        ("public.orders", True),
        ("public.customers", False),
    ]
    assert found.writes
    assert not planned("SELECT * FROM orders").writes


def test_equal_literals_for_a_key_are_part_of_the_plan() -> None:
    same = planned("UPDATE orders SET customer_id = 5 WHERE customer_id = 5")
    assert same.refusal is None and same.fixed == {32, 54}
    other = planned("UPDATE orders SET customer_id = 5 WHERE customer_id = 6")
    assert other.moves and not other.fixed
