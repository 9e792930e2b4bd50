"""EXPLAIN (ROUTE) names the way in which a statement over several shards is answered."""

from __future__ import annotations

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.explaining import way_of


def way(sql: str) -> str:
    said = sql.encode()
    found = way_of(said, plan(said, CATALOG, SHARDING, ("public",)), CATALOG, SHARDING, ("public",))
    return found.reason if isinstance(found, Refusal) else found or ""


def test_rows_that_stay_as_they_are_are_concatenated() -> None:
    assert way("SELECT id FROM orders").startswith("concatenated")


def test_an_order_and_equal_rows_are_merged() -> None:
    assert way("SELECT id FROM orders ORDER BY id") == "merged; each shard is asked for its rows in order"
    assert "of equal ones the first" in way("SELECT DISTINCT id FROM orders")


def test_what_is_gathered_is_named() -> None:
    said = way("SELECT o.id FROM orders o JOIN orders p ON o.total = p.id")
    assert said.startswith("gathered; what is needed of public.orders is copied")


def test_what_runs_in_no_transaction_does_not_claim_to_commit_at_all_shards() -> None:
    assert way("VACUUM orders").startswith("done by each shard for itself, in no transaction")
    assert way("CREATE INDEX ON orders (id)").startswith("written")


def test_why_there_is_no_way_is_said() -> None:
    assert "ctid" in way("SELECT ctid FROM orders")


def test_several_statements_have_no_way_of_their_own() -> None:
    assert way("SELECT 1; SELECT id FROM orders") == ""
    assert way("SELEC") == ""
