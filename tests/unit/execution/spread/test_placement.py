"""While a table changes where it lies, what begins waits and what is under way ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.execution.spread import placement
from trunkline.execution.spread.placement import Placement
from trunkline.shard_errors import PlacementBusy


class Watch:
    reads = False

    async def read_now(self) -> None:
        """As new as can be."""


class Pools:
    def __init__(self) -> None:
        self.active: list[Any] = []
        self.changed = 0

    def of_database(self, name: str) -> list[Any]:
        return [SimpleNamespace(canceled=[], draining=[], active=self.active)]

    def schema_changed(self, database: str) -> None:
        self.changed += 1


class Session:
    def __init__(self, *, in_transaction: bool = False) -> None:
        self.in_transaction = in_transaction


def made() -> tuple[Placement, Pools, Any]:
    pools: Any = Pools()
    router: Any = SimpleNamespace(stale=None)
    found = Placement(pools, "shop")
    found.begin(router, Watch())  # type: ignore[arg-type]
    return found, pools, router


async def test_what_begins_waits_for_the_end_of_the_change() -> None:
    found, pools, router = made()
    mine, other = Session(), Session()
    async with found.alone(mine):  # type: ignore[arg-type]
        assert router.stale.keeps_up
        entering = asyncio.create_task(found.with_session(other).enter(other))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert other not in found.sessions
    await entering
    assert other in found.sessions
    assert router.stale is None
    assert pools.changed == 0


async def test_a_change_that_may_have_happened_has_the_catalog_read() -> None:
    found, pools, router = made()
    async with found.alone(Session()):  # type: ignore[arg-type]
        found.commits = True
    assert pools.changed == 1
    assert not router.stale.keeps_up


async def test_what_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found, pools, _ = made()
    block = Session(in_transaction=True)
    found.with_session(block)  # type: ignore[arg-type]
    monkeypatch.setattr(placement, "PATIENCE_S", 0.05)
    with pytest.raises(PlacementBusy):
        async with found.alone(Session()):  # type: ignore[arg-type]
            raise AssertionError("it is not alone")
    found.leave(block)  # type: ignore[arg-type]
    pools.active = [SimpleNamespace(session=SimpleNamespace(free=False))]
    with pytest.raises(PlacementBusy):
        async with found.alone(Session()):  # type: ignore[arg-type]
            raise AssertionError("a server is in the middle of something")
