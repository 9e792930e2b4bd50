"""Waiting for what will become true, in place of sleeping for what might have."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.01


async def wait_until(
    condition: Callable[[], Any | Awaitable[Any]], timeout_s: float = 10.0, *, what: str | None = None
) -> Any:
    """The first true value of ``condition`` (plain or async); an ``AssertionError`` that shows the last one."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not true within {timeout_s} s: {what or inspect.getsource(condition).strip()}: {value!r}"
            )
        await asyncio.sleep(POLL_S)
