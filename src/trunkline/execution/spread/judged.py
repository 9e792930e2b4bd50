"""What the router decides of a call, once all is there that it waits for: a plan, a catalog, a key of a directory."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.errors import StatementRefused
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.judging import WANTED, Judgement, judge_bind, judge_text

if TYPE_CHECKING:
    from trunkline.execution.router import Context, Router


async def judged(statement: Statement, router: Router, context: Context, hint: object) -> Judgement:
    """Where it goes, or why it goes nowhere."""
    planned: list[Any] = []
    while True:
        if statement.bind:
            found = judge_bind(router, statement.body, statement.bind, context, hint, planned)
        else:
            found = judge_text(router, statement.sql, context, hint, planned)
        if found.executes:
            raise StatementRefused("EXECUTE is not run over several shards", hint="Bind it over the protocol.")
        if found.shard != WANTED:
            return found
        await wait_for(found.wanted, router)
        planned.append(found.wanted)


async def wait_for(wanted: Any, router: Router) -> None:
    """Of a plan, a catalog or a key of a directory."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    wanted.begin(router.catalog, router.sharding, partial(_settle, done))
    await done


def _settle(asked: asyncio.Future[None], error: BaseException | None) -> None:
    if not asked.done():
        asked.set_result(None) if error is None else asked.set_exception(error)
