"""What the other workers are told of DDL that was committed here: before its client has the answer, all have heard.

Whoever is answered may say so to anybody, whose next statement may come to another worker: from when that has heard,
what begins there waits for the new catalog. Other instances hear of it by a notification (`placement`), a moment later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from trunkline.net.tasks import Tasks

PATIENCE_S = 5.0  # a worker that does not answer hears of it later, by the notification
log = logging.getLogger("trunkline.execution")

Tell = Callable[[str], Awaitable[None]]


class Tidings:
    """Of one database; `tell` ends when all workers have heard."""

    def __init__(self, tasks: Tasks, database: str, tell: Tell) -> None:
        self._tasks = tasks
        self._database = database
        self._tell = tell
        self._next: asyncio.Task[None] | None = None  # speaks of all that was committed before it begins
        self._under_way: set[asyncio.Task[None]] = set()

    def changed(self) -> None:
        """DDL has been committed."""
        if self._next is None:
            self._next = self._tasks.spawn(self._speak(), "tidings of DDL")
            self._under_way.add(self._next)
            self._next.add_done_callback(self._under_way.discard)

    async def _speak(self) -> None:
        self._next = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._tell(self._database)
        except TimeoutError:
            log.warning("a worker does not hear that tables of %s were changed", self._database)

    async def heard(self) -> None:
        """All that was committed is known to all."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))
