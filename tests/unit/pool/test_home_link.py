"""What comes over the connection that listens: answers in their order, and notifications between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, FarEnd, Relay, error, query, relay
from trunkline.errors import ServerLost, ServerRefused
from trunkline.net.inbox import ConnectionEnded
from trunkline.pool.home_link import HomeLink
from trunkline.pool.listening import Unleased
from trunkline.protocol.messages import command_complete, message


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Relay, HomeLink, FarEnd, list[str]]]:
    heard: list[str] = []
    async with relay() as made:
        server, far = made.opener.connect(Unleased())
        link = HomeLink(server, heard.append)
        reading = asyncio.ensure_future(link.read())
        yield made, link, far, heard
        link.close("the test is over")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def notification(payload: bytes) -> bytes:
    return message(b"A", bytes(4) + b"trunkline_directory\0" + payload + b"\0")


async def test_each_question_has_its_rows_and_notifications_come_between() -> None:
    async with linked() as (made, link, far, heard):
        first, second = (asyncio.ensure_future(link.ask(sql)) for sql in ("one", "two"))
        await made.settle()
        assert far.bytes() == query(b"one") + query(b"two")
        rows = [row(b"1", b"s0"), row(b"2", b"s1")]
        far.send(*[message(b"D", one) for one in rows], command_complete("SELECT 2"), READY, notification(b"public.d"))
        far.send(command_complete("SELECT 0"), READY, notification(b""))
        await made.settle()
        assert (await first, await second, heard) == (rows, [], ["public.d", ""])


async def test_what_is_refused_is_that_questions_error_only() -> None:
    async with linked() as (made, link, far, _):
        first, second = (asyncio.ensure_future(link.ask(sql)) for sql in ("one", "two"))
        await made.settle()
        far.send(message(b"D", row(b"1", b"s0")), error("42501", "not for you"), READY, READY)
        await made.settle()
        with pytest.raises(ServerRefused, match="not for you"):
            await first
        assert await second == []


async def test_an_answer_that_nobody_waits_for_any_more_is_not_the_next_ones() -> None:
    async with linked() as (made, link, far, _):
        first, second = (asyncio.ensure_future(link.ask(sql)) for sql in ("one", "two"))
        await made.settle()
        first.cancel()
        await made.settle()
        far.send(message(b"D", row(b"1", b"s0")), READY, READY)
        await made.settle()
        assert await second == []


async def test_who_waits_when_it_is_closed_hears_why() -> None:
    async with linked() as (made, link, _, _):
        asked = asyncio.ensure_future(link.ask("one"))
        await made.settle()
        link.close("it is over")
        with pytest.raises(ServerLost, match="it is over"):
            await asked
        with pytest.raises(ServerLost):
            await link.ask("two")


async def test_a_server_that_does_not_answer_is_given_up_but_not_while_it_is_busy_with_what_came_before() -> None:
    async with linked() as (made, link, far, _):
        first = asyncio.ensure_future(link.ask("one"))
        await made.settle()
        with pytest.raises(ServerLost, match="does not answer"):
            await link.ask("two", patience_s=0)
        far.send(READY, READY)
        await made.settle()
        assert await first == []
        with pytest.raises(ServerLost, match="does not answer"):
            await link.ask("three", patience_s=0)
        assert not link.server.opened


async def test_its_reader_ends_with_the_connection() -> None:
    async with relay() as made:
        server, far = made.opener.connect(Unleased())
        reading = asyncio.ensure_future(HomeLink(server, print).read())
        await made.settle()
        far.close()
        await made.settle()
        with pytest.raises(ConnectionEnded):
            await reading
