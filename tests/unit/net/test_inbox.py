"""Messages read with await, bounded in memory, from a link that may end at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.relay import FarEnd, pair
from trunkline.net.engine import Engine
from trunkline.net.inbox import HOLD_BYTES, ConnectionEnded, Inbox, MessageTooLong
from trunkline.net.link import Link
from trunkline.net.tasks import Tasks

Ends = tuple[Engine, Link, Inbox, FarEnd]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    engine, (fd, far) = Engine(asyncio.get_running_loop()), pair()
    link = Link(engine)
    inbox = Inbox(link)
    link.attach(fd)
    yield engine, link, inbox, far
    link.close()
    far.close()
    engine.close()


async def test_a_message_is_whole_however_it_comes(ends: Ends) -> None:
    _, _, inbox, far = ends
    reading = Tasks().spawn(inbox.message(100))
    for byte in b"p\0\0\0\x07abc":
        far.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await reading == (ord("p"), b"abc")


async def test_messages_come_in_order_and_the_rest_stays(ends: Ends) -> None:
    _, _, inbox, far = ends
    far.send(b"p\0\0\0\x05aq\0\0\0\4rest")
    assert await inbox.message(100) == (ord("p"), b"a")
    assert await inbox.message(100) == (ord("q"), b"")
    assert inbox.rest() == b"rest"
    assert inbox.rest() == b""


@pytest.mark.parametrize("length", [b"\0\0\0\3", b"\0\0\0\x0f", b"\xff\xff\xff\xff"])
async def test_a_length_that_is_not_accepted_is_refused_at_the_header(ends: Ends, length: bytes) -> None:
    _, _, inbox, far = ends
    far.send(b"p" + length)
    with pytest.raises(MessageTooLong):
        await inbox.message(10)


async def test_the_largest_message_that_is_accepted(ends: Ends) -> None:
    _, _, inbox, far = ends
    far.send(b"p\0\0\0\x0e" + b"x" * 10)
    assert await inbox.message(10) == (ord("p"), b"x" * 10)


async def test_the_end_wakes_who_waits(ends: Ends) -> None:
    _, _, inbox, far = ends
    reading = Tasks().spawn(_expect_end(inbox))
    await asyncio.sleep(0)
    far.close()
    assert await reading


async def test_closing_the_link_under_a_reader_wakes_it(ends: Ends) -> None:
    _, link, inbox, _ = ends
    reading = Tasks().spawn(_expect_end(inbox))
    await asyncio.sleep(0)
    link.close()
    assert await reading


async def _expect_end(inbox: Inbox) -> bool:
    with pytest.raises(ConnectionEnded):
        await inbox.take(1)
    return True


async def test_what_came_before_the_end_can_be_read(ends: Ends) -> None:
    engine, _, inbox, far = ends
    far.send(b"abc")
    far.close()
    engine.dispatch()
    assert await inbox.take(3) == b"abc"
    with pytest.raises(ConnectionEnded):
        await inbox.take(1)


async def test_an_inbox_that_nobody_reads_stops_its_peer(ends: Ends) -> None:
    engine, link, inbox, far = ends
    while not link.paused:
        far.send(bytes(10_000))
        engine.dispatch()
    held = len(inbox.data)
    assert held < 2 * HOLD_BYTES
    far.send(b"more")
    engine.dispatch()
    assert len(inbox.data) == held
    await inbox.take(held)
    assert await inbox.take(4) == b"more"
