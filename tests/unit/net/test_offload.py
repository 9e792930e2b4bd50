"""Blocking work in threads that end: results, errors, and no thread left behind."""

import gc
import sys
import threading

import pytest

from tests.integration.waiting import wait_until
from trunkline.net.offload import TURN_S, Offload, gently


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


def test_while_a_thread_computes_the_loop_has_its_turn_sooner_and_nothing_is_collected() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(ZeroDivisionError), gently():
        assert sys.getswitchinterval() == pytest.approx(TURN_S) and not gc.isenabled()
        raise ZeroDivisionError
    assert sys.getswitchinterval() == pytest.approx(before) and gc.isenabled()
