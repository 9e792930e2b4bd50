"""The parts of an INSERT's text."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.insert_text import parts_of


def test_a_table_may_be_called_values() -> None:
    sql = b"INSERT INTO values (values) VALUES (1), ((2))"
    parts = parts_of(sql, 2, has_columns=True)
    assert parts is not None
    assert [[sql[start:end] for start, end in row] for row in parts.rows] == [[b"1"], [b"(2)"]]
    assert sql[parts.values : parts.values + 6] == b"VALUES"
    assert parts.behind_columns is not None
    assert sql[: parts.behind_columns] == b"INSERT INTO values (values"


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t VALUES (1)",
        b"INSERT INTO t SELECT 1",
        b"INSERT INTO t VALUES (1), (2) UNION VALUES (3)",
        b"VALUES",
    ],
)
def test_another_text_has_no_parts(sql: bytes) -> None:
    assert parts_of(sql, 2, has_columns=False) is None
