"""Background tasks are kept, their exceptions are logged, and ending the owner ends them all."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from trunkline.net.tasks import Tasks


async def test_a_task_is_kept_while_it_runs_and_no_longer() -> None:
    tasks, gate = Tasks(), asyncio.Event()
    task = tasks.spawn(gate.wait())
    gc.collect()
    assert len(tasks) == 1
    gate.set()
    await task
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_an_exception_is_logged_with_the_tasks_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    tasks = Tasks()
    with caplog.at_level(logging.ERROR, logger="trunkline"), pytest.raises(RuntimeError):
        await tasks.spawn(fail(), "the failing one")
    await asyncio.sleep(0)
    assert "the failing one" in caplog.text
    assert "broken" in caplog.text


async def test_cancel_ends_all_and_waits_for_their_last_words() -> None:
    said = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append(number)

    tasks = Tasks()
    for number in range(3):
        tasks.spawn(work(number))
    await asyncio.sleep(0)
    await tasks.cancel()
    assert sorted(said) == [0, 1, 2]
    assert len(tasks) == 0


async def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.spawn(asyncio.Event().wait())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert not caplog.records


async def test_cancelling_nothing() -> None:
    await Tasks().cancel()
