"""The answer to an EXPLAIN."""

from __future__ import annotations

from trunkline.execution.spread.explain import Plans
from trunkline.protocol.messages import data_row


async def test_a_plan_is_one_row_a_line() -> None:
    plans = Plans([b"Sort", b"  Seq Scan"])
    assert [run async for run in plans.rows()] == [data_row([b"Sort"]) + data_row([b"  Seq Scan"])]
    assert plans.tag() == b"EXPLAIN"
