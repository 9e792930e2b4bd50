"""COPY at one shard, played at its far end."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.relay import READY, error, query, relay
from trunkline.execution.spread.one_copy import CopyIntoOne, CopyOutOfOne, begin_copy
from trunkline.execution.spread.participant import Participant
from trunkline.protocol.messages import command_complete, message
from trunkline.shard_errors import StatementFailed

IN, OUT = message(b"G", b"\0\0\0"), message(b"H", b"\0\0\0")
ROW, DONE = message(b"d", b"1\n"), message(b"c", b"")


async def test_data_pass_out_as_they_come() -> None:
    async with relay() as made:
        _, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        begun = asyncio.ensure_future(begin_copy(one, b"COPY t TO STDOUT"))
        await asyncio.sleep(0)
        assert far.bytes() == query(b"COPY t TO STDOUT")
        far.send(OUT, ROW, ROW, DONE, command_complete("COPY 2"), READY)
        made.turn()
        copy = await begun
        assert isinstance(copy, CopyOutOfOne)
        assert b"".join([run async for run in copy.rows()]) == OUT + ROW + ROW + DONE
        assert copy.tag() == b"COPY 2"


async def test_data_pass_in_until_it_fails() -> None:
    async with relay() as made:
        _, far = made.server()
        one = Participant(made.engine, made.pool, 0, None)
        await one.lease()
        begun = asyncio.ensure_future(begin_copy(one, b"COPY t FROM STDIN"))
        await asyncio.sleep(0)
        far.send(IN)
        made.turn()
        copy = await begun
        assert isinstance(copy, CopyIntoOne)
        assert await copy.response() == IN
        far.bytes()
        await copy.feed(ROW)
        assert far.bytes() == ROW
        far.send(error("22P02"), READY)
        made.turn()
        await copy.feed(ROW)
        assert far.bytes() == b""
        with pytest.raises(StatementFailed):
            await copy.finish()
        assert one.server is not None
        assert one.server.session.free
