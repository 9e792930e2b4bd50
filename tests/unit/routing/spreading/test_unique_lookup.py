"""Which statements name the one value of a global unique index, and what home is asked about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from tests.unit.routing.spreading.asking import with_relations
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.call import Call
from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation, Trigger
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.unique_lookup import UniqueLookup, lookup_of
from trunkline.routing.sql import parse_any

NAMES = Relation("trunkline", "unique_names", columns=(Column("name", "text"), Column("id", "int8")), keys=(("name",),))
CUSTOMERS = replace(CATALOG.relations["public", "customers"], unique_indexes=("names",))
ANSWERS = {("trunkline", "unique_names"): (Function("trunkline", "unique_names", ("json",)),)}
INDEXED = replace(with_relations(NAMES, CUSTOMERS), functions={**CATALOG.functions, **ANSWERS})


def lookup(sql: str, catalog: Catalog = INDEXED, sharding: Sharding = SHARDING) -> UniqueLookup | None:
    kind, node = parse_any(sql.encode())[0]
    made = plan(sql.encode(), catalog, sharding, ("public",))
    return lookup_of(Request(sql.encode(), kind, node, catalog, sharding, ("public",), made), standard=True)


def question(sql: str) -> str | None:
    found = lookup(sql)
    return found.question(Call(sql.encode())) if found is not None else None


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT * FROM customers WHERE name = 'x'", '["x"]'),
        ("SELECT count(*) FROM customers c WHERE c.name = 'it''s' AND region IS NULL", "[\"it''s\"]"),
        ("SELECT 1 FROM customers WHERE name = 'a' AND name = 'a'", '["a"]'),
        ("SELECT 1 FROM customers WHERE (name = 'a' AND region = 'x') OR (name = 'a' AND region = 'y')", '["a"]'),
        ("UPDATE customers SET region = 'a' WHERE name = 'x'", '["x"]'),
        ("DELETE FROM customers WHERE name IN ('x')", '["x"]'),
    ],
)
def test_home_is_asked_about_one_value(sql: str, wanted: str) -> None:
    assert question(sql) == f"""SELECT "trunkline"."unique_names"('{wanted}'::pg_catalog.json)"""


def test_nothing_is_equal_to_null() -> None:
    assert question("SELECT * FROM customers WHERE name = NULL") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM customers WHERE name = 'x' OR region = 'a'",
        "SELECT * FROM customers WHERE NOT name = 'x'",
        "SELECT * FROM customers WHERE name > 'x'",
        "SELECT * FROM customers WHERE name IS NULL",
        "SELECT * FROM customers WHERE name IN ('x', 'y')",
        "SELECT * FROM customers WHERE lower(name) = 'x'",
        "SELECT * FROM customers c LEFT JOIN customers d ON d.name = 'x'",
        "SELECT * FROM customers, orders WHERE name = 'x'",
        "SELECT * FROM orders WHERE status = 'x'",
        "INSERT INTO customers VALUES (1, 'x')",
        "UPDATE customers SET name = 'y' WHERE name = 'x'",
    ],
)
def test_all_shards_are_asked_for_anything_else(sql: str) -> None:
    assert question(sql) is None


def test_not_where_it_gains_nothing_or_cannot_be_answered() -> None:
    sql = "SELECT * FROM customers WHERE name = 'x'"
    assert lookup(sql) is not None
    assert lookup(sql, sharding=replace(SHARDING, shards=SHARDING.shards[:2])) is None
    assert lookup(sql, replace(INDEXED, functions=CATALOG.functions)) is None
    assert lookup(sql, replace(INDEXED, relations=CATALOG.relations)) is None
    uncertain = tuple(replace(one, deterministic=one.name != "name") for one in CUSTOMERS.columns)
    changed = {**INDEXED.relations, ("public", "customers"): replace(CUSTOMERS, columns=uncertain)}
    assert lookup(sql, replace(INDEXED, relations=changed)) is None


def test_the_answer_says_the_shard() -> None:
    found = lookup("SELECT * FROM customers WHERE name = 'x'")
    assert found is not None
    rule = SHARDING.rule_of("public", "customers")
    assert rule.function is not None
    for key in (1, 2, 3, 4, 5):
        assert found.mask_of([(b'["x", "%d"]' % key,)]) == rule.function.shards_of((key,))
    assert found.mask_of([]) == 0
    assert found.mask_of([(None,)]) is None
    assert found.mask_of([(b'["x", null]',)]) is None


def test_a_write_that_code_hangs_on_is_not_tried_at_one_shard() -> None:
    """What has found no row might have done something all the same."""
    for sql in ("UPDATE customers SET region = 'a' WHERE name = 'x'", "DELETE FROM customers WHERE name = 'x'"):
        found = lookup(sql)
        assert found is not None
        assert found.alone
        triggers = replace(CUSTOMERS, triggers=(Trigger("t", ("public", "f")),))
        with_code = {**INDEXED.relations, ("public", "customers"): triggers}
        found = lookup(sql, replace(INDEXED, relations=with_code))
        assert found is not None
        assert not found.alone
    found = lookup("WITH x AS (SELECT 1) DELETE FROM customers WHERE name = 'x'")
    assert found is not None
    assert not found.alone
