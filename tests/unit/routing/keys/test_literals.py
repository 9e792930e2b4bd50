"""Strings say what PostgreSQL's parser reads in them; what takes more than the token is unknown."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import ParseError, parse_sql_json

from trunkline.routing.keys.literals import text_of
from trunkline.routing.keys.sharding import KeyUnknown
from trunkline.routing.text.fingerprint import Fingerprint

PIECES = ("a", "''", "\\", "\\\\", "\\'", "\\n", "\\x41", "\\101", "\\u00e9", "\\U0001F600", "\\0041", "\\+00e9")
PIECES += ("\\q", "é", '"', "--", "$$", "$", " ", "\n", "'\n'", "' --x'y\n '", "\t", "/*", "\\ud83d", "\\000")
OPENINGS = ("'", "E'", "e'", "U&'", "u&'", "$$", "$é1$")


def said(literal: str) -> str | None:
    """What PostgreSQL reads; None if it reads no string."""
    try:
        statements = orjson.loads(parse_sql_json(f"SELECT {literal}"))["stmts"]
        (target,) = statements[0]["stmt"]["SelectStmt"]["targetList"]
        text: str = target["ResTarget"]["val"]["A_Const"]["sval"].get("sval", "")
    except (ParseError, KeyError, ValueError):
        return None
    return text


def ours(literal: str) -> str | None:
    sql = f"SELECT {literal}".encode()
    ((start, end, form),) = Fingerprint(sql).literals
    try:
        return text_of(sql[start:end], form).decode()
    except KeyUnknown:
        return None


@given(st.sampled_from(OPENINGS), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_a_string_says_what_postgresql_reads(opening: str, content: str) -> None:
    literal = opening + content + ("'" if opening.endswith("'") else opening)
    expected = said(literal)
    if expected is not None and len(Fingerprint(f"SELECT {literal}".encode()).literals) == 1:
        assert ours(literal) in (expected, None)


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("'it''s'", "it's"),
        ("'a\\b'", "a\\b"),
        ("'a'\n 'b'", "ab"),
        ("'a' -- it's\n\t'b'\r'c'", "abc"),
        ("'''' -- '\n''''", "''"),
        ("E'\\b\\f\\n\\r\\t\\'\\\\\\x4a\\112\\u00e9\\U000000e9'", "\b\f\n\r\t'\\JJéé"),
        ("E'a\\'' --x\n'b\\n'", "a'b\n"),
        ("$$a'\\b$$", "a'\\b"),
        ("$x$a$$b$x$", "a$$b"),
        ("U&'\\00e9\\+0000e9\\\\'", "éé\\"),
    ],
)
def test_a_string_is_read(literal: str, text: str) -> None:
    assert said(literal) == text
    assert ours(literal) == text


@pytest.mark.parametrize("literal", ["E'\\ud83d\\ude00'", "E'\\000'", "U&'\\d83d\\de00'", "U&'\\zz'", "X'1F'", "N'a'"])
def test_what_its_token_does_not_say_is_unknown(literal: str) -> None:
    assert ours(literal) is None
