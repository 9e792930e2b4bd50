"""Texts with one key are parsed by PostgreSQL to trees that differ in nothing but the literals that were noted."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from pglast.parser import ParseError, parse_sql_json

from tests.unit.routing.corpus import CORPUS, LITERALS, texts
from trunkline.routing.text.fingerprint import Fingerprint
from trunkline.routing.text.tokens import tokens_of

BLANKS = (" ", "\n", "  \t", "/* c */", " -- c\n", "/* '/* \" */ $$ */")
READS_AND_WRITES = {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}
PLACES = re.compile(r"location|stmt_len|list_start|list_end")
# Where a utility statement has a number or a text that is no expression; and the bounds of arrays, which say nothing.
VALUES = {"Integer", "Float", "String", "Boolean", "BitString", "howMany", "filename", "payload", "comment", "gid"}
VALUES |= {"newVal", "oldVal", "newValNeighbor", "conninfo", "label", "modulus", "remainder", "args", "subname"}


def tree_of(sql: str, found: Fingerprint) -> Any:
    """The parse tree with literals for what they are; None if there is none."""
    try:
        tree = orjson.loads(parse_sql_json(sql))
    except ParseError:
        return None
    return [shape(one["stmt"], sql.encode(), found) for one in tree.get("stmts", ()) if "stmt" in one]


def shape(node: Any, sql: bytes, found: Fingerprint, strict: bool = True) -> Any:
    if isinstance(node, list):
        return [shape(one, sql, found, strict) for one in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for name, value in node.items():
        if name == "A_Const" and (ordinal := literal_at(value, sql, found)) is not None:
            result[name] = ordinal
        elif name != "arrayBounds" and (strict or name not in VALUES) and not PLACES.search(name):
            inner = strict and (name in READS_AND_WRITES or not name.endswith("Stmt"))
            result[name] = shape(value, sql, found, inner)
    return result


def literal_at(constant: Any, sql: bytes, found: Fingerprint) -> int | None:
    """Which of the literals a constant is, by the rule that plans are translated with."""
    at = constant.get("location", 0)
    if at < 0 or {"boolval", "isnull"} & constant.keys():
        return None
    ordinal = found.ordinal_at(at)
    if ordinal is None:
        return None
    start = found.literals[ordinal][0]
    between = [sql[at:][a:b] for _, a, b in tokens_of(sql[at:start])]
    return ordinal if all(token in (b"-", b"(") for token in between) else None


@st.composite
def variants(draw: DrawFn, sql: str) -> str:
    """The same statement with other literals, blanks and comments, and in another case."""
    text = sql.encode()
    noted = {start: form for start, _, form in Fingerprint(text).literals}
    seed = draw(st.randoms(use_true_random=False))
    parts = []
    for kind, start, end in tokens_of(text):
        token = text[start:end].decode()
        if start in noted or (start + 1 in noted and kind == "string"):
            token = seed.choice(LITERALS[grammatical(noted.get(start, "national"))])
        elif kind == "word" and seed.random() < 0.5:
            token = "".join(c.upper() if "a" <= c <= "z" else c.lower() if "A" <= c <= "Z" else c for c in token)
        parts.append(token)
    return "".join(part + seed.choice(BLANKS) for part in parts)


def grammatical(form: str) -> str:
    """What the grammar calls a literal of this form."""
    return {"integer": "number", "numeric": "number", "bits": "bits", "hex": "bits", "national": "national"}.get(
        form, "string"
    )


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(CORPUS).flatmap(lambda sql: st.tuples(st.just(sql), variants(sql))))
def test_a_variant_of_a_statement_has_its_key_and_its_tree(pair: tuple[str, str]) -> None:
    one, other = (Fingerprint(sql.encode()) for sql in pair)
    assume("uescape" not in pair[0].lower())  # whose character a blank must not part from its string
    assert one.key == other.key
    assert (one.hash, one.count) == (other.hash, other.count)
    trees = tree_of(pair[0], one), tree_of(pair[1], other)
    assert trees[0] is not None
    if trees[1] is not None:  # a literal may not do there: the length of a time is no 1.5
        assert trees[0] == trees[1]


@settings(max_examples=700, deadline=None)
@given(texts(), texts())
def test_what_is_made_of_statements_has_one_tree_for_one_key(left: str, right: str) -> None:
    """Both texts and what is one edit away from the first: a key that said too little would meet another's."""
    one = Fingerprint(left.encode())
    assume(one.cacheable)
    for other in (right, left.replace(" ", ""), left.replace("'", ""), re.sub(r"(\W)", r" \1 ", left), left.lower()):
        found = Fingerprint(other.encode())
        if found.cacheable and found.key == one.key:
            trees = tree_of(left, one), tree_of(other, found)
            assert None in trees or trees[0] == trees[1]


