"""A write over several shards, read once more."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.routing.golden_shop import CATALOG
from tests.unit.routing.spreading.planned_writes import request_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, Trigger
from trunkline.routing.spreading.writing_reading import Written, read, walk_with_views


def test_the_table_that_is_written_is_told_from_those_that_are_read() -> None:
    found = read(request_of("DELETE FROM orders o USING customers c WHERE c.id = o.customer_id"))
    assert isinstance(found, Written)
    assert (found.found.name, found.use.alias, [use.alias for use in found.others]) == ("orders", "o", ["c"])


def test_what_runs_once_for_a_statement_does_not_run_on_each_shard() -> None:
    customers = CATALOG.relations["public", "customers"]
    for per_statement in (True, False):
        trigger = Trigger("t", ("public", "double"), per_statement)
        relations = {**CATALOG.relations, ("public", "customers"): replace(customers, triggers=(trigger,))}
        request = replace(
            request_of("DELETE FROM customers WHERE name = 'x'"), catalog=Catalog(relations, CATALOG.functions)
        )
        assert isinstance(read(request), Refusal) == per_statement


def test_two_tables_are_not_written_at_once() -> None:
    found = read(request_of("WITH d AS (DELETE FROM orders RETURNING *) DELETE FROM items"))
    assert isinstance(found, Refusal)


def test_views_are_walked_too() -> None:
    found = read(request_of("DELETE FROM orders USING latest l WHERE l.customer_id = orders.customer_id"))
    assert isinstance(found, Written)
    assert "limitCount" in [name for name, _ in walk_with_views(found)]
