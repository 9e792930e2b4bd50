"""Plans of long texts, made in a thread: a parser takes its time for them, and only who asks shall wait for that.

Law: nothing but the plan is made there, of what does not change: the text, the catalog and the rules at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.net.offload import Offload
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.schema.catalog import Catalog

if TYPE_CHECKING:
    from trunkline.execution.router import Context

_offload = Offload("plans")


@dataclass(slots=True)
class Apart:
    """One text and, in time, its plan; `context` is that of the session, and of one catalog only."""

    sql: bytes
    context: Context
    plan: RoutePlan | None = None
    used: bool = True  # since it was last asked

    def is_of(self, sql: bytes, context: Context) -> bool:
        return self.context is context and self.sql == sql

    def begin(self, catalog: Catalog, sharding: Sharding, done: Callable[[BaseException | None], None]) -> None:
        """Make the plan; `done` is called on the loop, with what went wrong."""

        def on_plan(future: asyncio.Future[RoutePlan]) -> None:
            if future.cancelled():
                return  # the process ends
            error = future.exception()
            if error is None:
                self.plan = future.result()
            done(error)

        _offload.start(plan, self.sql, catalog, sharding, self.context.path).add_done_callback(on_plan)