@pytest.mark.parametrize("sql", CORPUS)
def test_every_constant_of_a_statement_is_a_literal_of_its_text(sql: str) -> None:
    """So that a plan that speaks of a constant speaks of a place in every text with this key."""
    found = Fingerprint(sql.encode())
    assert found.cacheable
    tree = orjson.loads(parse_sql_json(sql))
    for constant in constants(tree):
        if constant["location"] < 0 or {"boolval", "isnull"} & constant.keys():
            continue
        if sql.encode()[constant["location"] :][:1] in b"-0123456789.'$BbXxEeUu":
            ordinal = literal_at(constant, sql.encode(), found)
            assert ordinal is not None or sql.encode()[constant["location"] :][:1].isalpha()


def constants(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [found for one in node for found in constants(one)]
    if not isinstance(node, dict):
        return []
    own = [node["A_Const"] | {"location": node["A_Const"].get("location", 0)}] if "A_Const" in node else []
    return own + [found for one in node.values() for found in constants(one)]


@pytest.mark.parametrize(
    ("sql", "template", "literals"),
    [
        (b"SELECT a FROM t WHERE aid = 12345;", "select a from t where aid = ?;", [b"12345"]),
        (b"Select \"A\",b.C,f ( 1 )[2] -- x", 'select "A", b.c, f (?) [?]', [b"1", b"2"]),
        (b"SELECT 'it''s', E'\\'', $$a$$", "select ?, ?, ?", [b"'it''s'", b"E'\\''", b"$$a$$"]),
        (b"SELECT U&'\\0041', N'x', X'1'", "select ?, ?, ?", [b"U&'\\0041'", b"'x'", b"X'1'"]),
        (b"SELECT -1+2", "select - ? + ?", [b"1", b"2"]),
        (b"SELECT x::float(5), x::bit(6)", "select x :: float (5), x :: bit (?)", [b"6"]),
        (b"SELECT U&'d!0061' UESCAPE '!'", "select ? uescape '!'", [b"U&'d!0061'"]),
        (b"SELECT uescape '1', \"uescape\" FROM t", 'select uescape ?, "uescape" from t', [b"'1'"]),
        (b"SELECT 'a'\n'b', 'c' 'd'", "select ?, ? ?", [b"'a'\n'b'", b"'c'", b"'d'"]),
        (b"", "", []),
    ],
)  # fmt: skip
def test_a_template(sql: bytes, template: str, literals: list[bytes]) -> None:
    found = Fingerprint(sql)
    assert found.template == template
    assert [sql[start:end] for start, end, _ in found.literals] == literals


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SELECT a ? 'x'", b"SELECT a 1 'x'"),
        (b"SELECT n 'x'", b"SELECT N'x'"),
        (b"SELECT '1'", b"SELECT 1"),
        (b"SELECT '1'", b"SELECT B'1'"),
        (b"SELECT a <> b", b"SELECT a < > b"),
        (b"SELECT a[1::int]", b"SELECT a[1: :int]"),
        (b'SELECT "a"', b"SELECT a"),
        (b'SELECT "a""b"', b'SELECT "a" "b"'),
        (b"SELECT $1", b"SELECT $2"),
        (b"SELECT x::float(1)", b"SELECT x::float(53)"),
        (b"SELECT U&\"!0061\" UESCAPE '!'", b"SELECT U&\"!0061\" UESCAPE '?'"),
        (b"SELECT 1; SELECT 2", b"SELECT 1 SELECT 2"),
    ],
)
def test_what_means_something_else_has_another_key(one: bytes, other: bytes) -> None:
    assert Fingerprint(one).key != Fingerprint(other).key


