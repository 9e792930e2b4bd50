"""Plans of writes over the shop of the golden cases."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing import Write, plan
from trunkline.routing.sql import parse_any


def request_of(sql: str) -> Request:
    ((kind, node),) = parse_any(sql.encode())
    route = make_plan(sql.encode(), CATALOG, SHARDING, ("public",))
    return Request(sql.encode(), kind, node, CATALOG, SHARDING, ("public",), route)


def planned(sql: str) -> Write | Refusal:
    return plan(request_of(sql))
