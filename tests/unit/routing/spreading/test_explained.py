"""EXPLAIN over several shards: what is explained, and whether it runs."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.explained import Explained
from trunkline.routing.spreading.planner import program_of


@pytest.mark.parametrize(
    ("head", "form", "runs"),
    [
        ("EXPLAIN ", "text", False),
        ("EXPLAIN ANALYZE VERBOSE ", "text", True),
        ("EXPLAIN (ANALYZE false, FORMAT JSON) ", "json", False),
        ("EXPLAIN (ANALYZE 1, FORMAT 'yaml', COSTS off)\n", "yaml", True),
    ],
)
def test_what_stands_before_the_statement_is_said_to_each_shard(head: str, form: str, runs: bool) -> None:
    program = program_of(request(head + "SELECT x FROM a"))
    assert isinstance(program, Explained)
    assert (program.head.decode(), program.form, program.runs) == (head, form, runs)
    assert program.inner.sql == b"SELECT x FROM a"


def test_what_cannot_be_explained_is_refused() -> None:
    assert isinstance(program_of(request("EXPLAIN ANALYZE INSERT INTO a (k) VALUES (1), (2)")), Refusal)
    assert isinstance(program_of(request("EXPLAIN SELECT now() FROM a TABLESAMPLE SYSTEM (1)")), Refusal)