@pytest.mark.parametrize(
    ("sql", "faults"),
    [
        (b"SELECT 1", set()),
        (b"SELECT 'a", {"unfinished"}),
        (b'SELECT "a', {"unfinished"}),
        (b"SELECT $$a$", {"unfinished"}),
        (b"SELECT /* a /* b */", {"unfinished"}),
        (b"SELECT E'a\\'", {"unfinished"}),
        (b"SELECT 1a", {"wrong"}),
        (b"SELECT 0x", {"wrong"}),
        (b"SELECT 1__0", {"wrong"}),
        (b"SELECT \x01", {"wrong"}),
        (b"SELECT {1}", {"wrong"}),
        (b"SELECT 1..2", {"wrong"}),
        (b"SELECT 'a\\' OR x = 1", {"ambiguous"}),
    ],
)
def test_a_text_that_no_key_stands_for(sql: bytes, faults: set[str]) -> None:
    found = Fingerprint(sql)
    assert {name for name in ("unfinished", "wrong", "ambiguous") if getattr(found, name)} == faults
    assert found.cacheable == (not faults & {"unfinished", "wrong"})


def test_a_text_that_another_setting_reads_otherwise_than_the_parser_has_no_key() -> None:
    assert Fingerprint(b"SELECT 'a\\\\b'").cacheable
    assert not Fingerprint(b"SELECT 'a\\\\b'", False).cacheable
    assert Fingerprint(b"SELECT 'ab'", False).key == Fingerprint(b"SELECT 'ab'").key
    assert Fingerprint(b"SELECT 'a\\\\b'", False).literals == [(7, 13, "escaped")]


@pytest.mark.parametrize(
    ("sql", "hint", "count"),
    [
        (b"/* trunkline: shard=s1 */ SELECT 1", b" shard=s1 ", 1),
        (b"SELECT /*trunkline:key=42 table=orders*/ 1", b"key=42 table=orders", 1),
        (b"SELECT 1 /*\n\ttrunkline: a */ /* trunkline: b */", b" a ", 2),
        (b"SELECT 1 /* not trunkline: a */", None, 0),
        (b"SELECT 1 -- trunkline: a", None, 0),
        (b"SELECT '/* trunkline: a */', \"/* trunkline: b */\", $$/* trunkline: c */$$", None, 0),
        (b"SELECT 1 /* trunkline: a", None, 0),
        (b"SELECT 1 /* /* trunkline: a */ */", None, 0),
        (b"SELECT 1 /* trunkline:*/", b"", 1),
    ],
)
def test_a_comment_that_says_where_is_found(sql: bytes, hint: bytes | None, count: int) -> None:
    found = Fingerprint(sql)
    assert found.hints == count
    assert (sql[slice(*found.hint)] if found.hint else None) == hint


def test_literals_are_found_by_their_places() -> None:
    found = Fingerprint(b"SELECT -1, 'a', N'b'")
    assert [found.ordinal_at(at) for at in (0, 7, 8, 9, 11, 12, 17, 18)] == [0, 0, 0, 1, 1, 2, 2, None]


def test_one_fingerprint_reads_one_text_after_the_other() -> None:
    found = Fingerprint()
    many = b"SELECT " + b",".join(b"%d" % n for n in range(100_000))
    for sql in (many, b"SELECT 1", many[:20_000], b"SELECT 'a' /* trunkline: x */", b"SELECT 2"):
        found.read(sql)
        fresh = Fingerprint(sql)
        assert (found.literals, found.hint, found.cacheable) == (fresh.literals, fresh.hint, fresh.cacheable)
        assert (found.key, found.hash) == (fresh.key, fresh.hash)


@pytest.mark.parametrize("filler", [b"x, " * 6000, b'"' + b"x" * 20_000 + b'",', b"1, " * 9000])
def test_a_very_long_text_has_literals_but_no_key(filler: bytes) -> None:
    sql = b"SELECT " + filler + b"1"
    found = Fingerprint(sql)
    assert not found.cacheable
    assert found.literals[-1] == (len(sql) - 1, len(sql), "integer")


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_have_a_fingerprint(sql: bytes, standard_strings: bool) -> None:
    found = Fingerprint(sql, standard_strings)
    assert found.key_bytes <= 2 * len(sql)
    at = 0
    for start, end, _ in found.literals:
        assert at <= start < end <= len(sql)
        at = end
