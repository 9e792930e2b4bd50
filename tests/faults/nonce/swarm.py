"""Many nonce clients in one event loop, and the watch over their patience."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence

from tests.faults.nonce.client import NonceClient, Place
from tests.faults.nonce.ledger import Ledger
from tests.faults.nonce.tally import Finding, Tally

WATCH_S = 0.25


class Swarm:
    """``async with`` it: the clients work until its end; what they count and find is in ``tally`` and ``findings``."""

    def __init__(
        self,
        places: Sequence[Place],
        seed: int,
        *,
        mischief_s: float = 0.0,
        salt: str | None = None,
    ) -> None:
        """``mischief_s`` is how often, in seconds, each client misbehaves; 0 is never."""
        self.findings: list[Finding] = []
        self.tally = Tally(self.findings.append)
        self.salt = salt if salt is not None else secrets.token_hex(3)
        self.clients = [NonceClient(place, self.tally, seed, self.salt, mischief_s=mischief_s) for place in places]
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Swarm:
        self._tasks = [asyncio.create_task(client.run(self._stop)) for client in self.clients]
        self._tasks.append(asyncio.create_task(self._watch()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.finish()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            for client in self.clients:
                client.check_patience(time.monotonic())

    async def finish(self) -> None:
        """Every client ends its shape and leaves; what a client's task has raised is raised here."""
        if not self._tasks:
            return
        self._stop.set()
        *clients, watch = self._tasks
        self._tasks = []
        results = await asyncio.gather(*clients, return_exceptions=True)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    @property
    def ledger(self) -> Ledger:
        """What all writers were told."""
        merged = Ledger()
        for client in self.clients:
            merged.entries.update(client.session.ledger.entries)
        return merged
