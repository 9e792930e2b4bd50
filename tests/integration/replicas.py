"""A primary with streaming replicas, to stop, promote and turn around; and what Trunkline shows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.waiting import wait_until
from trunkline.demo.ensemble import Ensemble

SETTINGS = {"health_check_interval": 0.1}
UP = "up"


class Replicated(Ensemble):
    """``primary`` and ``replicas`` as they began; roles are the test's to change."""

    def __init__(self, farm: Farm, count: int = 1, *, flavour: str = "embedded", **options: Any) -> None:
        self.primary = farm.prepare(flavour, **options)
        self.replicas: list[Postgres] = []
        self._count = count

    async def start(self) -> None:
        await self.primary.__aenter__()
        for number in range(1, self._count + 1):
            await self.add(number)
        await self.primary.wait_for_replicas(self._count)

    async def add(self, number: int) -> Postgres:
        """One more replica, running."""
        directory = self.primary.directory.with_name(f"{self.primary.directory.name}-replica{number}")
        replica = await self.primary.basebackup_replica(directory)
        self.replicas.append(replica)
        await replica.start()
        return replica

    async def stop(self) -> None:
        for server in (*self.replicas, self.primary):
            await server.stop("immediate")
            server.remove()

    @property
    def servers(self) -> tuple[Postgres, ...]:
        return (self.primary, *self.replicas)

    def database(self, *order: Postgres, **more: Any) -> dict[str, Any]:
        """The settings of a database on these servers: the first is what they call its primary."""
        urls = [f"postgres://{HOST}:{server.port}/postgres" for server in order or self.servers]
        return {"primary": urls[0], "replicas": urls[1:], **(more or {"health_check_user": "postgres"})}


def follow(replica: Postgres, primary: Postgres) -> None:
    """Have a running replica stream from another server from now on."""
    replica.settings["primary_conninfo"] = primary.dsn()
    replica.reload()


def forget_to_recover(replica: Postgres) -> None:
    """At its next start this replica, which is stopped, is a second primary, without ever having been promoted."""
    Path(replica.data_directory, "standby.signal").unlink()


async def shown(proxy: Proxy) -> dict[int, dict[str, Any]]:
    """SHOW REPLICAS, by the ports of the servers."""
    return {row["port"]: row for row in await proxy.admin("SHOW REPLICAS")}


async def found(proxy: Proxy, expected: dict[Postgres, tuple[str, str]], timeout_s: float = 10.0) -> dict[int, Any]:
    """Wait until these servers are shown with these roles and states; everything that is shown then."""
    wanted = {server.port: what for server, what in expected.items()}
    rows: dict[int, dict[str, Any]] = {}

    async def as_expected() -> bool:
        rows.update(await shown(proxy))
        return all((rows[port]["role"], rows[port]["state"]) == what for port, what in wanted.items())

    try:
        await wait_until(as_expected, timeout_s)
    except AssertionError:
        raise AssertionError(f"expected {wanted}, shown is {list(rows.values())}; log: {proxy.log[-3000:]}") from None
    return rows
