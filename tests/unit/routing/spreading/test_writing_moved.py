"""UPDATE of the key: what the shards are told, and what would notice that a row is taken out and put in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, ForeignKey
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing import Write, plan
from trunkline.routing.spreading.writing_moved import Moved
from trunkline.routing.sql import parse_any


@pytest.mark.parametrize(
    ("sql", "behind"),
    [
        ("UPDATE orders SET customer_id = 6 WHERE id = 1", ' RETURNING "orders"."tableoid", "orders"."ctid",'),
        ("UPDATE orders o SET customer_id = 6 RETURNING o.id ; ", ', "o"."tableoid", "o"."ctid", "o"."customer_id"'),
    ],
)
def test_the_update_says_where_its_rows_are(sql: str, behind: str) -> None:
    found = planned(sql)
    assert isinstance(found, Moved)
    said = b"".join(one for one in found.text if isinstance(one, bytes)).decode()
    assert said.startswith(sql.rstrip(" ;") + behind)


def over(sql: str, name: str, **changes: object) -> Write | Refusal:
    """A plan where one table is another."""
    relations = dict(CATALOG.relations)
    relations["public", name] = replace(relations["public", name], **changes)  # type: ignore[arg-type]
    catalog = Catalog(relations, CATALOG.functions)
    ((kind, node),) = parse_any(sql.encode())
    route = make_plan(sql.encode(), catalog, SHARDING, ("public",))
    return plan(Request(sql.encode(), kind, node, catalog, SHARDING, ("public",), route))


SQL = "UPDATE orders SET customer_id = 6 WHERE id = 1"


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        (SQL, {"policies": ("(id > 0)",)}),
        (SQL, {"foreign_keys": (ForeignKey(("customer_id",), ("public", "customers"), ("id",)),)}),
        (SQL.replace("= 6", "= 6, id = 2"), {"keys": (("customer_id", "id"),)}),
        (SQL.replace("= 6", "= customer_id + 1"), {"keys": (("customer_id", "id"),)}),
    ],
)
def test_what_one_postgresql_would_do_otherwise_is_refused(sql: str, changes: dict[str, object]) -> None:
    assert isinstance(over(sql, "orders", **changes), Refusal)


def test_nobody_may_refer_to_rows_that_are_moved() -> None:
    key = ForeignKey(("order_id",), ("public", "orders"), ("id",))
    assert isinstance(over(SQL, "items", foreign_keys=(key,)), Refusal)
    assert isinstance(over(SQL, "orders", foreign_keys=(replace(key, columns=("id",)),)), Refusal)
    unique = over(SQL, "orders", keys=(("customer_id", "id"),))
    assert isinstance(unique, Moved)
