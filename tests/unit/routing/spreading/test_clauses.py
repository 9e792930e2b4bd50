"""The text of a SELECT in pieces."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.clauses import cut, expression_of_sort, expression_of_target, same_tree, tokenize
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import parse_any


def test_clauses_are_cut_at_the_words_that_begin_them() -> None:
    found = cut(
        b"WITH q AS (SELECT 1 FROM x ORDER BY 1) SELECT DISTINCT ON (a, b) a, f(b, ',') AS \"from\" -- , c FROM\n"
        b"FROM t WHERE a IS DISTINCT FROM b GROUP BY a, (b, c) HAVING count(*) > 1 WINDOW w AS (ORDER BY a)"
        b" ORDER BY a DESC, f(a, b) NULLS FIRST LIMIT 3 OFFSET 4;"
    )
    assert found.before == b"WITH q AS (SELECT 1 FROM x ORDER BY 1) SELECT"
    assert found.distinct == b"DISTINCT ON (a, b)"
    assert found.targets == (b"a", b"f(b, ',') AS \"from\"")
    assert found.middle == b"FROM t WHERE a IS DISTINCT FROM b"
    assert found.group == (b"a", b"(b, c)")
    assert found.having == b"HAVING count(*) > 1"
    assert found.window == b"WINDOW w AS (ORDER BY a)"
    assert found.order == (b"a DESC", b"f(a, b) NULLS FIRST")


def test_words_behind_as_and_a_point_are_names() -> None:
    found = cut(b"SELECT a AS from, t.where, b IS NOT DISTINCT FROM c FROM t")
    assert found.targets == (b"a AS from", b"t.where", b"b IS NOT DISTINCT FROM c")


@pytest.mark.parametrize("sql", [b"SELECT 1 UNION SELECT 2", b"(SELECT 1)", b"SELECT 1 FROM t FOR UPDATE"])
def test_what_is_not_one_plain_select_is_not_cut(sql: bytes) -> None:
    with pytest.raises(Unsure):
        cut(sql)


@pytest.mark.parametrize(("text", "expected"), [(b"a + b AS c", b"a + b"), (b"a c", b"a"), (b'f(x) AS "y z"', b"f(x)")])
def test_the_name_of_an_output_is_taken_off(text: bytes, expected: bytes) -> None:
    assert expression_of_target(text, {"name": "c"}) == expected
    assert expression_of_target(text, {}) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"a", b"a"), (b"a + 1 DESC", b"a + 1"), (b"nulls NULLS LAST", b"nulls")],
)
def test_the_direction_is_taken_off(text: bytes, expected: bytes) -> None:
    sort = parse_any(b"SELECT ORDER BY " + text)[0][1]["sortClause"][0]["SortBy"]
    assert expression_of_sort(text, sort) == expected


def test_trees_are_compared_without_their_places() -> None:
    one, other, third = (parse_any(sql) for sql in (b"SELECT a, 1", b"SELECT  a ,  1", b"SELECT a, 2"))
    assert same_tree(one[0][1], other[0][1])
    assert not same_tree(one[0][1], third[0][1])


def test_tokens_know_how_deep_they_are() -> None:
    assert [(one.text, one.depth) for one in tokenize(b"F(a[1]);")] == [
        (b"f", 0), (b"(", 0), (b"a", 1), (b"[", 1), (b"1", 2), (b"]", 1), (b")", 0)
    ]  # fmt: skip
