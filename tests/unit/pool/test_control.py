"""A connection for a few questions of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.relay import ADDRESS, READY, FarEnd, Relay, error, relay, rows
from trunkline.errors import ServerLost, ServerRefused
from trunkline.pool.control import Control
from trunkline.pool.opening import Credentials, Target


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[Relay, Control, FarEnd]]:
    async with relay() as made:
        control = await Control.open(made.pools, Target(ADDRESS, "d", Credentials("u", None, None, None), ()))
        yield made, control, made.opener.opened[0][1]


async def test_one_question_after_the_other_is_answered_apart_from_all_pools() -> None:
    async with asking() as (made, control, far):
        assert len(made.pools.control) == 1
        assert made.pool.servers == 0
        for value in ("a", "b"):
            asked = made.pools.tasks.spawn(control.rows(b"SELECT 1"))
            await made.settle()
            far.send(rows(value.encode()), READY)
            await made.settle()
            assert await asked == [(value,)]
        control.close()
        assert len(made.pools.control) == 0


async def test_an_error_is_told_in_the_servers_words_and_a_loss_as_one() -> None:
    async with asking() as (made, control, far):
        for said, expected in ((error("42501", "not you") + READY, ServerRefused), (b"", ServerLost)):
            asked = made.pools.tasks.spawn(control.rows(b"SELECT 1"))
            await made.settle()
            far.send(said) if said else far.close()
            await made.settle()
            with pytest.raises(expected):
                await asked
        with pytest.raises(ServerLost):
            await control.rows(b"SELECT 1")


async def test_a_server_that_does_not_answer_is_left() -> None:
    async with asking() as (made, control, _):
        with pytest.raises(ServerLost, match="no answer within 0 s"):
            await control.rows(b"SELECT 1", patience_s=0)
        assert len(made.pools.control) == 0


async def test_who_asked_may_give_up() -> None:
    async with asking() as (made, control, far):
        asked = made.pools.tasks.spawn(control.rows(b"SELECT 1"))
        await made.settle()
        asked.cancel()
        await asyncio.wait([asked])
        far.send(rows(b"late"), READY)
        await made.settle()
        assert asked.cancelled()
