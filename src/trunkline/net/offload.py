"""Blocking work in a thread that ends when there is none left.

A process with one thread is cheaper in every system call: the kernel need not count references to its descriptors. So
nothing here keeps threads in store, and the event loop's own pool, whose threads stay for ever, is not used.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

TURN_S = 0.0005
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def gently() -> Iterator[None]:
    """While a thread computes for long: the loop has its turn ten times sooner than usual, and nothing that the thread
    makes in heaps has the collector stop both."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(before)


class Offload:
    """Runs calls off the loop, at most `threads` at a time."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name = name
        self._limit = threads
        self._threads: ThreadPoolExecutor | None = None
        self._under_way = 0

    def start(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin a call; the future may be awaited by several, or by nobody."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._limit, thread_name_prefix=self._name)
        self._under_way += 1
        future = asyncio.wrap_future(self._threads.submit(call, *args, **kwargs))
        future.add_done_callback(self._on_done)
        return future

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call's result; a caller that is cancelled leaves the call to end by itself."""
        return await asyncio.shield(self.start(call, *args, **kwargs))

    def _on_done(self, future: asyncio.Future[R]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # whoever awaits it gets it; nobody may be left to
        if not self._under_way:
            self.close()

    def close(self) -> None:
        """Let the threads go; calls under way end by themselves."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
