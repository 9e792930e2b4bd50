"""Which texts set something until the end of their transaction, and what other servers are told of them."""

from __future__ import annotations

import pytest

from trunkline.execution.local_settings import is_of_settings, with_values


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT set_config('app.tenant', '42', true)",
        b"select pg_catalog.set_config('a.b', $1, TRUE) AS x, set_config($2::text, 'it''s /* here */', True);",
        b"SELECT set_config ( 'a.b' ,'' , true ) -- a comment\n",
        b"/* why */ SELECT set_config('TimeZone', 'a b', true)",
    ],
)
def test_nothing_but_settings(sql: bytes) -> None:
    assert is_of_settings(sql)


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT set_config('a.b', '42', false)",
        b"SELECT set_config('a.b', $1, $2)",
        b"SELECT set_config('a.b', '42', 'true')",  # it has the form of one that says 'false'
        b"SELECT set_config('a.b', name, true) FROM t",
        b"SELECT set_config('a.b', '1', true) FROM t",
        b"SELECT set_config('a.b', '1', true), 1",
        b"SELECT set_config('a.b', '1', true),",
        b"SELECT set_config('a.b', E'\\x', true)",
        b"SELECT set_config('a.b', '1', true); SELECT 1",
        b"SELECT mine.set_config('a.b', '1', true)",
        b"SELECT set_config('a.b', (SELECT '1'), true)",
    ],
)
def test_anything_else(sql: bytes) -> None:
    assert not is_of_settings(sql)


def test_values_are_written_where_the_parameters_stand() -> None:
    sql = b"SELECT set_config('a.$1', $2, true), set_config($1, $3, true)"
    wanted = b"SELECT set_config('a.$1', 'it''s', true), set_config('n', NULL, true)"
    assert with_values(sql, (25,), (b"n", b"it's", None)) == wanted
    assert with_values(sql, (23,), (b"n", b"1", b"2")) is None
    assert with_values(sql, (), (b"n",)) is None
