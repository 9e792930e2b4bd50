"""Several servers that live and die together: what a cluster, a trio, and several clusters have in common.

Contract: if one of them does not start, those that have started are stopped, and the error goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Ensemble(ABC):
    """``async with`` it: ``start`` at the beginning, ``stop`` at the end, also at that of a start that failed."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    async def start(self) -> None:
        """Start all of them, and return when they work together."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop those that have started, however many these are."""
