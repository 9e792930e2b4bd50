"""While a table changes where it lies, here or elsewhere, what begins waits and what is under way ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.errors import ServerLost
from trunkline.execution.spread import placement
from trunkline.execution.spread.barriers import Unsure
from trunkline.execution.spread.placement import Placement
from trunkline.net.tasks import Tasks
from trunkline.routing.schema.declared import Declared
from trunkline.shard_errors import PlacementBusy, PlacementUnsure


class Watch:
    reads = False
    declared = Declared()
    reading: asyncio.Task[None] | None = None

    def __init__(self) -> None:
        self.readings = 0
        self.told = 0

    def stale(self) -> None:
        self.told += 1

    async def read_now(self) -> None:
        self.readings += 1


class Pools:
    def __init__(self) -> None:
        self.active: list[Any] = []

    def of_database(self, name: str) -> list[Any]:
        return [SimpleNamespace(canceled=[], draining=[], active=self.active)]

    def database(self, name: str) -> Any:
        return SimpleNamespace(sharding=None)


class Lock:
    """As the home shard would have it; `free` is not set while somebody else has it exclusively."""

    def __init__(self) -> None:
        self.held = False
        self.wanted = False
        self.free = asyncio.Event()
        self.free.set()
        self.trouble: ServerLost | None = None

    async def take(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        await self.free.wait()
        self.held = True

    async def give_up(self) -> None:
        self.held = False

    async def probe(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def is_wanted(self) -> bool:
        return self.wanted

    def close(self, reason: str) -> None:
        self.held = False


class Session:
    def __init__(self, *, in_transaction: bool = False) -> None:
        self.in_transaction = in_transaction


class Made:
    def __init__(self, tasks: Tasks) -> None:
        self.pools, self.lock, self.watch = Pools(), Lock(), Watch()
        self.router: Any = SimpleNamespace(stale=None)
        errands: Any = None
        self.found = Placement(self.pools, "shop", errands, tasks)  # type: ignore[arg-type]
        self.found.lock = self.lock  # type: ignore[assignment]

    async def begin(self) -> Placement:
        await self.found.ready("ann")
        self.found.begin(self.router, self.watch)  # type: ignore[arg-type]
        return self.found


@asynccontextmanager
async def made() -> AsyncIterator[Made]:
    tasks = Tasks()
    try:
        yield Made(tasks)
    finally:
        await tasks.cancel()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_what_begins_waits_for_the_end_of_the_change() -> None:
    async with made() as one:
        found = await one.begin()
        assert one.router.stale is None
        mine, other = Session(), Session()
        async with found.alone(mine):  # type: ignore[arg-type]
            assert one.router.stale.lets_end
            assert not one.lock.held
            entering = asyncio.create_task(found.with_session(other).enter(other))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            assert other not in found.sessions
        await entering
        assert one.lock.held
        assert one.watch.readings == 1
        assert one.router.stale is None


async def test_what_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with made() as one:
        found = await one.begin()
        block = Session(in_transaction=True)
        found.with_session(block)  # type: ignore[arg-type]
        monkeypatch.setattr(placement, "PATIENCE_S", 0.05)
        with pytest.raises(PlacementBusy):
            async with found.alone(Session()):  # type: ignore[arg-type]
                raise AssertionError("it is not alone")
        assert one.lock.held
        assert one.router.stale is None
        found.leave(block)  # type: ignore[arg-type]
        one.pools.active = [SimpleNamespace(session=SimpleNamespace(free=False))]
        with pytest.raises(PlacementBusy):
            async with found.alone(Session()):  # type: ignore[arg-type]
                raise AssertionError("a server is in the middle of something")


async def test_others_have_the_lock_when_they_ask_for_it_and_are_waited_for() -> None:
    async with made() as one:
        found = await one.begin()
        found._on_asked()  # nobody waits for it: nothing happens
        await until(lambda: not found._due.is_set())
        assert one.lock.held
        one.lock.wanted = True
        one.lock.free.clear()
        found._on_asked()
        await until(lambda: not one.lock.held)
        stale, told = one.router.stale, list[None]()
        stale.begin(None, None, told.append)
        await asyncio.sleep(0)
        assert told == []
        one.lock.free.set()
        await until(lambda: told)
        assert one.lock.held
        assert one.watch.readings == 1


async def test_a_lost_lock_leaves_nothing_sure_until_it_is_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "LOST_AGAIN_S", 0)
    async with made() as one:
        found = await one.begin()
        one.lock.held, one.lock.trouble = False, ServerLost("it is down")
        found._on_lost()
        assert isinstance(one.router.stale, Unsure)
        with pytest.raises(PlacementUnsure):
            found.must_be_sure(None)
        await until(lambda: one.router.stale.error is not None)
        assert "it is down" in one.router.stale.error.message
        one.lock.trouble = None
        await until(lambda: one.router.stale is None)
        found.must_be_sure(None)
        assert one.watch.readings == 1


async def test_what_was_read_before_the_lock_was_had_again_is_read_anew() -> None:
    async with made() as one:
        await one.found.ready("ann")
        one.lock.wanted = True
        one.lock.free.clear()
        one.found._on_asked()
        await until(lambda: not one.lock.held)
        one.lock.free.set()
        await until(lambda: one.lock.held)
        await one.begin()
        assert isinstance(one.router.stale, Unsure)
        await until(lambda: one.router.stale is None)
        assert one.watch.readings == 1
