"""Columns of an INSERT that draw by default."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.test_drawing import drawn
from trunkline.routing.spreading.drawing_slots import Drawing

_ALWAYS = "OVERRIDING SYSTEM VALUE VALUES"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "INSERT INTO customers DEFAULT VALUES",
            f'INSERT INTO customers ("id", "name") {_ALWAYS} ($1, ((\'C-\' || $2)))',
        ),
        (
            "INSERT INTO customers (name) VALUES ('x')",
            f"INSERT INTO customers (name, \"id\") {_ALWAYS} ('x', $1)",
        ),
        (
            "INSERT INTO customers VALUES (DEFAULT)",
            f'INSERT INTO customers ("id", "name") {_ALWAYS} ($1, ((\'C-\' || $2)))',
        ),
        (
            "INSERT INTO customers OVERRIDING SYSTEM VALUE VALUES (7)",
            'INSERT INTO customers ("id", "name") OVERRIDING SYSTEM VALUE VALUES (7, ((\'C-\' || $1)))',
        ),
    ],
)
def test_columns_that_draw_get_values(sql: str, text: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Drawing), found
    assert found.text(found.parameters).decode() == text
