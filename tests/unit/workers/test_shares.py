"""A worker's slots, with a channel that only notes what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.relay import config
from trunkline.admin.console import serve_console
from trunkline.pool.pool import Pool
from trunkline.proxy.instance import Instance
from trunkline.workers.channel import ChannelEnded
from trunkline.workers.shares import Shares

APP = ("pool", "app", "me")


class Said:
    """The supervisor."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.gives = 0
        self.is_gone = False

    def tell(self, verb: str, *, account: tuple[str, ...], number: int, **flags: Any) -> None:
        self.said.append((verb, number))

    async def ask(self, verb: str, **arguments: Any) -> int:
        if self.is_gone:
            raise ChannelEnded
        return self.gives


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    made = Instance(config, config(), serve_console)
    yield made
    await made.close()


@pytest.fixture
def shares(instance: Instance) -> Shares:
    made = Shares(instance, 2)
    made.channel = Said()  # type: ignore[assignment]
    return made


@pytest.fixture
def pool(instance: Instance) -> Pool:
    return instance.pools.pool("app", "me")


def said(shares: Shares) -> list[tuple[str, int]]:
    return shares.channel.said  # type: ignore[attr-defined, no-any-return]


def test_what_is_lacking_is_asked_for_once(shares: Shares, pool: Pool) -> None:
    shares.settle(pool, 2, reserve=False)
    shares.settle(pool, 2, reserve=False)
    shares.settle(pool, 3, reserve=False)
    shares.settle(pool, 0, reserve=False)
    shares.settle(pool, 0, reserve=False)
    assert said(shares) == [("want", 2), ("want", 3), ("want", 0)]


def test_what_is_granted_and_not_needed_any_more_goes_back(shares: Shares, pool: Pool, instance: Instance) -> None:
    instance.pools.budget = shares
    shares.granted(APP, 2)
    assert said(shares) == [("release", 2)]
    shares.granted(("pool", "gone", "me"), 1)
    assert said(shares) == [("release", 2), ("release", 1)]


def test_a_pool_may_open_what_it_was_granted(shares: Shares, pool: Pool) -> None:
    assert shares.room_for(pool) == 0
    shares.granted(APP, 2)
    assert shares.room_for(pool) == 2
    pool.reserved = 1
    assert shares.room_for(pool) == 1
    assert shares.part_of(3) == 2


def test_a_pool_without_servers_has_none_to_give(shares: Shares, pool: Pool) -> None:
    shares.granted(APP, 1)
    shares.give(APP, busy=True)
    assert shares.room_for(pool) == 1
    shares.give(("pool", "gone", "me"), busy=False)


async def test_a_server_for_one_client_alone_needs_a_slot_at_once(shares: Shares, pool: Pool) -> None:
    pool.reserved = 1
    assert not await shares.obtain(pool)
    shares.channel.gives = 1  # type: ignore[attr-defined]
    assert await shares.obtain(pool)
    assert await shares.obtain(pool)


async def test_of_a_crowd_one_asks_for_all(shares: Shares) -> None:
    asked = 0

    async def slowly(verb: str, **arguments: Any) -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return 10

    shares.channel.ask = slowly  # type: ignore[method-assign]
    assert all(await asyncio.gather(*(shares.admits(("clients",), 0) for _ in range(8))))
    assert asked == 1
    assert shares.spare(("clients",)) == 10


async def test_clients_come_in_by_slots_of_the_block(shares: Shares) -> None:
    assert not await shares.admits(("clients",), 0)
    shares.channel.gives = 2  # type: ignore[attr-defined]
    assert await shares.admits(("clients",), 0)
    shares.channel.is_gone = True  # type: ignore[attr-defined]
    assert await shares.admits(("clients",), 1)
    assert not await shares.admits(("clients",), 2)
    assert shares.spare(("clients",)) == 2
    assert shares.spare(("clients of database", "app")) == shares.spare(("clients of user", "me")) == 0
    assert not await shares.admits(("clients",), 0)
