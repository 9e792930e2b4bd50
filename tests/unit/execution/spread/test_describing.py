"""Asking a server what a text means."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, relay
from trunkline.errors import UnknownStatement
from trunkline.execution.spread.binding import DESCRIBE_STATEMENT, parse
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import Description, Field
from trunkline.execution.spread.participants import Participants
from trunkline.protocol.messages import PARSE_COMPLETE, SYNC, error_response
from trunkline.shard_errors import StatementFailed

FOUND = Description((23,), (Field(b"id", 1, 1, 23, 4, -1),))


async def test_its_parameters_and_columns_are_what_the_server_says() -> None:
    async with relay() as made:
        _, far = made.server()
        participants = Participants([made.pool], made.engine, None, Coordinations(made.pools).of("app"))
        asked = asyncio.ensure_future(described(await participants.at(0), b"SELECT id FROM t WHERE id = $1", (23,)))
        await made.settle()
        assert far.bytes() == parse(b"SELECT id FROM t WHERE id = $1", (23,)) + DESCRIBE_STATEMENT + SYNC
        far.send(PARSE_COMPLETE, FOUND.parameter_description(), FOUND.row_description(), READY)
        made.turn()
        assert await asked == FOUND


async def test_what_cannot_be_prepared_fails_in_the_servers_words() -> None:
    async with relay() as made:
        _, far = made.server()
        participants = Participants([made.pool], made.engine, None, Coordinations(made.pools).of("app"))
        asked = asyncio.ensure_future(described(await participants.at(0), b"SELECT nothing", ()))
        await made.settle()
        far.send(error_response(UnknownStatement("no such thing")), READY)
        made.turn()
        with pytest.raises(StatementFailed, match="no such thing"):
            await asked
