"""A worker as its supervisor has it, played by a few lines in a real process."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from trunkline.workers import spawning
from trunkline.workers.channel import Arguments
from trunkline.workers.member import Member

PROGRAM = """
import asyncio, os, sys
from trunkline.workers import spawning
from trunkline.workers.channel import Channel

async def main():
    what, over = spawning.inherited(os.environ), asyncio.Event()
    async def serve(verb, arguments):
        return verb
    channel = await Channel.open(spawning.adopt(what.channel), serve, over.set)
    channel.tell("ready")
    await over.wait()
    sys.exit(7)

asyncio.run(main())
"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", PROGRAM])


async def test_a_member_talks_and_tells_of_its_end(program: None) -> None:
    said, ended = asyncio.Event(), asyncio.Event()

    async def serve(member: Member, verb: str, arguments: Arguments) -> Any:
        assert (member.number, verb) == (3, "ready")
        said.set()

    member = await Member.start(spawning.Worker(3, 4, 6432), serve, lambda member: ended.set())
    await said.wait()
    assert await member.channel.ask("hello") == "hello"
    member.ready = True
    member.channel.close()
    await ended.wait()
    assert not member.ready
    assert await member.ended(10.0) == 7


async def test_a_member_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])

    async def serve(member: Member, verb: str, arguments: Arguments) -> Any:
        raise AssertionError

    member = await Member.start(spawning.Worker(1, 1, 6432), serve, lambda member: None)
    assert await member.ended(0.0) == -9
