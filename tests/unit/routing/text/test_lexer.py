"""PostgreSQL's tokens end where PostgreSQL's end, and a glance overlooks nothing that a parser would see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.session.session_effects import NOTHING, effects_of
from trunkline.routing.sql import parse
from trunkline.routing.text.lexer import DOUBTFUL_WORDS, FIRST_WORDS, Vocabulary, sight

PLAIN = Vocabulary()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"SELECT 1", ""),
        (b"", ""),
        (b" -- nothing\n", ""),
        (b"(SELECT 1)", ""),
        (b"select abalance from pgbench_accounts where aid = 12345;", ""),
        (b"INSERT INTO t VALUES (1)", "writes"),
        (b"WITH x AS (SELECT 1) SELECT 1", "writes"),
        (b"COMMIT", "commits"),
        (b"/* a /* nested */ comment */ end", "commits"),
        (b"-- first\n\tcommit", "commits"),
        (b"SELECT 1; COMMIT", "commits"),
        (b"PREPARE TRANSACTION 'x'", "commits"),
        (b"PREPARE x AS SELECT 1", "doubtful writes"),
        (b"SET a = 1", "doubtful"),
        (b"BEGIN; SET a = 1; COMMIT", "doubtful commits"),
        (b"DISCARD ALL", "doubtful ends_names"),
        (b"SELECT set_config('a', 'b', false)", "doubtful"),
        (b'SELECT "set_config"(1)', "doubtful"),
        (b"SELECT PG_ADVISORY_LOCK(1)", "doubtful"),
        (b"CREATE TEMP TABLE t (n int)", "doubtful writes"),
        (b"FROBNICATE 1", "doubtful writes"),
        (b"SELECT 'set_config'", ""),
        (b"SELECT $$set_config ; SET x = 1$$", ""),
        (b"SELECT $a$ $b$ $$ ; SET x = 1 $a$", ""),
        (b"SELECT E'\\' ; SET x = 1'", ""),
        (b"SELECT E'\\'' ; SET x = 1", "doubtful"),
        (b"SELECT 'it''s ; SET x = 1'", ""),
        (b"SELECT 'a\\d'", ""),
        (b"SELECT 'a\\' ; SET x = 1 --'", "ambiguous doubtful"),
        (b'SELECT U&"\\0073et_config"(1)', "ambiguous doubtful"),
        (b"SELECT u&'\\0061'", ""),
        (b"SELECT 1.5e-3, .5, 0x1F, 1_000, 1e5", ""),
        (b"SELECT 1.5and setseed(1)", "doubtful"),
        (b"SELECT $1, $2::int", ""),
        (b"SELECT a$b$c FROM t", ""),
        (b"SELECT 1 /* unfinished", ""),
        (b"SELECT 'unfinished ; SET x = 1", ""),
        (b"SELECT 1\0; SET x = 1", ""),
        ("SELECT 'ä', \"ö\" FROM schrödinger".encode(), ""),
    ],
)
def test_a_glance(sql: bytes, expected: str) -> None:
    assert sight(PLAIN, sql) == frozenset(expected.split())


def test_more_words_can_be_doubtful() -> None:
    words = Vocabulary([b"my_function", *(b"name_%d" % n for n in range(2000))])
    assert sight(words, b"SELECT My_Function(1)") == {"doubtful"}
    assert sight(words, b"SELECT name_1999 FROM t") == {"doubtful"}
    assert sight(words, b"SELECT name_2000 FROM t") == frozenset()
    assert sight(words, b"SET a = 1") == {"doubtful"}


# --- against the parser -----------------------------------------------------------------------------------------------

WORDS = sorted({*DOUBTFUL_WORDS, *FIRST_WORDS, "from", "t", "as", "x", "local", "session", "where", "table", "into"})
PIECES = [
    *WORDS,
    *(word.upper() for word in WORDS[:20]),
    *"(),;=*+-/.1",
    *("::", "$1", "1.5", "'a'", "'it''s'", "E'\\''", "$$", "$x$", '"', '"t"', "--", "/*", "*/", "\n"),
    "(1)",
    "('a', 'b', false)",
    "'\\'",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_nothing_that_has_effects_looks_harmless(sql: str) -> None:
    text = sql.encode()
    if parse(text) is not None and effects_of(text) != NOTHING:
        assert "doubtful" in sight(PLAIN, text), effects_of(text)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_sight(sql: bytes) -> None:
    assert sight(PLAIN, sql) <= {"doubtful", "commits", "ends_names", "writes", "ambiguous"}
