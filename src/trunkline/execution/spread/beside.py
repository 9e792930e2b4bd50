"""What is done for a client beside its participants: by other servers, and perhaps longer than the client stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol


class Stoppable(Protocol):
    def stop(self) -> list[asyncio.Task[None]]:
        """A cancel request ends it; they end when its servers have heard."""
        ...


@dataclass(slots=True)
class Beside:
    """Of one client."""

    work: Stoppable | None = None
    abandoned: bool = False  # the client is gone
    notices: list[bytes] = field(default_factory=list)  # for the client, of servers that are no participants

    def stop(self) -> list[asyncio.Task[None]]:
        return self.work.stop() if self.work is not None else []
