"""The door to the parser: trees as dicts, and None for what has no tree."""

from __future__ import annotations

import pytest

from trunkline.routing.sql import (
    MAX_BYTES,
    MAX_NODES,
    SyntaxProblem,
    TooDeep,
    TooLarge,
    only,
    parse,
    parse_any,
    pieces,
    walk,
)


def test_statements_come_with_the_names_of_their_nodes() -> None:
    assert [name for name, _ in parse(b"SELECT 1; SET a = 1;") or ()] == ["SelectStmt", "VariableSetStmt"]
    assert parse(b"") == []


@pytest.mark.parametrize(
    "sql",
    [
        b"SELEC 1",
        b"SELECT '\xff'",
        b"SELECT " + b"x" * MAX_BYTES,
        b"SELECT " + b"(SELECT " * 8000 + b"1" + b")" * 8000,
        b"SELECT " + b"NOT " * 15000 + b"true",
    ],
    ids=["syntax", "encoding", "length", "depth", "depth of expressions"],
)
def test_what_cannot_be_parsed_has_no_tree(sql: bytes) -> None:
    assert parse(sql) is None


def test_a_walk_reaches_every_node() -> None:
    [(name, node)] = parse(b"SELECT f(g(1)) FROM (SELECT h(2)) AS x") or ()
    assert name == "SelectStmt"
    functions = [only(value["funcname"][-1])[1]["sval"] for key, value in walk(node) if key == "FuncCall"]
    assert sorted(functions) == ["f", "g", "h"]


def test_a_long_text_has_the_tree_of_a_short_one() -> None:
    short = b"SELECT 'a' || E'\\n\\u00e9', 1.5, NULL FROM t WHERE a = $1"
    assert parse_any(short + b" " * MAX_BYTES) == parse_any(short)
    with pytest.raises(TooDeep):
        parse_any(b"SELECT " + b"x" * MAX_BYTES + b" + 1" * 2000)


@pytest.mark.parametrize(
    ("text", "position"),
    [("SELEKT", 1), ("SELECT 'äö' FROM WHERE", 18), ("SELECT 1 +  ", 13), ("SELECT ü; SELEKT 2", 11), ("SELECT é'", 9)],
)
def test_what_does_not_parse_is_wrong_where_the_server_says(text: str, position: int) -> None:
    """As PostgreSQL counts: in characters."""
    with pytest.raises(SyntaxProblem) as raised:
        parse_any(text.encode())
    assert raised.value.position == position


def test_a_tree_has_its_limit() -> None:
    with pytest.raises(TooLarge):
        parse_any(b"SELECT " + b"1," * (MAX_NODES // 4) + b"1")


def test_a_text_is_taken_apart_with_the_comments_before_its_statements() -> None:
    assert pieces(b"/* here */ SELECT 1") == [b"/* here */ SELECT 1"]
    assert pieces(b"SELECT ';'; /* there */ SELECT 2; ") == [b"SELECT ';'", b" /* there */ SELECT 2"]
    assert pieces(b" ; ") == []
    assert pieces(b"SELEKT 1; SELECT 2") == [b"SELEKT 1; SELECT 2"]
