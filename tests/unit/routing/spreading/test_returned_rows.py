"""What RETURNING gives, as a SELECT."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.routing.spreading.returned_rows import CHANGES, returned
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import parse_any


def statement(sql: str) -> tuple[str, Any]:
    ((kind, node),) = parse_any(sql.encode())
    return kind, node


@pytest.mark.parametrize(
    ("sql", "tables", "changes"),
    [
        ("DELETE FROM a RETURNING x", ["a"], False),
        ("DELETE FROM a USING b WHERE a.x = b.x RETURNING a.x", ["a", "b"], False),
        ("UPDATE a SET y = 1 FROM b WHERE a.x = b.x RETURNING a.x", ["a", "b"], True),
    ],
)
def test_it_selects_from_the_same_tables(sql: str, tables: list[str], changes: bool) -> None:
    kind, node = statement(sql)
    found = returned(kind, node)
    assert [one["RangeVar"]["relname"] for one in found["fromClause"]] == tables
    assert found["targetList"] == node["returningClause"]["exprs"]
    assert found.get("whereClause") == node.get("whereClause")
    assert (CHANGES in found) == changes


@pytest.mark.parametrize(
    "sql", ["INSERT INTO a VALUES (1) RETURNING x", "WITH q AS (SELECT 1) DELETE FROM a USING q RETURNING x"]
)
def test_what_is_not_understood(sql: str) -> None:
    with pytest.raises(Unsure):
        returned(*statement(sql))
