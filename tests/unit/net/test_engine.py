"""The engine wakes whoever has bytes, and contains whoever breaks."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from tests.unit.relay import pair
from trunkline.net.engine import Engine
from trunkline.net.inbox import Inbox
from trunkline.net.link import Link


async def test_time_goes_forward_and_is_in_seconds() -> None:
    engine = Engine(asyncio.get_running_loop())
    try:
        first = engine.time()
        assert first <= engine.time() < first + 60
    finally:
        engine.close()


async def test_the_loop_wakes_the_engine() -> None:
    engine = Engine(asyncio.get_running_loop())
    fd, far = pair()
    link = Link(engine)
    inbox = Inbox(link)
    link.attach(fd)
    far.send(b"hello")
    assert await inbox.take(5) == b"hello"
    link.close()
    far.close()
    engine.close()


async def test_many_sockets_are_served_in_one_turn_each_with_its_own() -> None:
    engine = Engine(asyncio.get_running_loop())
    ends = [pair() for _ in range(100)]
    links = [Link(engine) for _ in ends]
    inboxes = [Inbox(link) for link in links]
    for link, (fd, _) in zip(links, ends, strict=True):
        link.attach(fd)
    for number, (_, far) in enumerate(ends):
        far.send(b"%d" % number)
    engine.dispatch()
    assert [bytes(inbox.data) for inbox in inboxes] == [b"%d" % number for number in range(100)]
    for link, (_, far) in zip(links, ends, strict=True):
        link.close()
        far.close()
    engine.close()


async def test_an_exception_of_one_owner_ends_that_owner_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def feed(self, data: bytes) -> None:
            raise RuntimeError("broken")

        def end(self) -> None:
            pass

    engine = Engine(asyncio.get_running_loop())
    (bad_fd, bad_far), (good_fd, good_far) = pair(), pair()
    bad, good = Link(engine), Link(engine)
    bad.open_inbox(Broken())
    inbox = Inbox(good)
    bad.attach(bad_fd)
    good.attach(good_fd)
    bad_far.send(b"x")
    good_far.send(b"y")
    with caplog.at_level(logging.CRITICAL, logger="trunkline.net"):
        engine.dispatch()
    assert not bad.opened
    assert bytes(inbox.data) == b"y"
    good.close()
    for far in (bad_far, good_far):
        far.close()
    engine.close()


async def test_an_event_of_a_socket_that_was_closed_in_the_same_turn_is_dropped() -> None:
    engine = Engine(asyncio.get_running_loop())
    ends = [pair(), pair()]
    links = [Link(engine), Link(engine)]

    class ClosesBoth:
        def __init__(self) -> None:
            self.fed = 0

        def feed(self, data: bytes) -> None:
            self.fed += 1
            for link in links:
                link.close()

        def end(self) -> None:
            pass

    receiver = ClosesBoth()
    for link, (fd, far) in zip(links, ends, strict=True):
        link.open_inbox(receiver)
        link.attach(fd)
        far.send(b"x")
    engine.dispatch()
    assert receiver.fed == 1
    assert not any(link.opened for link in links)
    for _, far in ends:
        far.close()
    engine.close()


async def test_a_closed_engine_wakes_nobody_and_leaves_the_sockets() -> None:
    engine = Engine(asyncio.get_running_loop())
    engine.close()
    engine.close()
    one, other = socket.socketpair()
    one.close()
    other.close()
