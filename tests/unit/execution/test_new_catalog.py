"""Whoever waits for a new catalog goes on when it is there, or hears why it is not."""

from __future__ import annotations

import asyncio

from trunkline.errors import ServerRefused
from trunkline.execution.new_catalog import NewCatalog
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.schema.catalog import Catalog


async def test_all_who_wait_are_told_once() -> None:
    stale, told = NewCatalog(), list[str]()
    for name in ("first", "second"):
        stale.begin(Catalog(), Sharding(("s0",), 0, {}), lambda error, name=name: told.append(name))  # type: ignore[misc]
    for _ in range(2):
        stale.tell(None)
        await asyncio.sleep(0)
    assert (told, stale.error) == (["first", "second"], None)


async def test_what_cannot_be_read_is_refused_with_the_servers_code() -> None:
    stale = NewCatalog()
    stale.tell(ServerRefused("55P03", "canceling statement due to lock timeout"))
    assert stale.error is not None
    assert stale.error.sqlstate == "55P03"
    assert stale.error.message.startswith("the schema has changed, and cannot be read anew: canceling statement")
