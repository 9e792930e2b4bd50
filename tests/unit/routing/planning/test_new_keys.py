"""Keys that an UPDATE sets: what it concerns then, and where that cannot be."""

from __future__ import annotations

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import AnyOf, Equals, Fixed, RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_both_shards_are_concerned() -> None:
    found = planned("UPDATE orders SET customer_id = $2 WHERE customer_id = $1")
    assert found.moves and isinstance(found.where, AnyOf)
    assert all(isinstance(one, Equals) for one in found.where.parts)


@pytest.mark.parametrize("value", ["customer_id + 1", "DEFAULT", "NULL", "(SELECT 1)"])
def test_a_key_that_is_not_known_may_be_anywhere(value: str) -> None:
    found = planned(f"UPDATE orders SET customer_id = {value} WHERE customer_id = 5")
    assert found.moves and isinstance(found.where, AnyOf)
    assert Fixed(SHARDING.every) in found.where.parts


@pytest.mark.parametrize("sql", ["customer_id = 5 WHERE customer_id = 5", "customer_id = customer_id", "total = 1"])
def test_a_key_that_stays_what_it_is_moves_nothing(sql: str) -> None:
    assert not planned(f"UPDATE orders SET {sql}").moves


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE big_orders SET customer_id = 6 WHERE customer_id = 5",
        "WITH w AS (UPDATE orders SET customer_id = 6 WHERE customer_id = 5) SELECT 1",
        "MERGE INTO orders o USING countries c ON c.code = o.status WHEN MATCHED THEN UPDATE SET customer_id = 6",
        "INSERT INTO orders (customer_id) VALUES (5) ON CONFLICT (id, customer_id) DO UPDATE SET customer_id = 6",
    ],
)
def test_elsewhere_it_is_refused(sql: str) -> None:
    assert planned(sql).verdict is Verdict.REFUSED
