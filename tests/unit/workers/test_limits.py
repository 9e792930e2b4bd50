"""The supervisor's side of common limits, with two workers whose channels only note what they are told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.relay import config
from trunkline.workers.limits import Limits

POOL = ["pool", "app", "me"]


class Told:
    """A worker's channel."""

    def __init__(self, spare: int = 0) -> None:
        self.told: list[tuple[str, Any]] = []
        self.spare = spare

    def tell(self, verb: str, **arguments: Any) -> None:
        self.told.append((verb, arguments.get("number", arguments.get("busy"))))

    async def ask(self, verb: str, **arguments: Any) -> int:
        assert verb == "spare"
        spare, self.spare = self.spare, 0
        return spare


class Two:
    def __init__(self, **settings: Any) -> None:
        self.one, self.other = (SimpleNamespace(number=number, channel=Told()) for number in (1, 2))
        members = {1: self.one, 2: self.other}
        supervisor = SimpleNamespace(
            config=config(workers=2, **settings), members=members, serving=members, stopped=asyncio.Event()
        )
        self.limits = Limits(supervisor)  # type: ignore[arg-type]

    async def says(self, member: Any, verb: str, account: list[str], **arguments: Any) -> Any:
        return await self.limits.verbs[verb](member, account, **arguments)


async def test_a_slot_goes_from_one_worker_to_the_other() -> None:
    two = Two(default_pool_size=1)
    want = {"number": 1, "waiting": True, "reserve": False}
    await two.says(two.one, "want", POOL, **want)
    assert two.one.channel.told == [("grant", 1)]
    await two.says(two.other, "want", POOL, **want)
    assert two.one.channel.told[1:] == [("give", False)]
    while ("give", True) not in two.one.channel.told:
        await asyncio.sleep(0.01)
    await two.says(two.one, "release", POOL, number=1)
    assert two.other.channel.told == [("grant", 1)]


async def test_who_has_ended_leaves_its_slots_to_others() -> None:
    two = Two(max_db_connections=1)
    assert await two.says(two.one, "enter", POOL) == 1
    assert await two.says(two.other, "enter", POOL) == 0
    two.limits.forget(two.one)
    assert await two.says(two.other, "enter", POOL) == 1


@pytest.mark.parametrize(
    ("account", "setting"),
    [
        (["clients"], "max_client_conn"),
        (["clients of database", "app"], "max_db_client_connections"),
        (["clients of user", "me"], "max_user_client_connections"),
    ],
)
async def test_clients_are_let_in_by_the_block_and_unused_ones_are_collected(account: list[str], setting: str) -> None:
    two = Two(**{setting: 32})
    assert [await two.says(two.one, "enter", account) for _ in range(16)] == [2] * 16
    assert await two.says(two.other, "enter", account) == 0
    two.one.channel.spare = 5
    assert await two.says(two.other, "enter", account) == 2
    assert await two.says(two.other, "enter", account) == 2
