"""A cursor that only goes forward, over rows that come in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from trunkline.errors import StatementRefused
from trunkline.execution.spread.flowing import Flowing
from trunkline.protocol.messages import data_row
from trunkline.routing.spreading.cursors import ALL, Fetch
from trunkline.shard_errors import PortalSpent, ScansForward, StatementFailed

ROWS = [data_row([b"%d" % number]) for number in range(7)]


class Pieces:
    """A source that gives three rows at a time, and fails where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.left = list(ROWS)

    async def more(self, count: int, formats: Sequence[int]) -> bytes:
        """Three of them."""
        if self.fails:
            raise StatementFailed("22012", "division by zero")
        found, self.left = self.left[:3], self.left[3:]
        return b"".join(found)


async def taken(cursor: Flowing, direction: str, count: int, formats: Sequence[int] = ()) -> bytes:
    return b"".join([run async for run, _ in cursor.rows(Fetch("c", direction, count, moves=False), formats)])


async def test_what_comes_too_much_is_kept_for_the_next() -> None:
    cursor = Flowing("c", (), Pieces(), ())
    assert await taken(cursor, "forward", 2) == b"".join(ROWS[:2])
    assert await taken(cursor, "relative", 2) == ROWS[3]
    assert await taken(cursor, "absolute", 6) == ROWS[5]
    assert await taken(cursor, "forward", ALL) == ROWS[6]
    assert await taken(cursor, "forward", 1) == b""
    with pytest.raises(ScansForward):
        await taken(cursor, "backward", 1)


async def test_one_that_has_failed_cannot_be_run() -> None:
    source = Pieces(fails=True)
    cursor = Flowing("c", (), source, ())
    with pytest.raises(StatementFailed):
        await taken(cursor, "forward", 1)
    source.fails = False
    with pytest.raises(PortalSpent):
        await taken(cursor, "forward", 1)


async def test_rows_that_were_fetched_ahead_have_one_format() -> None:
    cursor = Flowing("c", (), Pieces(), ())
    await taken(cursor, "forward", 1, (0,))
    with pytest.raises(StatementRefused):
        await taken(cursor, "forward", 1, (1,))
