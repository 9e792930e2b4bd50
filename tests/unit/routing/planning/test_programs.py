"""The statements in a body, or that it hides them."""

from __future__ import annotations

import pytest

from trunkline.routing.planning.programs import Unseen, definition, statements_of


def kinds(language: str, body: str) -> list[str]:
    return [kind for _, kind, _ in statements_of(language, body)]


def test_sql_bodies_of_all_forms_are_read() -> None:
    assert kinds("sql", "SELECT 1; DELETE FROM t") == ["SelectStmt", "DeleteStmt"]
    assert kinds("sql", "BEGIN ATOMIC\n SELECT 1;\nEND") == ["SelectStmt"]
    assert kinds("sql", "RETURN 1 + 2") == ["SelectStmt"]


def test_plpgsql_is_read_to_its_expressions() -> None:
    body = "DECLARE n int := 1; BEGIN n := (SELECT 2); IF n > 1 THEN DELETE FROM t; END IF; PERFORM f(n); END"
    assert sorted(kinds("plpgsql", body)) == ["DeleteStmt", "SelectStmt", "SelectStmt", "SelectStmt", "SelectStmt"]
    assert "SelectStmt" in kinds("plpgsql", "BEGIN RETURN QUERY SELECT 1; END")
    assert kinds("plpgsql", "BEGIN RETURN NEW; END") in ([], ["SelectStmt"])


@pytest.mark.parametrize(
    ("language", "body"),
    [
        ("plpgsql", "BEGIN EXECUTE 'SELECT 1'; END"),
        ("plpgsql", "DECLARE r record; BEGIN FOR r IN EXECUTE 'x' LOOP NULL; END LOOP; END"),
        ("plpgsql", "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'x'; END"),
        ("plpgsql", "BEGIN RETURN QUERY EXECUTE 'x'; END"),
        ("plpgsql", "BEGIN not plpgsql"),
        ("sql", "SELEC 1"),
        ("plpython3u", "return 1"),
    ],
)
def test_what_cannot_be_seen_is_unseen(language: str, body: str) -> None:
    with pytest.raises(Unseen):
        statements_of(language, body)


def test_a_definition_is_one_statement() -> None:
    found = definition("SELECT 1;")
    assert found is not None and found[0] == "SelectStmt"
    assert definition("SELEC") is None
