"""A cursor that has all its rows."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import StatementRefused
from trunkline.execution.spread.gather_budget import Budget, Total
from trunkline.execution.spread.kept_rows import KeptRows
from trunkline.protocol.messages import data_row
from trunkline.routing.spreading.cursors import Declared, Fetch
from trunkline.shard_errors import GatherTooLarge, PortalSpent, ScansForward

ROWS = [data_row([b"%d" % number]) for number in range(5)]


def kept(*, scrolls: bool, budget: Budget | None = None) -> KeptRows:
    nothing: Any = None
    made = KeptRows((), budget or Budget(0, 0), Declared(nothing, None, "c", scrolls, False))
    made.keep(b"".join(ROWS[:3]))
    made.keep(b"".join(ROWS[3:]))
    return made


async def taken(cursor: KeptRows, direction: str, count: int) -> list[bytes]:
    return [run async for run, _ in cursor.rows(Fetch("c", direction, count, moves=False), ())]


async def test_rows_are_given_in_runs_forward_and_one_by_one_backward() -> None:
    cursor = kept(scrolls=True)
    assert await taken(cursor, "forward", 3) == [b"".join(ROWS[:3])]
    assert await taken(cursor, "backward", 9) == [ROWS[1], ROWS[0]]
    assert await taken(cursor, "absolute", -1) == [ROWS[4]]


async def test_one_without_scroll_fails_for_good_when_it_is_to_go_back() -> None:
    cursor = kept(scrolls=False)
    await taken(cursor, "forward", 2)
    with pytest.raises(ScansForward):
        await taken(cursor, "backward", 1)
    with pytest.raises(PortalSpent):
        await taken(cursor, "forward", 1)


async def test_it_keeps_texts_within_a_budget() -> None:
    total = Total()
    cursor = kept(scrolls=False, budget=Budget(0, 0, total))
    assert total.bytes == sum(map(len, ROWS))
    with pytest.raises(StatementRefused):
        cursor.must_do(Fetch("c", "forward", 1, moves=False), (1,))
    await cursor.close()
    assert total.bytes == 0
    with pytest.raises(GatherTooLarge):
        kept(scrolls=False, budget=Budget(10, 0, total))
