"""Which statements the home shard has to hear of, for a table with a global unique index."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from tests.unit.routing.spreading.asking import with_relations
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Verdict
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Relation, Trigger

NAMES = Relation("trunkline", "unique_names", columns=(Column("name", "text"), Column("id", "int8")), keys=(("name",),))
CUSTOMERS = replace(CATALOG.relations["public", "customers"], unique_indexes=("names",))
INDEXED = with_relations(NAMES, CUSTOMERS)


def keeps(sql: str, catalog: Catalog = INDEXED) -> bool:
    return plan(sql.encode(), catalog, SHARDING, ("public",)).keeps is not None


@pytest.mark.parametrize(
    ("sql", "heard"),
    [
        ("INSERT INTO customers VALUES (1, 'x')", True),
        ("DELETE FROM customers WHERE id = 1", True),
        ("UPDATE customers SET name = 'y' WHERE id = 1", True),
        ("UPDATE customers SET (region, name) = ('a', 'b') WHERE id = 1", True),
        ("UPDATE customers SET id = 2 WHERE id = 1", True),
        ("UPDATE customers SET region = 'a' WHERE id = 1", False),
        ("SELECT * FROM customers WHERE id = 1 FOR UPDATE", False),
        ("INSERT INTO orders (id, customer_id) VALUES (1, 1)", False),
        ("WITH x AS (DELETE FROM customers WHERE id = 1 RETURNING id) SELECT FROM x", True),
        ("MERGE INTO customers c USING (SELECT 1::int8 AS id) s ON c.id = s.id WHEN MATCHED THEN DELETE", True),
        ("COPY customers FROM STDIN", True),
        ("COPY customers TO STDOUT", False),
        ("TRUNCATE customers", True),
        ("EXPLAIN DELETE FROM customers WHERE id = 1", False),
        ("EXPLAIN (ANALYZE) DELETE FROM customers WHERE id = 1", True),
    ],
)
def test_what_may_change_a_value_is_heard_of(sql: str, heard: bool) -> None:
    assert keeps(sql) is heard
    assert not keeps(sql, CATALOG)


def test_code_behind_an_update_may_change_a_value() -> None:
    changed = replace(CUSTOMERS, triggers=(Trigger("t", ("public", "f")),))
    sql = "UPDATE customers SET region = 'a' WHERE id = 1"
    assert keeps(sql, with_relations(NAMES, changed))
    names = tuple(replace(one, generated=one.name == "name") for one in CUSTOMERS.columns)
    assert keeps(
        "UPDATE customers SET region = 'a' WHERE id = 1", with_relations(NAMES, replace(CUSTOMERS, columns=names))
    )
    assert keeps("UPDATE customers SET region = 'a' WHERE id = 1", with_relations(CUSTOMERS))


def test_rows_go_with_those_that_they_reference() -> None:
    reference = ForeignKey(("id",), ("public", "orders"), ("customer_id",))
    catalog = with_relations(NAMES, replace(CUSTOMERS, foreign_keys=(reference,)))
    assert keeps("DELETE FROM orders WHERE customer_id = 1", catalog)
    assert keeps("UPDATE orders SET customer_id = customer_id WHERE customer_id = 1", catalog)
    assert not keeps("UPDATE orders SET status = 'x' WHERE customer_id = 1", catalog)
    assert not keeps("INSERT INTO orders (id, customer_id) VALUES (1, 1)", catalog)


@pytest.mark.parametrize(
    ("clause", "refused"),
    [("", True), ("(name)", True), ("ON CONSTRAINT names", True), ("(id)", False), ("(id, region)", False)],
)
def test_it_is_no_arbiter(clause: str, refused: bool) -> None:
    found = plan(
        f"INSERT INTO customers VALUES (1) ON CONFLICT {clause} DO NOTHING".encode(), INDEXED, SHARDING, ("public",)
    )
    assert (found.verdict is Verdict.REFUSED) is refused
    if refused:
        assert found.refusal is not None
        assert found.refusal.sqlstate == "55000"
