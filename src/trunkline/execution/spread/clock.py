"""Clock: the limit of time for what a client has under way over several shards, which stands still in a commit.

A commit is not broken off like a query: its client would be told of a failure, and the commit would go on. So the
clock is held meanwhile, and when its time is over the commit is cancelled, as by a request: what is decided goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from trunkline.errors import CommitOutcomeUnknown, InternalError, QueryCanceled, TrunklineError
from trunkline.shard_errors import StatementFailed

OVERDUE_S: Final = 5.0  # how long a commit that is stopped, or goes on, is waited for


class Clock:
    """`async with` it what may take `left_s` seconds, None being any time; it raises `error` when they are over."""

    def __init__(self, left_s: float | None = None, error: TrunklineError | None = None) -> None:
        self.error = error
        self._left_s = left_s
        self._timer: asyncio.Timeout | None = None

    async def __aenter__(self) -> Clock:
        self._timer = asyncio.timeout(self._left_s)
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timer is not None
        timer, self._timer = self._timer, None
        try:
            await timer.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self.error is not None
            raise self.error from None

    def hold(self) -> float | None:
        """It stands still from now on; how many seconds are left, None being any number."""
        if self._timer is None or (when := self._timer.when()) is None:
            return None
        self._timer.reschedule(None)
        return max(0.0, when - asyncio.get_running_loop().time())

    def go_on(self, left_s: float | None) -> None:
        """It runs again, and so much is left."""
        if self._timer is not None and left_s is not None:
            self._timer.reschedule(asyncio.get_running_loop().time() + left_s)


Commit = asyncio.Task[TrunklineError | None]


async def outcome_of(work: Commit, clock: Clock, stop: Callable[[], object]) -> TrunklineError | None:
    """What became of a commit, which goes on if whoever waits here does not: nothing, or the error to tell."""
    left_s = clock.hold()
    try:
        return await _in_time(work, clock, stop, left_s)
    except asyncio.CancelledError:
        if not work.cancelled():
            raise
        raise InternalError.incident() from None
    finally:
        clock.go_on(left_s)


async def _in_time(
    work: Commit, clock: Clock, stop: Callable[[], object], left_s: float | None
) -> TrunklineError | None:
    done, _ = await asyncio.wait([work], timeout=left_s)
    if done:
        return work.result()
    stop()
    done, _ = await asyncio.wait([work], timeout=OVERDUE_S)
    if not done:
        hint = "The transaction may have been committed."
        return CommitOutcomeUnknown("a COMMIT over several shards takes longer than its client may wait", hint=hint)
    outcome = work.result()
    canceled = isinstance(outcome, QueryCanceled | StatementFailed) and outcome.sqlstate == QueryCanceled.sqlstate
    return clock.error if canceled else outcome
