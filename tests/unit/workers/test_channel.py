"""Two ends of a channel in one process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from trunkline.errors import UnknownDatabase
from trunkline.workers.channel import Arguments, Channel, ChannelEnded, Refused


class Ends:
    """Both ends; the far one answers with what it was asked, or as a test has it."""

    near: Channel
    far: Channel

    def __init__(self) -> None:
        self.heard: list[tuple[str, Arguments]] = []
        self.over = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def open(self) -> None:
        here, there = socket.socketpair()
        self.near = await Channel.open(here, self.serve, self.over.set)
        self.far = await Channel.open(there, self.serve)

    async def serve(self, verb: str, arguments: Arguments) -> object:
        self.heard.append((verb, arguments))
        await self.may_answer.wait()
        if verb == "refuse":
            raise UnknownDatabase("no such database", hint="Look again.")
        if verb == "break":
            raise ValueError
        return [verb, arguments]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    await made.open()
    yield made
    made.near.close()
    made.far.close()
    await made.over.wait()


async def test_an_answer_comes_to_who_asked(ends: Ends) -> None:
    answers = await asyncio.gather(*(ends.near.ask("show", number=number) for number in range(3)))
    assert answers == [["show", {"number": number}] for number in range(3)]


async def test_long_messages_arrive_whole(ends: Ends) -> None:
    text = "ä" * 1_000_000
    assert await ends.near.ask("show", text=text) == ["show", {"text": text}]


async def test_bytes_that_were_no_utf8_arrive_as_they_were(ends: Ends) -> None:
    name = b"\xff".decode(errors="surrogateescape")
    assert await ends.near.ask("show", name=name) == ["show", {"name": name}]


async def test_news_need_no_answer_and_keep_their_order(ends: Ends) -> None:
    for number in range(3):
        ends.near.tell("refuse", number=number)
    await ends.near.ask("show")
    assert [arguments.get("number") for _, arguments in ends.heard] == [0, 1, 2, None]


async def test_an_error_is_raised_at_who_asked(ends: Ends) -> None:
    with pytest.raises(Refused, match="no such database") as refused:
        await ends.near.ask("refuse")
    assert (refused.value.sqlstate, refused.value.hint) == ("3D000", "Look again.")
    with pytest.raises(Refused, match="internal error"):
        await ends.near.ask("break")


async def test_who_waits_hears_of_the_end(ends: Ends) -> None:
    ends.may_answer.clear()
    asking = asyncio.gather(ends.near.ask("show"), return_exceptions=True)
    while not ends.heard:
        await asyncio.sleep(0)
    ends.far.close()
    (answer,) = await asking
    assert isinstance(answer, ChannelEnded)
    with pytest.raises(ChannelEnded):
        await ends.near.ask("show")
    ends.near.tell("show")
    ends.may_answer.set()
