"""The catalog of the console: what is in it fits together, and fits what SHOW shows."""

from __future__ import annotations

import pytest

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.catalog import TYPES, find, name_of, oid_of, relations, rows_of, shown_relations


def column(schema: str, relation: str, name: str) -> list[object]:
    command = find(schema, relation)
    assert command is not None and command.columns is not None
    at = [known for known, _ in command.columns].index(name)
    return [row[at] for row in rows_of(schema, relation, "trunkline")]


def test_every_relation_and_every_column_is_listed() -> None:
    shown = {command.words[1].lower() for command in shown_relations()}
    assert shown <= set(column("pg_catalog", "pg_class", "relname")) and len(shown) > 30
    assert len(column("pg_catalog", "pg_attribute", "attname")) == sum(len(one.columns) for one in relations())
    assert set(column("pg_catalog", "pg_attribute", "atttypid")) <= set(column("pg_catalog", "pg_type", "oid"))
    assert set(column("information_schema", "columns", "table_catalog")) == {"trunkline"}


def test_no_two_relations_have_one_oid() -> None:
    assert len({one.oid for one in relations()}) == len(relations())


def test_a_name_without_a_schema_is_the_catalogs_first_and_never_the_standards() -> None:
    assert find(None, "pg_class") is not None and find(None, "pools") is find("public", "pools")
    tables = find(None, "tables")
    assert tables is not None and tables.words == ("SHOW", "TABLES")
    assert find("information_schema", "pools") is None and find(None, "columns") is None and find("x", "pools") is None


@pytest.mark.parametrize(
    ("kind", "name", "shown"),
    [("regclass", "pg_class", "pg_class"), ("regclass", "public.pools", "pools"), ("regtype", "int4", "integer"),
     ("regtype", "text[]", "text[]"), ("regproc", "array_in", "array_in"), ("regtype", "25", "text")],
)  # fmt: skip
def test_a_name_has_an_oid_and_an_oid_a_name(kind: str, name: str, shown: str) -> None:
    oid = oid_of(kind, name)
    assert oid is not None and name_of(kind, oid) == shown
    assert oid_of(kind, "nothing") is None and name_of(kind, 4_000_000_000) == "4000000000"


def test_arrays_and_their_elements_name_each_other() -> None:
    for oid, one in TYPES.items():
        if one.array:
            assert TYPES[one.array].element == oid
