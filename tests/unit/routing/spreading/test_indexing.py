"""What a call asks for that makes or drops a global unique index, and why it cannot be so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from tests.unit.routing.spreading.asking import request, with_relations
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, Column, Relation
from trunkline.routing.spreading import indexing
from trunkline.routing.spreading.declaring import Given
from trunkline.routing.spreading.indexing import Indexing, wanted
from trunkline.routing.spreading.unique_index import UniqueIndex

CUSTOMERS = CATALOG.relations["public", "customers"]
VALUES = Relation(
    "trunkline", "unique_names", columns=(Column("name", "text"), Column("id", "int8")), keys=(("name",),)
)
INDEXED = with_relations(VALUES, replace(CUSTOMERS, unique_indexes=("names",)))


def planned(sql: str) -> Indexing | Refusal:
    asked = request(f"SELECT {sql}")
    assert indexing.concerns(asked)
    return indexing.plan(asked)


def asked(sql: str, catalog: Catalog = CATALOG, *given: str) -> UniqueIndex | Refusal:
    call = planned(sql)
    assert isinstance(call, Indexing), call
    return wanted(call, call.values(given), SHARDING, catalog)


def test_a_call_names_a_table_and_columns() -> None:
    call = planned("trunkline.create_unique_index('customers'::regclass, $1, 'name') AS x")
    assert isinstance(call, Indexing)
    assert (call.function, call.title, call.parameters) == ("create_unique_index", "x", 1)
    assert call.arguments == ("customers", Given(1), "name")
    for sql in ("create_unique_index('t')", "drop_unique_index()", "create_unique_index('t', column_name => 'a')"):
        found = planned(sql)
        assert isinstance(found, Refusal)
        assert found.sqlstate == "42883"


def test_it_is_called_as_postgresql_would_call_it() -> None:
    found = asked("create_unique_index($1, $2, 'name')", CATALOG, "customers", "Region")
    key = SHARDING.rule_of("public", "customers").columns
    assert found == UniqueIndex("customers_region_name_key", "public", "customers", ("region", "name"), key)
    other = asked("create_unique_index('customers', 'name')", with_relations(Relation("public", "customers_name_key")))
    assert isinstance(other, UniqueIndex)
    assert other.name == "customers_name_key1"


@pytest.mark.parametrize(
    ("sql", "catalog", "code"),
    [
        ("create_unique_index('nothing', 'a')", CATALOG, "42P01"),
        ("create_unique_index('customers', 'nothing')", CATALOG, "42703"),
        ("create_unique_index('customers', 'name', 'name')", CATALOG, "42701"),
        ("create_unique_index('customers', NULL)", CATALOG, "22004"),
        ("create_unique_index('countries', 'name')", CATALOG, "55000"),
        ("create_unique_index('logs', 'msg')", CATALOG, "55000"),
        ("create_unique_index('customers', 'name', 'id')", CATALOG, "55000"),
        ("create_unique_index('customers', 'name')", INDEXED, "42P07"),
        ("drop_unique_index('customers', 'name')", CATALOG, "42704"),
        ("drop_unique_index('customers', 'region')", INDEXED, "42704"),
    ],
)
def test_what_cannot_be_is_refused(sql: str, catalog: Catalog, code: str) -> None:
    found = asked(sql, catalog)
    assert isinstance(found, Refusal), found
    assert found.sqlstate == code


def test_one_that_is_there_is_found_by_its_columns() -> None:
    found = asked("drop_unique_index('customers', 'name')", INDEXED)
    assert isinstance(found, UniqueIndex)
    assert found.name == "names"


@pytest.mark.parametrize(
    "customers",
    [
        replace(CUSTOMERS, kind="p"),
        replace(CUSTOMERS, parent=("public", "orders")),
        replace(CUSTOMERS, rules=("CREATE RULE r AS ON DELETE TO customers DO INSTEAD NOTHING",)),
    ],
)
def test_tables_of_a_tree_and_with_rules_have_none(customers: Relation) -> None:
    found = asked("create_unique_index('customers', 'name')", with_relations(customers))
    assert isinstance(found, Refusal), found
    assert found.sqlstate == "0A000"
