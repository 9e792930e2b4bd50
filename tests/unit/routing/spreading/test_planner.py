"""Which program a statement over several shards has."""

from __future__ import annotations

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import Refusal, RoutePlan, Verdict
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.spreading.planner import program_of
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import parse_any


def test_what_has_no_program_is_refused_as_its_plan_says() -> None:
    refusal = Refusal("It is too odd.")
    sql = b"LISTEN here"
    [(kind, node)] = parse_any(sql)
    plan = RoutePlan(Verdict.EVERY, unless_single=refusal)
    assert program_of(Request(sql, kind, node, Catalog(), Sharding(("s0", "s1")), ("public",), plan)) is refusal
