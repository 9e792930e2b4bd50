"""Names are looked up along a search_path, as PostgreSQL looks them up."""

from __future__ import annotations

from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation

FIRST, SECOND = Relation("a", "t", columns=(Column("id", "int8"),)), Relation("b", "t")
SYSTEM = Relation("pg_catalog", "pg_class")
OWN = Relation("a", "pg_class")
CATALOG = Catalog(
    {(one.schema, one.name): one for one in (FIRST, SECOND, SYSTEM, OWN)},
    {("a", "f"): (Function("a", "f"),), ("b", "f"): (Function("b", "f", ("int4",)),)},
)


def test_the_first_schema_of_the_path_that_has_it_wins() -> None:
    assert CATALOG.find_relation(None, "t", ("b", "a")) is SECOND
    assert CATALOG.find_relation("a", "t", ("b",)) is FIRST
    assert CATALOG.find_relation(None, "t", ("public",)) is None


def test_pg_catalog_comes_first_unless_the_path_says_where_it_stands() -> None:
    assert CATALOG.find_relation(None, "pg_class", ("a",)) is SYSTEM
    assert CATALOG.find_relation(None, "pg_class", ("a", "pg_catalog")) is OWN


def test_functions_of_one_name_are_found_in_all_schemas_of_the_path() -> None:
    assert [one.schema for one in CATALOG.find_functions(None, "f", ("b", "a"))] == ["b", "a"]


def test_a_column_is_found_by_its_name() -> None:
    assert FIRST.column("id") == Column("id", "int8")
    assert FIRST.column("none") is None
