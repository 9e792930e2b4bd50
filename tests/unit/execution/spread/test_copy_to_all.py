"""COPY into a reference table: all shards get all of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.execution.spread.test_scatter import two
from tests.unit.relay import READY, error, relay
from trunkline.execution.spread.copy_to_all import CopyIntoAll
from trunkline.protocol.messages import command_complete, message, query
from trunkline.shard_errors import CopiesDiffer, StatementFailed

RESPONSE = message(b"G", b"\0\0\1\0\0")


@pytest.mark.parametrize("second", ["COPY 1", "COPY 2"])
async def test_all_have_to_take_as_many_rows(second: str) -> None:
    async with relay() as made:
        people, fars = await two(made)
        for one, far in zip(people, fars, strict=True):
            one.request(query(b"COPY r FROM STDIN"), ("query",))
            far.kinds()
            far.send(RESPONSE)
        made.turn()
        copy = CopyIntoAll(people, RESPONSE)
        for one in people:
            await one.message()
        await copy.feed(message(b"d", b"1\n"))
        done = asyncio.ensure_future(copy.finish())
        await asyncio.sleep(0)
        for far, tag in zip(fars, ("COPY 1", second), strict=True):
            assert far.kinds() == "dc"
            far.send(command_complete(tag), READY)
        made.turn()
        if second == "COPY 1":
            assert await done == b"COPY 1"
        else:
            with pytest.raises(CopiesDiffer):
                await done


async def test_an_error_is_told_and_not_that_the_others_were_given_up() -> None:
    async with relay() as made:
        people, fars = await two(made)
        for one, far in zip(people, fars, strict=True):
            one.request(query(b"COPY r FROM STDIN"), ("query",))
            far.send(RESPONSE)
        made.turn()
        copy = CopyIntoAll(people, RESPONSE)
        for one in people:
            await one.message()
        fars[1].send(error("23505"), READY)
        made.turn()
        fed = asyncio.ensure_future(copy.feed(message(b"d", b"1\n")))
        await asyncio.sleep(0)
        fars[0].send(error("57014"), READY)
        made.turn()
        with pytest.raises(StatementFailed) as told:
            await fed
        assert told.value.sqlstate == "23505"
