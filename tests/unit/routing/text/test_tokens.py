"""Tokens begin and end where PostgreSQL's own scanner has them, for a corpus, its mutations and any pieces of SQL."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pglast.parser import ParseError, scan

from tests.unit.routing.corpus import CORPUS, texts
from trunkline.routing.text.fingerprint import Fingerprint
from trunkline.routing.text.tokens import tokens_of

COMMENTS = ("SQL_COMMENT", "C_COMMENT")
# What the scanner refuses for what a string says, an identifier of no length, or a $n too large: its tokens are clear.
OF_CONTENT = re.compile(
    r"escape|surrogate|Unicode|zero-length|too large|encoding|trailing junk after parameter|null character"
)


def scanned(sql: str) -> list[tuple[int, int]] | str:
    """What PostgreSQL's scanner finds, in bytes of the text; or why it refuses."""
    try:
        tokens = scan(sql)
    except ParseError as refusal:
        return str(refusal.args[0])
    spans: list[tuple[int, int]] = []
    for token in tokens:
        if token.name in COMMENTS:
            continue
        start, end = len(sql[: token.start].encode()), len(sql[: token.end + 1].encode())
        if spans and spans[-1] == (start - 1, start) and sql[token.start - 1] in "nN" and token.name == "SCONST":
            start = spans.pop()[0]  # of N'...' PostgreSQL makes two tokens
        spans.append((start, end))
    return spans


def compare(sql: str) -> None:
    expected = scanned(sql)
    found = Fingerprint(sql.encode())
    if isinstance(expected, list):
        assert [(start, end) for _, start, end in tokens_of(sql.encode())] == expected
        assert not found.unfinished
    elif not OF_CONTENT.search(expected):
        assert found.unfinished or found.wrong, expected


@pytest.mark.parametrize("sql", CORPUS)
def test_the_corpus_has_the_tokens_that_postgresql_finds(sql: str) -> None:
    assert isinstance(scanned(sql), list)
    compare(sql)


def test_the_corpus_is_large() -> None:
    assert len(set(CORPUS)) > 400


@settings(max_examples=2000, deadline=None)
@given(texts())
def test_so_has_whatever_is_made_of_it(sql: str) -> None:
    compare(sql)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_tokens_in_order(sql: bytes, standard_strings: bool) -> None:
    at = 0
    for _, start, end in tokens_of(sql, standard_strings):
        assert at <= start < end <= len(sql)
        at = end


@pytest.mark.parametrize(
    ("sql", "standard", "escaping"),
    [
        (rb"'a'", [b"'a'"], [b"'a'"]),
        (rb"'a\' 'c'", [rb"'a\'", b"'c'"], [rb"'a\' '", b"c", b"'"]),
        (rb"'a\\' 'b'", [rb"'a\\'", b"'b'"], [rb"'a\\'", b"'b'"]),
        (rb"N'\'' x", [rb"N'\'' x"], [rb"N'\''", b"x"]),
        (b"'a\\'\n'c' d'", [b"'a\\'\n'c'", b"d", b"'"], [b"'a\\'\n'", b"c", b"' d'"]),
        (rb"E'\'' U&'\' B'\'", [rb"E'\''", rb"U&'\'", rb"B'\'"], [rb"E'\''", rb"U&'\'", rb"B'\'"]),
        (rb'"a\" $$\$$', [rb'"a\"', rb"$$\$$"], [rb'"a\"', rb"$$\$$"]),
    ],
)
def test_a_backslash_in_a_plain_string_is_read_by_the_setting(
    sql: bytes, standard: list[bytes], escaping: list[bytes]
) -> None:
    assert [sql[start:end] for _, start, end in tokens_of(sql)] == standard
    assert [sql[start:end] for _, start, end in tokens_of(sql, False)] == escaping


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        (b"a A.b", ["word", "word", "other", "word"]),
        (b'"a" U&"b"', ["quoted word", "quoted word"]),
        (b"1 .5 1e5 0x1F", ["number"] * 4),
        (b"'a' E'b' $$c$$ N'd' B'1' X'f' U&'e'", ["string"] * 7),
        (b"$1::int", ["parameter", "other", "word"]),
        (b"a\0b", ["word"]),
    ],
)
def test_tokens_are_of_a_kind(sql: bytes, kinds: list[str]) -> None:
    assert [kind for kind, _, _ in tokens_of(sql)] == kinds
