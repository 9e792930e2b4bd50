"""Commands; the golden cases have a line of each kind."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_command_that_nobody_knows_is_for_every_shard() -> None:
    assert planned("CREATE PUBLICATION p FOR ALL TABLES").verdict is Verdict.EVERY


def test_a_text_of_several_statements_is_one_plan() -> None:
    found = planned("BEGIN; INSERT INTO orders (customer_id) VALUES (5); SELECT 1; COMMIT")
    assert found.verdict is Verdict.ROUTED
    assert found.writes


def test_the_body_of_a_block_is_part_of_the_plan() -> None:
    assert planned("DO $$ BEGIN DELETE FROM logs; END $$").fixed == {3}
