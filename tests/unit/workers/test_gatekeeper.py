"""The gates of an instance, with workers that only note what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

from trunkline.workers.gatekeeper import Gatekeeper

ALL = (1 << 64) - 1


class Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        self.let_in: list[tuple[str, int]] = []

    @property
    def channel(self) -> Worker:
        return self

    def tell(self, verb: str, /, **arguments: Any) -> None:
        assert verb == "gate_inside"
        self.let_in.append((arguments["database"], arguments["number"]))


class Stage:
    """A gatekeeper and two workers."""

    def __init__(self) -> None:
        self.keeper = Gatekeeper()
        self.one, self.two = Worker(1), Worker(2)

    async def says(self, worker: Worker, verb: str, **arguments: Any) -> Any:
        answer = await self.keeper.verbs[verb](worker, database="shop", **arguments)
        await asyncio.sleep(0)  # for who is told by a future
        return answer

    async def enters(
        self, worker: Worker, number: int, side: str, mask: int = 3, owner: int = 0, least: int = 2
    ) -> bool:
        """Whether it is inside at once."""
        await self.says(worker, "gate_enter", number=number, side=side, mask=mask, owner=owner, least=least)
        return ("shop", number) in worker.let_in


async def test_a_commit_of_one_worker_keeps_readers_of_the_other_out() -> None:
    stage = Stage()
    assert await stage.enters(stage.one, 1, "commit")
    assert not await stage.enters(stage.two, 1, "snapshot")
    assert await stage.enters(stage.two, 2, "snapshot", mask=12)
    await stage.says(stage.one, "gate_leave", number=1)
    assert ("shop", 1) in stage.two.let_in


async def test_one_number_of_two_workers_is_two_tickets() -> None:
    stage = Stage()
    assert await stage.enters(stage.one, 1, "commit")
    assert await stage.enters(stage.two, 1, "commit")
    assert not await stage.enters(stage.two, 2, "snapshot")
    await stage.says(stage.one, "gate_leave", number=1)
    assert ("shop", 2) not in stage.two.let_in
    await stage.says(stage.two, "gate_leave", number=1)
    assert ("shop", 2) in stage.two.let_in
    await stage.says(stage.two, "gate_leave", number=1)  # once more does nothing


async def test_who_waits_for_whom_is_told_with_their_workers() -> None:
    stage = Stage()
    await stage.enters(stage.one, 1, "commit", owner=5)
    await stage.enters(stage.two, 1, "snapshot", owner=6)
    await stage.enters(stage.two, 2, "snapshot")  # nobody's
    assert await stage.says(stage.one, "gate_waits") == [((2, 6), (1, 5))]


async def test_a_dead_workers_commit_stays_until_its_successor_has_looked_at_its_shards() -> None:
    stage = Stage()
    await stage.enters(stage.one, 1, "commit", mask=3)
    await stage.enters(stage.one, 2, "snapshot", mask=12)
    assert not await stage.enters(stage.two, 1, "snapshot")
    stage.keeper.forget(stage.one)
    assert stage.two.let_in == []
    again = Worker(1)
    await stage.enters(again, 1, "commit", mask=ALL, least=1)
    await stage.says(again, "gate_narrow", number=1, mask=2)
    assert stage.two.let_in == []
    await stage.says(again, "gate_narrow", number=1, mask=4)
    assert stage.two.let_in == [("shop", 1)]
    await stage.says(again, "gate_leave", number=1)
    assert await stage.enters(again, 2, "commit", mask=12)  # the dead worker's reader is gone as well


async def test_what_another_worker_has_looked_at_does_not_count() -> None:
    stage = Stage()
    await stage.enters(stage.two, 1, "commit", mask=ALL, least=1)
    await stage.enters(stage.one, 1, "commit", mask=3)
    await stage.enters(stage.two, 2, "snapshot")
    stage.keeper.forget(stage.one)
    await stage.says(stage.two, "gate_leave", number=1)
    assert ("shop", 2) not in stage.two.let_in


async def test_who_dies_in_line_leaves_it() -> None:
    stage = Stage()
    await stage.enters(stage.two, 1, "snapshot")
    assert not await stage.enters(stage.one, 1, "commit")
    assert not await stage.enters(stage.two, 2, "snapshot")
    stage.keeper.forget(stage.one)
    await asyncio.sleep(0)
    assert ("shop", 2) in stage.two.let_in
