"""One client's statements over several shards, played at their far ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.execution.spread.sharded_shop import shop
from tests.unit.relay import READY, relay
from trunkline.errors import StatementRefused, TransactionAborted
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.conductor import Conductor
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.cursors import Cursors
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.studies import Studies
from trunkline.protocol.messages import NO_DATA, PARSE_COMPLETE, message


async def test_a_text_is_described_once() -> None:
    async with relay() as made:
        router, context = shop()
        _, far = made.server()
        participants = Participants([made.pool] * 2, made.engine, None, Coordinations(made.pools).of("app"))
        conductor = Conductor(router, Studies(), participants, context, None, Cursors())
        described = asyncio.ensure_future(conductor.describe(b"SELECT $1", (23,)))
        await asyncio.sleep(0)
        assert far.kinds() == "PDS"
        far.send(PARSE_COMPLETE, message(b"t", b"\0\1\0\0\0\x17"), NO_DATA, READY)
        made.turn()
        assert (await described).parameters == (23,)
        assert await conductor.describe(b"SELECT $1", (23,)) is await described
        assert far.bytes() == b""


async def test_a_failed_block_hears_nothing_but_its_end() -> None:
    async with relay() as made:
        router, context = shop()
        participants = Participants([made.pool] * 2, made.engine, None, Coordinations(made.pools).of("app"))
        conductor = Conductor(router, Studies(), participants, context, None, Cursors())
        begun = await conductor.start(Statement(b"BEGIN"))
        assert (begun.answer.tag(), conductor.status) == (b"BEGIN", "T")
        await conductor.fail()
        assert conductor.status == "E"
        for sql in (b"SELECT name FROM customers", b"SELECT 1", b"SAVEPOINT a"):
            with pytest.raises(TransactionAborted):
                await conductor.start(Statement(sql))
        begun = await conductor.start(Statement(b"COMMIT"))
        assert (begun.answer.tag(), conductor.status) == (b"ROLLBACK", "I")


async def test_what_would_stay_in_one_session_is_refused() -> None:
    async with relay() as made:
        router, context = shop()
        participants = Participants([made.pool] * 2, made.engine, None, Coordinations(made.pools).of("app"))
        conductor = Conductor(router, Studies(), participants, context, None, Cursors())
        made.server()
        for sql in (b"SET work_mem = '1MB'", b"SELECT pg_advisory_lock(1)", b"PREPARE p AS SELECT 1"):
            with pytest.raises(StatementRefused, match="leave something"):
                await conductor.start(Statement(sql))
