"""Three servers of one cluster that take turns: a primary, its synchronous replica, and one that follows at its ease.

Contract: a commit that the primary has acknowledged is on the synchronous replica, which is the one that is promoted.
Until the primary that was lost is back as a replica, the new one commits alone.
"""

from __future__ import annotations

import time
from typing import Generic, TypeVar

from trunkline.demo.ensemble import Ensemble
from trunkline.demo.postgres_server import PostgresServer
from trunkline.errors import ServerUnavailable

WAIT_S = 20.0
FOLLOW_S = 5.0  # for a replica to turn to a new primary; who cannot has rows that no primary has any more

Server = TypeVar("Server", bound=PostgresServer)


class Trio(Ensemble, Generic[Server]):
    """``async with`` it; the first of ``servers`` is the first primary. Roles move, addresses stay."""

    def __init__(self, primary: Server) -> None:
        self.primary = primary
        self.replicas: list[Server] = []
        self._old: Server | None = None  # a primary that was replaced and has not been taken back

    async def start(self) -> None:
        await self.primary.__aenter__()
        for number in (1, 2):
            await self._add(number)
        await self.synchronise()

    async def _add(self, number: int) -> None:
        directory = self.primary.directory
        replica = await self.primary.basebackup_replica(directory.with_name(f"{directory.name}-replica{number}"))
        self.replicas.append(replica)
        self._aim(replica)
        await replica.start()

    async def stop(self) -> None:
        for server in (*self.servers, *filter(None, [self._old])):
            await server.stop("immediate")
            server.remove()

    @property
    def servers(self) -> tuple[Server, ...]:
        return (self.primary, *self.replicas)

    @property
    def synchronous(self) -> Server:
        """Who has every acknowledged commit, and is the next primary."""
        return self.replicas[0]

    # --- what can happen ------------------------------------------------------------------------------------------

    async def synchronise(self) -> None:
        """From now on a commit waits for the first replica."""
        self.primary.settings["synchronous_standby_names"] = f'"{_name(self.synchronous)}"'
        self.primary.reload()
        if not await self._streams(self.synchronous, WAIT_S, "sync"):
            raise ServerUnavailable("the replica is not synchronous", detail=self.synchronous.log[-2000:])

    async def promote(self) -> Server:
        """Make the synchronous replica the primary; returns the old one when the new one takes writes."""
        old = self._old = self.primary
        await self.synchronous.promote()
        self.primary = self.replicas.pop(0)
        return old

    async def follow(self) -> bool:
        """Have the replica that is left stream from the new primary. False if it had to be made anew: it had received
        what the new primary never got."""
        (replica,) = self.replicas
        self._aim(replica)
        replica.reload()
        if await self._streams(replica, FOLLOW_S, "async"):
            return True
        await self._copy(replica)
        return False

    async def take_back(self, old: Server) -> None:
        """The old primary, which is down, comes back as a replica; then commits wait for the other one again."""
        old.settings.pop("synchronous_standby_names", None)
        self._old = None
        self.replicas.append(old)
        await self._copy(old)
        await self.synchronise()

    # --- how ------------------------------------------------------------------------------------------------------

    def _aim(self, replica: Server) -> None:
        replica.settings["primary_conninfo"] = self.primary.dsn(application_name=_name(replica))

    async def _copy(self, replica: Server) -> None:
        await replica.stop("immediate")
        await replica.copy_from(self.primary)
        self._aim(replica)
        await replica.start()
        if not await self._streams(replica, WAIT_S, "async"):
            raise ServerUnavailable("the replica does not stream from its primary", detail=replica.log[-2000:])

    async def _streams(self, replica: Server, limit_s: float, how: str) -> bool:
        """Whether the primary says so within this time."""
        question = (
            f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{_name(replica)}'"
            f" AND state = 'streaming' AND sync_state = '{how}'"
        )
        deadline = time.monotonic() + limit_s
        while await self.primary.sql(question) != "1":
            if time.monotonic() > deadline:
                return False
        return True


def _name(replica: PostgresServer) -> str:
    """By which the primary knows a replica."""
    return replica.directory.name
