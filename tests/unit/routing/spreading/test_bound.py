"""What an element of ORDER BY, GROUP BY or PARTITION BY means."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure


def test_order_by_means_an_output_first_and_group_by_an_input() -> None:
    ordered = plan_or_reason(request("SELECT x AS t, t AS x FROM a ORDER BY t"))
    assert ordered.sql.startswith(b"SELECT x AS t, t AS x, x FROM")
    merge = plan_or_reason(request("SELECT x AS k, count(*) FROM a GROUP BY k, x"))
    assert merge.unique is None  # by the column k, which is the key


@pytest.mark.parametrize("over", ["(PARTITION BY k)", "(PARTITION BY x, k ORDER BY t)", "w", "(w ORDER BY x)", "u"])
def test_a_window_within_a_key_is_on_one_shard(over: str) -> None:
    sql = f"SELECT row_number() OVER {over} FROM a WINDOW w AS (PARTITION BY k), u AS (w ORDER BY x)"
    assert plan_or_reason(request(sql)).unique is None


@pytest.mark.parametrize("over", ["()", "(PARTITION BY x)", "(ORDER BY k)", "w"])
def test_another_is_not(over: str) -> None:
    with pytest.raises(Unsure, match="window"):
        plan_or_reason(request(f"SELECT row_number() OVER {over} FROM a WINDOW w AS (PARTITION BY x)"))


def test_a_name_of_two_outputs_is_not_certain() -> None:
    with pytest.raises(Unsure, match="several outputs"):
        plan_or_reason(request("SELECT x + 1 AS q, k + 1 AS q FROM a ORDER BY q"))
