"""The weather: faults of all kinds at random moments, from one seed, at an even rate."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import psycopg

from tests.faults.fault_proxy import Rst
from tests.faults.fault_proxy.flow import Shape
from tests.faults.lab.kinds import KINDS, Kind
from tests.faults.lab.stage import Stage

CALM_S = 3.0  # how long a slow connection stays slow, and a fault waits for a frame to strike
NOT_OFFERED = "42601"


class Weather:
    """``run`` until it is cancelled; then ``clear``."""

    def __init__(self, stage: Stage, seed: int, per_s: float) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.per_s = per_s
        self.done: Counter[str] = Counter()
        self.troubles: list[str] = []
        """What the lab itself could not do."""
        self.absent: set[str] = set()
        self._kinds = list(KINDS)
        self._calm_at = 0.0

    @property
    def counts(self) -> Counter[str]:
        """Faults that have happened, by kind."""
        total = Counter(self.done)
        for where, proxy in self.stage.fault_proxies.items():
            total.update({f"{where} {side} {name}": count for (side, name), count in proxy.counts.items()})
        return total

    async def prepare(self) -> None:
        """Leave out the commands that this console does not have."""
        for name in ("RECONNECT", "KILL", "DISABLE"):
            try:
                await self.stage.target.admin(f"{name} nowhere")
            except psycopg.Error as error:
                if error.sqlstate == NOT_OFFERED or "invalid command" in str(error):
                    self.absent.add(f"console: {name}")
        self._kinds = [kind for kind in KINDS if kind.name not in self.absent]

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            if started >= self._calm_at:
                self.calm()
                self._calm_at = started + CALM_S
            await self.strike(self.choose())
            pause = self.random.uniform(0, 2) / self.per_s
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

    def choose(self) -> Kind:
        return self.random.choices(self._kinds, [kind.weight for kind in self._kinds])[0]

    async def strike(self, kind: Kind) -> None:
        try:
            happened = await kind.act(self.stage, self.random)
        except (OSError, psycopg.Error) as error:
            self.troubles.append(f"{kind.name}: {type(error).__name__}: {error}")
            return
        if kind.counts and happened:
            self.done[kind.name] += 1

    def calm(self) -> None:
        """What is slow gets its speed back, and what has not struck does not any more."""
        for proxy in self.stage.fault_proxies.values():
            proxy.clear()
            for conversation in proxy.live.values():
                for flow in conversation.flows.values():
                    if not _is_crippled(flow.shape):
                        flow.shape = Shape()

    async def clear(self) -> None:
        """The sky is blue: no fault in force, the server up, nothing paused or disabled."""
        self.calm()
        if not self.stage.postgres.is_running:
            await self.stage.postgres.start()
        for proxy in self.stage.fault_proxies.values():
            proxy.down()
            proxy.up()
            for number, conversation in list(proxy.live.items()):
                if any(_is_crippled(flow.shape) for flow in conversation.flows.values()):
                    await proxy.strike(Rst(), conn=number)
        for database in ("plain", "faulty"):
            for command in ("RESUME", "ENABLE"):
                try:
                    await self.stage.target.admin(f"{command} {database}")
                except psycopg.Error:
                    continue  # it was not paused, or there is no such command


def _is_crippled(shape: Shape) -> bool:
    """Nothing will ever pass again, or soon will not."""
    return shape.swallow or shape.budget is not None
