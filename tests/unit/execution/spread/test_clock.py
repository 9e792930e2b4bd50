"""A limit of time that stands still in a commit."""

from __future__ import annotations

import asyncio

import pytest

from trunkline.errors import CommitOutcomeUnknown, QueryCanceled, QueryTimeout, ServerLost, TrunklineError
from trunkline.execution.spread import clock as clocks
from trunkline.execution.spread.clock import Clock, outcome_of

LATE = QueryTimeout("query_timeout")


async def test_what_takes_too_long_ends_in_its_error() -> None:
    with pytest.raises(QueryTimeout):
        async with Clock(0.0, LATE):
            await asyncio.Event().wait()


async def test_what_stands_still_takes_any_time_and_goes_on_with_what_was_left() -> None:
    with pytest.raises(QueryTimeout):
        async with Clock(0.01, LATE) as clock:
            left_s = clock.hold()
            assert left_s is not None
            await asyncio.sleep(0.02)
            clock.go_on(left_s)
            await asyncio.Event().wait()


async def test_a_clock_without_a_limit_holds_nothing() -> None:
    async with Clock() as clock:
        assert clock.hold() is None
        clock.go_on(None)


@pytest.mark.parametrize(
    ("ends_in", "told"),
    [(None, None), (QueryCanceled("canceled"), QueryTimeout), (ServerLost("lost"), ServerLost)],
)
async def test_a_commit_that_takes_too_long_is_stopped_and_what_became_of_it_is_told(
    ends_in: TrunklineError | None, told: type[TrunklineError] | None
) -> None:
    stopped = asyncio.Event()

    async def commit() -> TrunklineError | None:
        await stopped.wait()
        return ends_in

    async with Clock(0.01, LATE) as clock:
        outcome = await outcome_of(asyncio.ensure_future(commit()), clock, stopped.set)
        clock.hold()
    assert outcome is None if told is None else isinstance(outcome, told)


async def test_a_commit_that_does_not_end_is_unknown_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "OVERDUE_S", 0.01)
    over = asyncio.Event()

    async def commit() -> TrunklineError | None:
        await over.wait()
        return None

    work = asyncio.ensure_future(commit())
    async with Clock(0.01, LATE) as clock:
        assert isinstance(await outcome_of(work, clock, lambda: None), CommitOutcomeUnknown)
        clock.hold()
    assert not work.done()
    over.set()
    assert await work is None
