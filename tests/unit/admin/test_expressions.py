"""Expressions: NULL has three values; what they are evaluated on and refused for is in test_select.py."""

from __future__ import annotations

from typing import Any

import pytest

import trunkline.admin.select  # noqa: F401 - fills the table of readers
from trunkline.admin.reader import Known, Reader, Statement
from trunkline.admin.result import ConsoleError
from trunkline.admin.scopes import Scope
from trunkline.protocol.messages import INT4, TEXT
from trunkline.routing.sql import parse_any


def _no_subquery(*_: Any) -> Any:
    raise AssertionError


def value(sql: str) -> Any:
    ((_, node),) = parse_any(f"SELECT {sql}".encode())
    reader = Reader(Statement(_no_subquery), [Known("t", "n", INT4), Known("t", "s", TEXT)])
    return reader.read(node["targetList"][0]["ResTarget"]["val"]).evaluate(Scope((5, None)))


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("s = 'x'", None), ("s = 'x' AND n = 5", None), ("s = 'x' AND n = 6", False), ("s = 'x' OR n = 5", True),
        ("s = 'x' OR n = 6", None), ("NOT (s = 'x')", None), ("s IS NULL", True), ("n + 1", 6), ("n / 2", 2),
        ("-7 / 2", -3), ("n - 7", -2), ("s LIKE '%'", None), ("n IN (5, NULL)", True), ("n IN (6, NULL)", None),
        ("n BETWEEN NULL AND 3", False), ("n BETWEEN NULL AND 9", None), ("coalesce(s, 'y')", "y"), ("n::text", "5"),
        ("'7'::int", 7), ("true::text", "true"), ("1.5::int", 2), ("NULL", None), ("lower('ÄB')", "äb"), ("0", 0),
        ("false", False), ("CASE WHEN s = 'x' THEN 1 WHEN n = 5 THEN 2 END", 2), ("CASE n WHEN 6 THEN 'a' END", None),
        ("nullif(n, 5)", None), ("nullif(n, 6)", 5), ("n IS DISTINCT FROM NULL", True),
        ("s IS DISTINCT FROM NULL", False),
        ("s IS NOT DISTINCT FROM NULL", True), ("(s = 'x') IS TRUE", False), ("(s = 'x') IS UNKNOWN", True),
        ("(n = 5) IS NOT FALSE", True), ("5 = ANY ('{4,5}')", True), ("6 = ANY ('{4,NULL}')", None),
        ("5 <> ALL ('{4,6}')", True), ("5 <> ALL (ARRAY[4, NULL])", None), ("n = ANY (NULL::int[])", None),
        ("(ARRAY['a', 'b'])[2]", "b"), ("(ARRAY['a', 'b'])[3]", None), ("'x' || n", "x5"), ("'x' || s", None),
        ("ARRAY[1] || ARRAY[2]", (1, 2)), ("'abc' ~ '^a'", True), ("'abc' !~* 'B'", False), ("'a' COLLATE \"C\"", "a"),
        ("ARRAY[1, 2]::text", "{1,2}"), ("'{1,\"2\"}'::int[]", (1, 2)), ("ARRAY[1, 2]::text[]", ("1", "2")),
    ],
)  # fmt: skip
def test_expressions_have_postgresqls_values(sql: str, wanted: Any) -> None:
    assert value(sql) == wanted


def test_a_parameter_has_one_type() -> None:
    ((_, node),) = parse_any(b"SELECT $1 = 5 AND $1 = 'x'::text")
    with pytest.raises(ConsoleError) as refusal:
        Reader(Statement(_no_subquery)).read(node["targetList"][0]["ResTarget"]["val"])
    assert refusal.value.sqlstate == "42883"
