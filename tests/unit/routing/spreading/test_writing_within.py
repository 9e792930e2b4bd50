"""SELECT over what a query in WITH writes: merged where each shard does its part of the write by itself."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.planner import program_of
from trunkline.routing.spreading.request import Concatenation


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("WITH d AS (DELETE FROM a WHERE n = 1 RETURNING x) SELECT x FROM d", Concatenation),
        ("WITH d AS (DELETE FROM a RETURNING x) SELECT count(*) FROM d", Merging),
        ("WITH d AS (UPDATE a SET n = 1 RETURNING x) SELECT x FROM d ORDER BY x LIMIT 3", Merging),
        ("WITH d AS (UPDATE a SET n = 1) SELECT count(*) FROM a", Merging),
    ],
)
def test_each_shard_does_its_part(sql: str, kind: type) -> None:
    program = program_of(request(sql))
    assert isinstance(program, kind)
    assert program.locks if isinstance(program, Concatenation) else program.merge.locks


@pytest.mark.parametrize(
    "sql",
    [
        "WITH d AS (DELETE FROM a RETURNING x), e AS (DELETE FROM b RETURNING x) SELECT count(*) FROM d, e",
        "WITH d AS (DELETE FROM a WHERE n IN (SELECT n FROM a LIMIT 1) RETURNING x) SELECT count(*) FROM d",
        "WITH d AS (UPDATE a SET n = 1 RETURNING n) SELECT count(*) FROM d JOIN a USING (n)",
        "WITH d AS (DELETE FROM a RETURNING x) SELECT string_agg(x::text, ',') FROM d",
        "COPY (WITH d AS (DELETE FROM a RETURNING x) SELECT x FROM d) TO STDOUT",
        "EXPLAIN ANALYZE WITH d AS (DELETE FROM a RETURNING x) SELECT x FROM d",
    ],
)
def test_what_is_not_each_shards_own(sql: str) -> None:
    assert isinstance(program_of(request(sql)), Refusal)
