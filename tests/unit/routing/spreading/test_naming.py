"""The names of outputs."""

from __future__ import annotations

import pytest

from trunkline.routing.spreading.naming import name_of
from trunkline.routing.sql import parse_any

# As PostgreSQL 15 and 18 name them.
NAMES = {
    "a": "a",
    "t.a AS b": "b",
    "count(*)": "count",
    "pg_catalog.lower(a)": "lower",
    "a + 1": "?column?",
    "a::int8": "a",
    "1::int4": "int4",
    "'x'::text": "text",
    "CASE WHEN a THEN 1 END": "case",
    "CASE WHEN a THEN 1 ELSE b END": "b",
    "coalesce(a, 1)": "coalesce",
    "greatest(a, 1)": "greatest",
    "least(a, 1)": "least",
    "nullif(a, 1)": "nullif",
    "ARRAY[1]": "array",
    "ROW(1)": "row",
    "EXISTS (SELECT 1)": "exists",
    "(SELECT a FROM t)": "a",
    "ARRAY(SELECT a)": "array",
    "a IN (SELECT 1)": "?column?",
    'a COLLATE "C"': "a",
    "(a).b": "b",
    "a[1]": "a",
    "current_user": "current_user",
    "extract(year FROM a)": "extract",
}


@pytest.mark.parametrize("text", NAMES)
def test_an_output_is_named_as_postgresql_names_it(text: str) -> None:
    target = parse_any(f"SELECT {text}".encode())[0][1]["targetList"][0]["ResTarget"]
    assert name_of(target) == NAMES[text]
