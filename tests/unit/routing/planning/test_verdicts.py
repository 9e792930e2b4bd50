"""From facts to verdicts: what is literal stays out of a plan's words."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan, Verdict


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


def test_a_plans_words_have_no_literal_of_the_statement_it_was_made_of() -> None:
    found = planned("SELECT * FROM orders WHERE customer_id IN (4711, 4712)")
    words = [found.reason, found.hint, *(one.condition for one in found.occurrences)]
    assert found.unless_single is not None
    assert "4711" not in " ".join([*words, found.unless_single.reason, found.unless_single.hint])


def test_what_may_be_several_shards_says_why_it_would_be_refused() -> None:
    assert planned("SELECT * FROM orders WHERE customer_id = 1").unless_single is None
    for sql in ("SELECT * FROM orders", "ALTER TABLE orders ADD x int", "DELETE FROM countries"):
        found = planned(sql)
        assert found.unless_single is not None and found.unless_single.reason, sql


def test_a_limit_matters_only_over_several_shards() -> None:
    assert planned("SELECT * FROM orders WHERE customer_id = 1 LIMIT 5").fixed == frozenset()
    assert planned("SELECT * FROM orders LIMIT 5").fixed == {27}


def test_tables_come_in_the_order_of_their_appearance() -> None:
    found = planned("SELECT * FROM orders, countries, logs, orders o")
    assert found.tables == ("public.orders", "public.countries", "public.logs")
    assert found.verdict is Verdict.ROUTED


def test_schemas_on_different_shards_have_no_key_to_name() -> None:
    sharding = replace(SHARDING, schemas={"acme": 0, "zeta": 1})
    found = plan(b"SELECT * FROM acme.t, zeta.t z", CATALOG, sharding, ("public",)).unless_single
    assert found is not None
    assert found.hint == "Ask the schemas that are on different shards in statements of their own."
