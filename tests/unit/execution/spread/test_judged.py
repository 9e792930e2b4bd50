"""What is decided of a call that has to be waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.execution.spread.sharded_shop import shop
from trunkline.errors import ServerUnavailable, StatementRefused
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.judged import judged, wait_for


class Wanted:
    """Something that is there in the next turn of the loop, or is not."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def begin(self, catalog: Any, sharding: Any, done: Any) -> None:
        asyncio.get_running_loop().call_soon(done, self.error)


async def test_what_is_waited_for_comes_or_says_why_not() -> None:
    router, _ = shop()
    await wait_for(Wanted(None), router)
    with pytest.raises(ServerUnavailable):
        await wait_for(Wanted(ServerUnavailable("it is away")), router)


async def test_sqls_execute_is_not_looked_at() -> None:
    router, context = shop()
    assert (await judged(Statement(b"SELECT 1"), router, context, None)).refusal is None
    with pytest.raises(StatementRefused):
        await judged(Statement(b"EXECUTE p"), router, context, None)
