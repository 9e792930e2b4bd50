"""What other workers are told of DDL, and until when its client waits."""

from __future__ import annotations

import asyncio

from trunkline.execution.spread.tidings import Tidings
from trunkline.net.tasks import Tasks


class Others:
    """The other workers: each time they are told, and when they have heard."""

    def __init__(self) -> None:
        self.told: list[asyncio.Future[None]] = []

    async def tell(self, database: str) -> None:
        assert database == "shop"
        self.told.append(asyncio.get_running_loop().create_future())
        await self.told[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nobody_waits_when_nothing_was_changed() -> None:
    others = Others()
    await Tidings(Tasks(), "shop", others.tell).heard()
    assert not others.told


async def test_what_several_shards_have_committed_is_told_once_and_waited_for() -> None:
    others = Others()
    tidings = Tidings(Tasks(), "shop", others.tell)
    tidings.changed()
    tidings.changed()
    waiting = asyncio.ensure_future(tidings.heard())
    await settle()
    assert len(others.told) == 1
    assert not waiting.done()
    others.told[0].set_result(None)
    await waiting


async def test_what_is_committed_after_that_is_told_again() -> None:
    others = Others()
    tidings = Tidings(Tasks(), "shop", others.tell)
    tidings.changed()
    await settle()
    tidings.changed()
    waiting = asyncio.ensure_future(tidings.heard())
    await settle()
    others.told[0].set_result(None)
    await settle()
    assert len(others.told) == 2
    assert not waiting.done()
    others.told[1].set_result(None)
    await waiting


async def test_who_stops_waiting_stops_nobody_else() -> None:
    others = Others()
    tidings = Tidings(Tasks(), "shop", others.tell)
    tidings.changed()
    leaving, staying = asyncio.ensure_future(tidings.heard()), asyncio.ensure_future(tidings.heard())
    await settle()
    leaving.cancel()
    await settle()
    assert not staying.done()
    others.told[0].set_result(None)
    await staying
