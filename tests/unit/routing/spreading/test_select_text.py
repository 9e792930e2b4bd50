"""Where the query of an INSERT is."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.select_text import select_text
from trunkline.routing.sql import parse_any


@pytest.mark.parametrize(
    ("sql", "query", "behind"),
    [
        ("INSERT INTO t SELECT 1", "SELECT 1", ""),
        ("INSERT INTO t (a, b) SELECT 1, 2;", "SELECT 1, 2", ";"),
        ("insert into s.t as x (a) overriding user value (select 1) returning x.a", "(select 1)", " returning x.a"),
        ("INSERT INTO t (SELECT a FROM u)", "(SELECT a FROM u)", ""),
        (
            "WITH w AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM w ON CONFLICT (a) DO NOTHING RETURNING *",
            "WITH w AS (SELECT 1 AS a) SELECT a FROM w",
            " ON CONFLICT (a) DO NOTHING RETURNING *",
        ),
        ("INSERT INTO t WITH w AS (SELECT 1) TABLE w", "WITH w AS (SELECT 1) TABLE w", ""),
        ("INSERT INTO t SELECT x AS returning FROM u RETURNING 1", "SELECT x AS returning FROM u", " RETURNING 1"),
        ("INSERT INTO t VALUES (1), ((2))", "VALUES (1), ((2))", ""),
    ],
)
def test_the_query_is_found(sql: str, query: str, behind: str) -> None:
    found = select_text(sql.encode(), parse_any(sql.encode())[0][1])
    assert found is not None
    assert (found.query.decode(), sql[found.tail :]) == (query, behind)


def test_two_lists_of_with_are_not_put_together() -> None:
    sql = b"WITH a AS (SELECT 1) INSERT INTO t WITH b AS (SELECT 2) SELECT * FROM a, b"
    assert select_text(sql, parse_any(sql)[0][1]) is None
