"""Which calls declare where a table lies."""

from __future__ import annotations

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from tests.unit.routing.spreading.asking import with_functions
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Verdict
from trunkline.routing.schema.catalog import Function


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("SELECT create_distributed_table('t', 'id')", Verdict.EVERY),
        ("SELECT pg_catalog.create_reference_table($1)", Verdict.EVERY),
        ("SELECT undistribute_table('t') AS done", Verdict.EVERY),
        ("SELECT undistribute_table('t') FROM orders", Verdict.REFUSED),
        ("SELECT length(undistribute_table('t')::text)", Verdict.REFUSED),
        ("SELECT mine.undistribute_table('t')", Verdict.ANYWHERE),
    ],
)
def test_a_call_by_itself_concerns_every_shard(sql: str, verdict: Verdict) -> None:
    assert plan(sql.encode(), CATALOG, SHARDING, ("public",)).verdict is verdict


def test_a_function_of_somebody_elses_is_called() -> None:
    catalog = with_functions(Function("public", "undistribute_table", ("text",), language="sql", body="SELECT 1"))
    assert plan(b"SELECT undistribute_table('t')", catalog, SHARDING, ("public",)).verdict is not Verdict.EVERY
