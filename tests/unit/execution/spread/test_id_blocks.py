"""Blocks of ids, from a home shard that counts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from trunkline.errors import ServerRefused, StatementRefused
from trunkline.execution.spread.id_blocks import MAX_BLOCK, OWN, Blocks
from trunkline.shard_errors import SequenceBehind


class Counting:
    """What errands say of one sequence; it remembers how much was asked for."""

    def __init__(self, *standing: int | None) -> None:
        self.standing = list(standing)
        self.last = self.standing[0] or 0
        self.drawn: list[int] = []
        self.cycles = self.absent = False

    async def rows(self, pool: int, sql: str) -> list[tuple[str | None, ...]]:
        if "to_regclass" in sql:
            found = self.standing[pool]
            return [(str(found) if found is not None else None,)]
        if "CREATE" in sql:
            self.absent = False
            return []
        if self.absent:
            raise ServerRefused("42P01", "no such sequence")
        needed, wanted = map(int, re.findall(r"greatest\((\d+), least\((\d+)", sql)[0])
        if self.cycles:
            return []
        self.drawn.append(max(needed, wanted))
        first, self.last = self.last + 1, self.last + max(needed, wanted)
        return [(None,), *((str(one), "77") for one in range(first, self.last + 1))]


def blocks_of(*standing: int | None) -> tuple[Blocks, Counting, list[Any]]:
    errands = Counting(*standing)
    return Blocks(errands), errands, list(range(len(standing)))  # type: ignore[arg-type]


async def test_every_value_is_given_once_and_in_order() -> None:
    blocks, errands, pools = blocks_of(None, None)
    given = [value for count in (1, 3, 1, 1, 7, 2) for value in await blocks.draw(pools, 0, '"a"."b"', count)]
    assert given == list(range(1, 16))
    assert len(errands.drawn) < 6


async def test_a_block_grows_while_it_is_used_up_soon_and_has_a_limit() -> None:
    blocks, errands, pools = blocks_of(None)
    for _ in range(3000):
        await blocks.draw(pools, 0, "s", 1)
    assert errands.drawn[:5] == [1, 2, 4, 8, 16]
    assert max(errands.drawn) == MAX_BLOCK


async def test_nothing_is_kept_of_what_was_drawn_before_a_sequence_was_set() -> None:
    blocks, errands, pools = blocks_of(None)
    for _ in range(5):
        await blocks.draw(pools, 0, "s", 1)
    blocks.forget("s")
    errands.last = 100
    assert await blocks.draw(pools, 0, "s", 2) == [101, 102]
    assert await blocks.draw(pools, 0, "s", 1) == [103]
    assert errands.drawn[-2:] == [2, 1]


async def test_another_catalog_is_another_sequence() -> None:
    blocks, errands, pools = blocks_of(None)
    for _ in range(5):
        await blocks.draw(pools, 0, "s", 1)
    blocks.know(7)
    errands.last = 100
    assert await blocks.draw(pools, 0, "s", 1) == [101]


async def test_a_home_sequence_behind_a_shards_own_is_refused_until_it_is_set() -> None:
    blocks, errands, pools = blocks_of(5, None, 9)
    with pytest.raises(SequenceBehind, match="9"):
        await blocks.draw(pools, 0, "s", 1)
    errands.standing[0] = errands.last = 9
    assert await blocks.draw(pools, 0, "s", 1) == [10]


async def test_a_sequence_that_cycles_gives_no_ids() -> None:
    blocks, errands, pools = blocks_of(None)
    errands.cycles = True
    with pytest.raises(StatementRefused, match="cycles"):
        await blocks.draw(pools, 0, "s", 1)


async def test_our_own_sequence_is_made_when_it_is_needed() -> None:
    blocks, errands, pools = blocks_of(None)
    errands.absent = True
    assert await blocks.draw(pools, 0, OWN, 1) == [1]


async def test_what_is_here_is_taken_at_once_and_given_back_in_its_order() -> None:
    blocks, errands, pools = blocks_of(None)
    assert blocks.take(pools, 0, "s", 1) is None
    for _ in range(4):
        await blocks.draw(pools, 0, "s", 1)
    drawn = sum(errands.drawn)
    assert drawn > 5
    taken = blocks.take(pools, 0, "s", 2)
    assert taken == [5, 6]
    blocks.give_back(pools, 0, "s", taken)
    assert blocks.take(pools, 0, "s", drawn) is None
    assert await blocks.draw(pools, 0, "s", 3) == [5, 6, 7]
    blocks.forget("s")
    assert blocks.take(pools, 0, "s", 1) is None
