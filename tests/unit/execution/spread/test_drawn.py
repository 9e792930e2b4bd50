"""What a server says of a statement for which ids are drawn first."""

from __future__ import annotations

import asyncio

from tests.unit.execution.spread.sharded_shop import shop
from tests.unit.relay import READY, relay
from trunkline.execution.spread.conductor import Conductor
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.cursors import Cursors
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.studies import Studies
from trunkline.protocol.messages import NO_DATA, PARSE_COMPLETE, message


async def test_the_ids_are_no_parameters_of_the_clients() -> None:
    async with relay() as made:
        router, context = shop()
        _, far = made.server()
        participants = Participants([made.pool] * 2, made.engine, None, Coordinations(made.pools).of("app"))
        conductor = Conductor(router, Studies(), participants, context, None, Cursors())
        asked = asyncio.ensure_future(conductor.describe(b"SELECT $1::int4, trunkline.uuid7()", ()))
        await asyncio.sleep(0)
        assert b"SELECT $1::int4, (SELECT $2::pg_catalog.uuid AS uuid7)" in far.bytes()
        far.send(PARSE_COMPLETE, message(b"t", b"\0\2\0\0\0\x17\0\0\x0b\x86"), NO_DATA, READY)
        made.turn()
        assert (await asked).parameters == (23,)
