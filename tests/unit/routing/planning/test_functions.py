"""Calls of PostgreSQL's own functions."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_what_changes_from_call_to_call_is_volatile() -> None:
    assert planned("SELECT random()").volatile
    assert not planned("SELECT now()").volatile


def test_a_sequence_is_at_home_unless_a_table_says_where() -> None:
    assert planned("SELECT nextval('s')").verdict is Verdict.HOME
    assert planned("INSERT INTO orders (id, customer_id) VALUES (nextval('s'), 5)").verdict is Verdict.ROUTED
