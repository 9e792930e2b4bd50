"""Rows to a catalog, and the statements of bodies that PostgreSQL writes anew."""

import json

import pytest

from trunkline.routing.schema.catalog import Catalog, Column, Index, Relation
from trunkline.routing.schema.catalog_reader import build


def body_of(definition: str) -> str:
    row = ("function", "public", "f", "0", json.dumps([[], "f", "v", "sql", definition, False, 0, False]))
    return build([row]).functions["public", "f"][0].body


def test_no_rows_are_an_empty_catalog() -> None:
    assert build([], 3) == Catalog(version=3)


def test_what_a_relation_does_not_have_is_empty() -> None:
    columns = [["id", "int4", True, None, False, True, False, -1]]
    row = ("relation", "s", "t", "0", json.dumps(["r", columns, *[None] * 7, "p", [["t_pkey", "CREATE ...", False]]]))
    catalog, index = build([row]), Index("t_pkey", "CREATE ...", valid=False)
    wanted = Relation("s", "t", "r", (Column("id", "int4", not_null=True),), indexes=(index,))
    assert catalog.relations == {("s", "t"): wanted}
    assert catalog.find_index(None, "t_pkey", ("other", "s")) is catalog.relations["s", "t"]
    assert catalog.find_index("other", "t_pkey", ("s",)) is None


def test_what_came_in_parts_is_put_together() -> None:
    rest = json.dumps(["v", None, "SELECT 1", *[None] * 6, "p", None])
    rows = [("relation", "s", "t", "0", rest[:9]), ("relation", "s", "t", "1", rest[9:])]
    assert build([*rows, ("server", "version", "", "0", "150000")]) == Catalog(
        {("s", "t"): Relation("s", "t", "v", definition="SELECT 1")}, server={"version": "150000"}
    )


def test_overloads_are_kept_together() -> None:
    rows = [("function", "s", "f", "0", json.dumps([[one], "f", "i", "c", "", False, 0, False])) for one in ("a", "b")]
    assert [function.arguments for function in build(rows).functions["s", "f"]] == [("a",), ("b",)]


HEAD = "CREATE OR REPLACE FUNCTION public.f(p text DEFAULT 'x\nRETURN y')\n RETURNS integer\n LANGUAGE sql\n STABLE\n"


@pytest.mark.parametrize(
    ("definition", "statements"),
    [
        (HEAD.replace("\nRETURN y", "") + "RETURN (1 + 2)\n", "SELECT (1 + 2)\n"),
        (HEAD.replace("\nRETURN y", "") + "BEGIN ATOMIC\n SELECT 1;\n SELECT 2;\nEND\n", " SELECT 1;\n SELECT 2;\n"),
        ("SELECT 1", "SELECT 1"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW v AS SELECT 1"),
    ],
)
def test_a_parsed_body_is_its_statements(definition: str, statements: str) -> None:
    assert body_of(definition) == statements
