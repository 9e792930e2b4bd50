"""Expressions: NULL has three values; what they are evaluated on and refused for is in test_select.py."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.admin.expressions import Reader, Scope
from trunkline.admin.result import ConsoleError
from trunkline.protocol.messages import INT4, TEXT
from trunkline.routing.sql import parse_any


def value(sql: str) -> Any:
    ((_, node),) = parse_any(f"SELECT {sql}".encode())
    reader = Reader("t", (("n", INT4), ("s", TEXT)))
    return reader.read(node["targetList"][0]["ResTarget"]["val"]).evaluate(Scope((5, None)))


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("s = 'x'", None), ("s = 'x' AND n = 5", None), ("s = 'x' AND n = 6", False), ("s = 'x' OR n = 5", True),
        ("s = 'x' OR n = 6", None), ("NOT (s = 'x')", None), ("s IS NULL", True), ("n + 1", 6), ("n / 2", 2),
        ("-7 / 2", -3), ("n - 7", -2), ("s LIKE '%'", None), ("n IN (5, NULL)", True), ("n IN (6, NULL)", None),
        ("n BETWEEN NULL AND 3", False), ("n BETWEEN NULL AND 9", None), ("coalesce(s, 'y')", "y"), ("n::text", "5"),
        ("'7'::int", 7), ("true::text", "true"), ("1.5::int", 2), ("NULL", None), ("lower('ÄB')", "äb"), ("0", 0),
        ("false", False),
    ],
)  # fmt: skip
def test_expressions_have_postgresqls_values(sql: str, wanted: Any) -> None:
    assert value(sql) == wanted


def test_a_parameter_has_one_type() -> None:
    ((_, node),) = parse_any(b"SELECT $1 = 5 AND $1 = 'x'::text")
    with pytest.raises(ConsoleError) as refusal:
        Reader("", ()).read(node["targetList"][0]["ResTarget"]["val"])
    assert refusal.value.sqlstate == "42883"
