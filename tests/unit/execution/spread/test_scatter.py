"""One text at several shards, played at their far ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, FarEnd, Relay, error, relay
from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.description import Description, fields_of
from trunkline.execution.spread.participant import Participant
from trunkline.execution.spread.scatter import Scatter, united
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, data_row, row_description
from trunkline.shard_errors import StatementFailed

COLUMNS = row_description([("id", 20)])
DESCRIBED = Description((), fields_of(COLUMNS[5:]))
BEGUN = PARSE_COMPLETE + BIND_COMPLETE


async def two(made: Relay) -> tuple[list[Participant], list[FarEnd]]:
    fars = [made.server()[1] for _ in range(2)]
    found = [Participant(made.engine, made.pool, number, None) for number in range(2)]
    for one in found:
        await one.lease()
    by_server = dict(zip([one.server for one in found], found, strict=True))
    assert len(by_server) == 2
    return found, fars[::-1]  # the last one is leased first


async def rows_of(scatter: Scatter) -> bytes:
    return b"".join([run async for run in scatter.rows()])


async def test_rows_of_one_shard_come_behind_those_of_another() -> None:
    async with relay() as made:
        participants, fars = await two(made)
        scatter = Scatter(Asked(None, DESCRIBED), b"SELECT id FROM t", participants)
        taken = asyncio.ensure_future(rows_of(scatter))
        for number, far in enumerate(fars):
            assert far.kinds() == "PBHDES"
            far.send(BEGUN, COLUMNS, data_row([b"%d" % number]) * 2, command_complete("SELECT 2"), READY)
        made.turn()
        assert await taken == data_row([b"0"]) * 2 + data_row([b"1"]) * 2
        assert scatter.tag() == b"SELECT 4"


async def test_an_error_of_one_shard_is_the_answer() -> None:
    async with relay() as made:
        participants, fars = await two(made)
        taken = asyncio.ensure_future(rows_of(Scatter(Asked(None, DESCRIBED), b"SELECT id FROM t", participants)))
        fars[0].send(BEGUN, COLUMNS, data_row([b"1"]), error("22012"), READY)
        made.turn()
        with pytest.raises(StatementFailed):
            await taken


async def test_shards_with_other_columns_are_refused() -> None:
    async with relay() as made:
        participants, fars = await two(made)
        taken = asyncio.ensure_future(rows_of(Scatter(Asked(None, DESCRIBED), b"SELECT id FROM t", participants)))
        fars[0].send(BEGUN, row_description([("id", 23)]), command_complete("SELECT 0"), READY)
        made.turn()
        with pytest.raises(StatementRefused, match="agree"):
            await taken


def test_counts_of_tags_are_summed() -> None:
    assert united([b"INSERT 0 2", b"INSERT 0 3"]) == b"INSERT 0 5"
    assert united([b"UPDATE 1", b"UPDATE 0"]) == b"UPDATE 1"
    assert united([b"SAVEPOINT", b"SAVEPOINT"]) == b"SAVEPOINT"
