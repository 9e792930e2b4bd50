"""A proxy inside the test's own process, and transactions over the shards of one of its databases.

For what needs no client: commits, decisions, recovery. Their participants are connections of psycopg.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.integration import sharded
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import DEFAULTS, toml
from trunkline.config.toml_file import load
from trunkline.errors import ServerLost, ServerRefused
from trunkline.execution.spread.coordination import Coordination
from trunkline.pool.pool import Pool
from trunkline.proxy.instance import Instance

PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1"


async def _no_console(*arguments: Any) -> None:
    """Nobody logs in."""


class Party:
    """A shard's server in a transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], shard: int, pool: Pool) -> None:
        self.connection, self.shard, self.pool = connection, shard, pool
        self.before: dict[str, Any] = {}  # by the beginning of a statement, what happens before it is sent

    @property
    def status(self) -> str:
        return "I" if self.connection.info.transaction_status in (0, 4) else "T"

    async def ask(self, sql: bytes) -> Sequence[tuple[bytes | None, ...]]:
        for beginning, happens in self.before.items():
            if sql.decode().startswith(beginning):
                await happens()
        try:
            cursor = await self.connection.execute(sql)
            while cursor.nextset():
                pass
            return await cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError as error:
            if error.sqlstate is None or self.connection.closed:
                raise ServerLost(str(error)) from None
            raise ServerRefused(error.sqlstate, str(error)) from None
        except psycopg.Error as error:
            raise ServerRefused(error.sqlstate or "XX000", str(error)) from None


class Stage:
    """A database with two shards on one server, and a proxy for it."""

    def __init__(self, postgres: Postgres, database: str, settings: Mapping[str, Any], directory: Path) -> None:
        self.postgres = postgres
        self.database = database
        self.file = directory / "trunkline.toml"
        self.users = {"postgres": {"password": PASSWORD}}
        self.settings = dict(settings)
        self.listens_at = 0  # a port that is given makes two lives in a row lives of one instance
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def instance(self, elders_before: int = 0) -> AsyncIterator[Instance]:
        """One life of a proxy; two of them at the same time are two instances."""
        table = {
            **DEFAULTS,
            "auth_type": "trust",
            "listen_port": self.listens_at,
            "users": self.users,
            "databases": {self.database: self.settings},
        }
        table.pop("auth_file")
        self.file.write_text(toml(table))
        config = load(self.file)
        made = Instance(lambda: config, config, _no_console)
        made.start(elders_before=elders_before)
        try:
            yield made
        finally:
            await made.close()

    async def begin(self, instance: Instance, user: str = "postgres", shards: Sequence[int] = (0, 1)) -> list[Party]:
        """A transaction at each of these shards."""
        parties = []
        for shard in shards:
            database = f"{self.database}_s{shard}"
            options: dict[str, Any] = {"user": user} if user != "postgres" else {}
            connection = await self._stack.enter_async_context(await self.postgres.connect(database, **options))
            pool = instance.pools.pool(f"{self.database}/s{shard}", user)
            parties.append(Party(connection, shard, pool))
            await parties[-1].ask(b"BEGIN")
        return parties

    async def fetch(self, shard: int, sql: str) -> list[tuple[Any, ...]]:
        return await self.postgres.fetch(sql, database=f"{self.database}_s{shard}")

    async def prepared(self) -> list[str]:
        """Everything that waits for its second phase at either shard."""
        return [str(row[0]) for shard in (0, 1) for row in await self.fetch(shard, PREPARED)]

    async def names(self) -> list[str]:
        """Of the customers of both shards."""
        return [str(row[0]) for shard in (0, 1) for row in await self.fetch(shard, "SELECT name FROM customers")]

    async def close(self) -> None:
        for gid in await self.prepared():
            for shard in (0, 1):
                with suppress(psycopg.Error):
                    await self.fetch(shard, f"ROLLBACK PREPARED '{gid}'")
        await self._stack.aclose()


def coordination_of(instance: Instance, stage: Stage) -> Coordination:
    return instance.routers.coordinations.of(stage.database)


async def write(parties: Sequence[Party], name: str = "new") -> None:
    """Each shard has one customer more."""
    for party in parties:
        await party.ask(f"INSERT INTO customers VALUES ({party.shard}, '{name}')".encode())


@asynccontextmanager
async def stage(postgres: Postgres, database: str, directory: Path) -> AsyncIterator[Stage]:
    """With the tables of `sharded`, as they are."""
    made = Stage(postgres, database, await sharded.create(postgres, database), directory)
    try:
        yield made
    finally:
        await made.close()
