"""The one PostgreSQL behind every contender: temporary, on loopback, trusting, without fsync.

It is the demo's server with settings of its own. Debian's programs are preferred, because their pgbench speaks TLS; an
installation that has no pgbench is of no use here. PgBouncer refuses to run as root as PostgreSQL does, so root
hands it to ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import wire
from bench.process import DidNotStart
from trunkline.demo import postgres_binaries
from trunkline.demo.free_port import free_port
from trunkline.demo.postgres_binaries import Binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import UNPRIVILEGED_USERS, choose_launcher

SCALE = 10
TRUST = "local all all trust\nhost all,replication all 127.0.0.1/32 trust\n"
SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "128MB",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
    "autovacuum": "off",  # it would disturb one contender of a round and not the others
}


def environment(**extra: str) -> dict[str, str]:
    """A clean environment: nobody's PGHOST or PGOPTIONS may steer a measurement."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C.UTF-8", "PGSSLMODE": "disable", "PGGSSENCMODE": "disable", **extra}


def unprivileged_account() -> str | None:
    """Whom root lets PgBouncer run as; None for everyone else, who need no other account."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED_USERS if name in known), None)


def give(path: Path, account: str | None) -> None:
    if account is not None:
        shutil.chown(path, account, pwd.getpwnam(account).pw_gid)


def find_binaries() -> Binaries:
    sources: Mapping[str, Callable[[], Iterator[Binaries]]] = {
        "system": postgres_binaries.system,
        **postgres_binaries.SOURCES,
    }
    for find in sources.values():
        for found in find():
            if found.tool("pgbench").exists():
                return found
    raise DidNotStart(f"no PostgreSQL with pgbench: {postgres_binaries.INSTALL_HINT}")


class Backend:
    """The server, loaded with pgbench's tables by ``start`` and ended by ``stop``."""

    def __init__(self, directory: Path) -> None:
        self.binaries = find_binaries()
        self.account = unprivileged_account()
        launcher = choose_launcher(self.binaries, directory)
        self._server = PostgresServer(
            directory / "postgres", launcher, user=wire.USER, settings=SETTINGS, hba=TRUST, port=free_port()
        )
        self._replica: PostgresServer | None = None

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def pgbench(self) -> Path:
        return self.binaries.tool("pgbench")

    def start(self) -> None:
        asyncio.run(self._create_and_start())
        self._run("createdb", wire.DATABASE)
        self._run("pgbench", "-i", "-q", "-s", str(SCALE), wire.DATABASE)

    def copy(self, names: Sequence[str]) -> None:
        """Databases with the same tables and rows."""
        for name in names:
            self._run("createdb", "--template", wire.DATABASE, name)

    def create_database(self, name: str, sql: str) -> None:
        """A database of a section's own, with what the statements make in it."""
        self._run("createdb", name)
        self._run(
            "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", name, *(part for one in sql.split(";") for part in ("-c", one))
        )

    def replica(self) -> int:
        """The port of a streaming replica, which is started when it is first wanted."""
        if self._replica is None:
            self._replica = asyncio.run(self._start_replica())
        return self._replica.port

    async def _start_replica(self) -> PostgresServer:
        replica = await self._server.basebackup_replica(self._server.directory.with_name("replica"))
        await replica.start()
        return replica

    async def _create_and_start(self) -> None:
        await self._server.create()
        await self._server.start()

    def _run(self, tool: str, *arguments: str) -> None:
        address = environment(PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER=wire.USER)
        done = subprocess.run(
            [self.binaries.tool(tool), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=address,
            timeout=120,
        )
        if done.returncode:
            raise DidNotStart(f"{tool}: {done.stderr.strip()}")

    def stop(self) -> None:
        if self._replica is not None:
            asyncio.run(self._replica.stop("immediate"))
        asyncio.run(self._server.stop("fast"))
