"""Console texts as statements: quotes, comments, semicolons, and no text that takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.admin.grammar import split
from trunkline.errors import AdminSyntaxError


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("show pools", [("show", "pools")]),
        (" SHOW\tPOOLS ;", [("SHOW", "POOLS")]),
        ("begin; show version ;; commit", [("begin",), ("show", "version"), ("commit",)]),
        ('PAUSE "My ""db"""', [("PAUSE", 'My "db"')]),
        ("pause 'it''s'", [("pause", "it's")]),
        ('pause "a;b"; resume', [("pause", "a;b"), ("resume",)]),
        ("-- a note\nshow /* ; */ state -- end", [("show", "state")]),
        ("set x='on'", [("set", "x", "=", "on")]),
        ("select version()", [("select", "version", "(", ")")]),
        ("", []),
        (" ;; -- nothing", []),
    ],
)
def test_a_text_is_cut_into_statements_and_words(sql: str, words: list[tuple[str, ...]]) -> None:
    assert [statement.words for statement in split(sql)] == words


def test_a_statement_keeps_its_text() -> None:
    assert [statement.text for statement in split(" Show  Nonsense ; x")] == ["Show  Nonsense", "x"]


@pytest.mark.parametrize("sql", ['pause "open', "pause 'open", "show /* open", "/* " * 20_000, '"' * 20_001])
def test_what_is_left_open_is_an_error(sql: str) -> None:
    with pytest.raises(AdminSyntaxError, match="unterminated"):
        split(sql)


@given(st.text(alphabet="ab \"';-/*\n(),=", max_size=60))
def test_any_text_is_statements_or_an_error(sql: str) -> None:
    try:
        statements = split(sql)
    except AdminSyntaxError:
        return
    assert all(statement.words for statement in statements)
