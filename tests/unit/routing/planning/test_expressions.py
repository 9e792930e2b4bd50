"""What expressions have in them besides conditions."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Equals, RoutePlan


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_literal_that_names_a_table_is_part_of_the_plan() -> None:
    assert planned("SELECT 'orders'::regclass, 'x'::text").fixed == {7}
    assert planned("SELECT nextval('s'), lower('x')").fixed == {15}


def test_ordinals_are_part_of_the_plan() -> None:
    assert planned("SELECT status, 3 FROM orders WHERE customer_id = 5 GROUP BY 1 ORDER BY 2").fixed == {60, 71}


def test_a_parameter_that_is_used_as_two_types_is_not_trusted() -> None:
    sure = planned("SELECT * FROM orders WHERE customer_id = $1 AND ($1 IS NULL OR id > $1)")
    unsure = planned("SELECT * FROM orders WHERE customer_id = $1 AND total > $1")
    assert isinstance(sure.where, Equals)
    assert not isinstance(unsure.where, Equals)
