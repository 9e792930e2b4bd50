"""A merge at work, the shards played at their far ends."""

from __future__ import annotations

import asyncio
import struct

import pytest

from tests.unit.execution.spread.test_scatter import BEGUN, DESCRIBED, two
from tests.unit.relay import READY, FarEnd, Relay, error, relay
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.merged import Merged, merged
from trunkline.protocol.messages import PARSE_COMPLETE, command_complete, data_row, message, row_description
from trunkline.routing.spreading.merge import Limits, Merge, Merging, SortKey
from trunkline.shard_errors import StatementFailed

COLUMNS = row_description([("id", 20), ("id", 20)])
NO_PARAMETERS = message(b"t", b"\0\0")


def row(number: int) -> bytes:
    return data_row([b"%d" % number, struct.pack("!q", number)])


def program(limits: Limits = Limits()) -> Merging:  # noqa: B008 - immutable
    return Merging(Merge(b"SELECT id, id FROM t ORDER BY 2", 1, 1, (SortKey(),), limits=limits), None)


async def begun(made: Relay, merging: Merging, columns: bytes = COLUMNS) -> tuple[Merged | None, list[FarEnd]]:
    participants, fars = await two(made)
    asked = asyncio.ensure_future(merged(merging, Asked(None, DESCRIBED), participants))
    await asyncio.sleep(0)
    assert fars[0].kinds() == "PDS"
    fars[0].send(PARSE_COMPLETE, NO_PARAMETERS, columns, READY)
    made.turn()
    return await asked, fars


async def rows_of(answer: Merged) -> bytes:
    answer.ask()
    await answer.bound()
    return b"".join([run async for run in answer.rows()])


async def test_rows_come_in_order_and_without_what_they_are_ordered_by() -> None:
    async with relay() as made:
        answer, fars = await begun(made, program())
        assert answer is not None
        taken = asyncio.ensure_future(rows_of(answer))
        await asyncio.sleep(0)
        for far, numbers in zip(fars, ((1, 4), (2, 3)), strict=True):
            far.send(BEGUN, COLUMNS, *map(row, numbers), command_complete("SELECT 2"), READY)
        made.turn()
        assert await taken == b"".join(data_row([b"%d" % number]) for number in (1, 2, 3, 4))
        assert answer.tag() == b"SELECT 4"


async def test_what_is_beyond_the_limit_is_taken_to_its_end() -> None:
    async with relay() as made:
        answer, fars = await begun(made, program(Limits(1, 1)))
        assert answer is not None
        taken = asyncio.ensure_future(rows_of(answer))
        await asyncio.sleep(0)
        for far, numbers in zip(fars, ((1, 4), (2, 3)), strict=True):
            far.send(BEGUN, COLUMNS, *map(row, numbers), command_complete("SELECT 2"), READY)
        made.turn()
        assert await taken == data_row([b"2"])
        assert answer.tag() == b"SELECT 1"


async def test_an_error_of_one_shard_is_the_answer() -> None:
    async with relay() as made:
        answer, fars = await begun(made, program())
        assert answer is not None
        taken = asyncio.ensure_future(rows_of(answer))
        await asyncio.sleep(0)
        fars[0].send(BEGUN, COLUMNS, row(1), command_complete("SELECT 1"), READY)
        fars[1].send(BEGUN, COLUMNS, row(0), error("22012"), READY)
        made.turn()
        with pytest.raises(StatementFailed):
            await taken


async def test_types_that_are_not_exact_are_left_to_another_way_and_asked_for_once() -> None:
    async with relay() as made:
        merging = program()
        answer, _ = await begun(made, merging, row_description([("id", 20), ("id", 25)]))
        assert answer is None
        assert merging.known == {(): None}
