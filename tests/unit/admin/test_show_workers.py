"""SHOW WORKERS of an instance that is alone, and of one that is not."""

from __future__ import annotations

import os
from typing import Any

from tests.unit.relay import config
from trunkline.admin.commands import COMMANDS, Request
from trunkline.admin.console import serve_console
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


class Siblings:
    async def roster(self) -> list[Any]:
        return [[1, 11, "serving", 3, 0.0], [2, 12, "starting", 0, 86400.0]]


async def shown(instance: Instance) -> list[Any]:
    request = Request(instance, Identity(instance.clients, Peer("", "")))
    return list((await COMMANDS["SHOW", "WORKERS"].run(request)).rows)


async def test_each_worker_has_a_row() -> None:
    instance = Instance(config, config(), serve_console)
    ((number, pid, state, clients, _),) = await shown(instance)
    assert (number, pid, state, clients) == (1, os.getpid(), "serving", 0)
    instance.siblings = Siblings()  # type: ignore[assignment]
    assert await shown(instance) == [
        (1, 11, "serving", 3, "1970-01-01 00:00:00 UTC"),
        (2, 12, "starting", 0, "1970-01-02 00:00:00 UTC"),
    ]
    await instance.close()
