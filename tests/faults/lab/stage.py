"""Everything that runs in the lab, started and stopped as one, and who works where.

Three databases, one server behind them: ``plain`` is reached directly, ``faulty`` through a fault proxy, ``rough``
through one that also falsifies what is said. Some clients come through a fault proxy themselves. Whoever works at
``rough`` is judged for one thing only: that no nonce of another client comes to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.fault_proxy import FaultProxy
from tests.faults.lab import targets
from tests.faults.lab.targets import Target
from tests.faults.nonce import atoms, ledger
from tests.faults.nonce.client import Place
from tests.faults.nonce.judge import Rules
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import USER
from trunkline.demo.cluster import Workspace

HOST = "127.0.0.1"
PATIENCE_S = 45.0  # above every timer of the proxy: whoever waits longer is lost
SWALLOWED_PATIENCE_S = 6.0


@dataclass(frozen=True)
class Group:
    """So many clients of one kind."""

    count: int
    database: str
    through: str = ""
    """The fault proxy that they come through, if any."""


GROUPS = (
    Group(8, "plain"),
    Group(4, "plain", "clients"),
    Group(4, "faulty"),
    Group(4, "faulty", "clients"),
    Group(2, "rough"),
    Group(2, "rough", "rough clients"),
)
AUDITED = ("plain", "faulty")
HALF_A_PASSWORD = frozenset({"28P01"})
"""What PostgreSQL says to the beginning of a password message with the end of the connection behind it (auth.c)."""


class Stage:
    """``async with`` it."""

    def __init__(self, target_name: str, flavour: str, seed: int) -> None:
        self._target_name = target_name
        self._flavour = flavour
        self._seed = seed
        self._stack = AsyncExitStack()
        self.directory: Path
        self.postgres: Postgres
        self.target: Target
        self.fault_proxies: dict[str, FaultProxy] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-lab-")))
        farm = Farm(self._stack.enter_context(Workspace()))
        self.postgres = await self._stack.enter_async_context(farm.prepare(self._flavour))
        for statement in (*atoms.SETUP, ledger.CREATE):
            await self.postgres.fetch(statement)
        ports = {"plain": self.postgres.port}
        for name in ("faulty", "rough"):
            ports[name] = (await self._fault_proxy(name, self.postgres.port, before_postgres=True)).port
        self.target = await self._stack.enter_async_context(targets.make(self._target_name, ports, self.postgres))
        for name in ("clients", "rough clients"):
            await self._fault_proxy(name, self.target.port)

    async def _fault_proxy(self, name: str, port: int, *, before_postgres: bool = False) -> FaultProxy:
        seed = self._seed + len(self.fault_proxies)
        proxy = FaultProxy(HOST, port, seed=seed, before_postgres=before_postgres)
        self.fault_proxies[name] = await self._stack.enter_async_context(proxy)
        return proxy

    def places(self) -> Iterator[Place]:
        """Where each client works."""
        groups = [group for group in GROUPS for _ in range(group.count)]
        for number, group in enumerate(groups):
            yield self._place(number, group)

    def _place(self, number: int, group: Group) -> Place:
        through = self.fault_proxies.get(group.through)
        rough = group.database == "rough"
        strict = group.database == "plain" and through is None
        excused = self.target.excused | (HALF_A_PASSWORD if group.database == "faulty" else frozenset())
        return Place(
            number,
            through.port if through is not None else self.target.port,
            group.database,
            USER,
            PASSWORD,
            rules=Rules(excused, self.target.disabled, rough=rough, canceled_by_others=not strict),
            can=self.target.can,
            patience_s=PATIENCE_S if through is None and not rough else SWALLOWED_PATIENCE_S,
            may_hang=through is not None or rough,
            mischief=not rough,
            writes=0.0 if rough else Place.writes,
            cancels=0.0 if rough else Place.cancels,
        )
