"""CREATE TABLE ... AS: its text without rows, and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.creating import CreateAs
from trunkline.routing.spreading.planner import program_of


@pytest.mark.parametrize(
    ("sql", "query", "columns"),
    [
        ("CREATE TABLE made AS SELECT x FROM a", b" SELECT x FROM a", ()),
        ("CREATE TABLE made (y) AS (SELECT x FROM a) WITH DATA", b" (SELECT x FROM a)", ("y",)),
        ("CREATE UNLOGGED TABLE made AS WITH q AS (SELECT x FROM a) SELECT * FROM q;",
         b" WITH q AS (SELECT x FROM a) SELECT * FROM q", ()),
    ],
)  # fmt: skip
def test_it_is_made_without_rows_first(sql: str, query: bytes, columns: tuple[str, ...]) -> None:
    program = program_of(request(sql))
    assert isinstance(program, CreateAs)
    assert program.inner.sql == query
    assert program.make.endswith(query + b"\nWITH NO DATA")
    assert (program.schema, program.name, program.columns) == ("", "made", columns)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE made AS SELECT x FROM a",
        "CREATE TABLE IF NOT EXISTS made AS SELECT x FROM a",
        "CREATE MATERIALIZED VIEW made AS SELECT x FROM a",
        "CREATE TABLE made AS SELECT x FROM a TABLESAMPLE SYSTEM (1)",
        "CREATE TABLE made AS WITH d AS (DELETE FROM a RETURNING x) SELECT x FROM d",
    ],
)
def test_what_is_not_made(sql: str) -> None:
    assert isinstance(program_of(request(sql)), Refusal)
