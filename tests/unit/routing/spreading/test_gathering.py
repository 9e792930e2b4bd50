"""What is gathered for a statement: tables, views, keys, and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import gathered, refused, table, with_relations
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.schema.catalog import Column, Relation

ORDERS = ("public", "orders")
KEYED = Relation(
    "public",
    "orders",
    columns=(Column("id", "int8", True), Column("customer_id", "int8", True), Column("status", "text")),
    keys=(("customer_id", "id"),),
)


def test_each_table_is_gathered_once_with_all_its_occurrences() -> None:
    sql = "SELECT 1 FROM orders a JOIN orders b ON a.total = b.total JOIN logs ON true, countries"
    found = {one.relation.name: one for one in gathered(sql).tables}
    assert {name: one.kind for name, one in found.items()} == {
        "orders": Kind.SHARDED, "logs": Kind.HOME, "countries": Kind.REFERENCE,
    }  # fmt: skip
    assert len(found["orders"].places) == 2


def test_a_view_is_gathered_by_what_it_is_made_of() -> None:
    found = gathered("SELECT name FROM order_names")
    assert {one.relation.name: one.behind_view for one in found.tables} == {"orders": True, "customers": True}
    shadowed = found.shadowed([ORDERS])
    assert shadowed == {ORDERS, ("public", "order_names")}
    assert found.statement(shadowed) == b"SELECT name FROM pg_temp.order_names"
    assert found.views(shadowed) == [
        b'CREATE TEMPORARY VIEW "pg_temp"."order_names" ("order_id", "customer", "name") AS SELECT o.id AS order_id,'
        b" c.id AS customer, c.name FROM pg_temp.orders o JOIN customers c ON c.id = o.customer_id;"
    ]


def test_a_view_over_nothing_that_is_copied_stays_what_it_is() -> None:
    found = gathered("SELECT 1 FROM log_view, orders")
    assert found.views(found.shadowed([ORDERS])) == []


def test_the_primary_key_is_declared_where_the_statement_groups_by_it() -> None:
    catalog = with_relations(KEYED)
    by_key = "SELECT customer_id, id, status FROM orders GROUP BY customer_id, id"
    assert gathered(by_key, catalog).tables[0].grouped
    assert gathered("SELECT customer_id, id, status FROM orders GROUP BY 1, 2", catalog).tables[0].grouped
    assert not gathered("SELECT id, customer_id FROM orders GROUP BY id, customer_id + 0", KEYED_LESS).tables[0].grouped


KEYED_LESS = with_relations(Relation("public", "orders", columns=KEYED.columns))


def test_only_reads_without_the_children() -> None:
    assert table("SELECT count(*) FROM ONLY readings", "readings").source == 'ONLY "public"."readings"'


@pytest.mark.parametrize(
    "sql, reason",
    [
        ("SELECT * FROM orders FOR UPDATE", "locks rows"),
        ("SELECT * INTO t FROM orders", "SELECT INTO"),
        ("SELECT ctid FROM orders", "system column ctid"),
        ("SELECT * FROM orders TABLESAMPLE system (10)", "TABLESAMPLE"),
        ("WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x", "writes in WITH"),
        ("SELECT nextval('s') FROM orders", "nextval()"),
        ("SELECT pg_advisory_xact_lock(id) FROM orders", "what there is one of"),
        ("SELECT set_config('a.b', '1', false) FROM orders", "what there is one of"),
        ("SELECT 'orders'::regclass FROM orders", "regclass"),
        ("SELECT NULL::orders FROM orders", "as a type"),
        ("SELECT 1 FROM orders, sales.orders x", "one name"),
        ("SELECT 1 FROM readings a, ONLY readings b", "with ONLY and without"),
        ("SELECT 1 FROM orders, pg_class", "each shard has its own"),
        ("SELECT 1 FROM orders, nowhere", "Nothing is known"),
        ("SELECT * FROM private", "policy of public.private"),
    ],
)
def test_what_would_mean_something_else_over_copies_is_refused(sql: str, reason: str) -> None:
    assert reason in refused(sql)


def test_what_is_no_query_is_not_gathered() -> None:
    assert refused("UPDATE orders SET total = 1")


def test_operators_that_may_be_somebody_elses_are_not_relied_on() -> None:
    from tests.unit.routing.spreading.asking import request
    from trunkline.routing.plans.plan import Refusal
    from trunkline.routing.spreading import gathering

    found = gathering.plan(request("SELECT 1 FROM orders", path=("public", "pg_catalog")))
    assert isinstance(found, Refusal) and "search_path" in found.reason
