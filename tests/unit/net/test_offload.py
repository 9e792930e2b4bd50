"""Blocking work in threads that end: results, errors, and no thread left behind."""

import threading

import pytest

from tests.integration.waiting import wait_until
from trunkline.net.offload import Offload


def _threads(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


async def test_the_thread_ends_when_there_is_nothing_left_to_do() -> None:
    offload = Offload("offload-test")
    assert await offload.run(pow, 2, 10) == 1024
    assert await offload.run(pow, 3, 2) == 9
    await wait_until(lambda: _threads("offload-test") == 0)


async def test_an_error_is_the_callers() -> None:
    offload = Offload("offload-error")
    with pytest.raises(ZeroDivisionError):
        await offload.run(divmod, 1, 0)
    assert await offload.run(divmod, 7, 2) == (3, 1)
    offload.close()
