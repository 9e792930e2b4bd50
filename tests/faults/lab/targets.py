"""The proxies that can be examined: Trunkline, and PgBouncer as a control, with the same settings and verbs.

``excused`` are the SQLSTATEs by which a proxy may tell a client of a fault, ``disabled`` those by which it refuses a
login while its database is disabled; ``can`` is what it can do beyond plain transaction pooling. What it cannot is
tried all the same, and counted apart.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg
from psycopg.rows import dict_row

import trunkline
from tests.faults.nonce.session import EVERYTHING, SESSION_SET
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.waiting import wait_until
from trunkline.config.global_settings import Settings
from trunkline.demo.free_port import free_port
from trunkline.demo.process import ChildProcess

POOL_SIZE = 5
QUERY_TIMEOUT_S = 10
IDLE_TRANSACTION_TIMEOUT_S = 8
QUERY_WAIT_TIMEOUT_S = 20
LAST_WORDS = 1500

# The server is lost or unknown, cannot be reached, terminated or shutting down; a pool is full; a timer of ours has run
# out (57014 by request of a client is another matter: see the judge).
LOSSES = frozenset(("08001", "08006", "08007", "53300", "57P01", "57P02", "57P03", "57014", "25P03"))


class Target(Protocol):
    """A proxy under examination."""

    name: str
    excused: frozenset[str]
    disabled: frozenset[str]
    can: frozenset[str]
    ours: str
    """LIKE pattern of the names under which it prepares statements of its own accord."""

    crashes: list[str]
    """The last words of each time that it ended by itself."""

    @property
    def version(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def is_running(self) -> bool: ...
    @property
    def log(self) -> str: ...
    async def admin(self, sql: str) -> list[dict[str, Any]]: ...
    async def revive(self) -> None:
        """Start it again after it has ended by itself."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TrunklineTarget(Proxy):
    """Trunkline itself."""

    name = "trunkline"
    excused = LOSSES
    disabled = frozenset({"55000"})
    can = EVERYTHING if "session_state" in Settings.__dataclass_fields__ else EVERYTHING - {SESSION_SET}
    ours = "trunkline%"
    version = trunkline.__version__

    def __init__(self, ports: Mapping[str, int]) -> None:
        settings = {
            "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE,
            "query_timeout": QUERY_TIMEOUT_S,
            "query_wait_timeout": QUERY_WAIT_TIMEOUT_S,
            "idle_transaction_timeout": IDLE_TRANSACTION_TIMEOUT_S,
            "server_login_retry": 1,
            "server_tls_sslmode": "disable",
            "log_connections": False,
            "log_disconnections": False,
            "log_pooler_errors": False,
        }
        databases = {name: f"postgres://{HOST}:{port}/postgres" for name, port in ports.items()}
        super().__init__(settings, databases=databases)
        self.crashes: list[str] = []

    async def revive(self) -> None:
        self.crashes.append(self.log[-LAST_WORDS:])
        config = self.config_path.read_text()  # on the same port, where its clients look for it
        self.config_path.write_text(config.replace("listen_port = 0\n", f"listen_port = {self.port}\n"))
        await self.start()


class PgBouncerTarget:
    """PgBouncer as the distribution has it; it refuses to run as root, so it gets PostgreSQL's user."""

    name = "pgbouncer"
    excused = LOSSES | {"08P01"}
    disabled: frozenset[str] = frozenset()
    can: frozenset[str] = frozenset()  # 1.18: neither prepared statements nor any state of the session
    ours = ""

    def __init__(self, ports: Mapping[str, int], postgres: Postgres) -> None:
        binary = pgbouncer_binary()
        if binary is None:
            raise FileNotFoundError("pgbouncer is not installed")
        self._temporary = tempfile.TemporaryDirectory(prefix="trunkline-pgbouncer-")
        self._binary, self._ports, self._launcher = binary, ports, postgres.launcher
        self.port = free_port()
        self.crashes: list[str] = []
        directory = Path(self._temporary.name)
        self._process = ChildProcess(
            [binary, str(directory / "pgbouncer.ini")], directory / "pgbouncer.log", **postgres.launcher.options()
        )
        for path in (directory, *self._write(directory)):
            self._launcher.own(path)

    def _write(self, directory: Path) -> list[Path]:
        databases = "".join(f"{name} = host={HOST} port={port} dbname=postgres\n" for name, port in self._ports.items())
        ini = directory / "pgbouncer.ini"
        users = directory / "userlist.txt"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        ini.write_text(
            f"[databases]\n{databases}\n[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\n"
            f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\nadmin_users = {USER}\n"
            f"pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nmax_client_conn = 1000\n"
            f"query_timeout = {QUERY_TIMEOUT_S}\nquery_wait_timeout = {QUERY_WAIT_TIMEOUT_S}\n"
            f"idle_transaction_timeout = {IDLE_TRANSACTION_TIMEOUT_S}\nserver_login_retry = 1\n"
            "server_tls_sslmode = disable\nlog_connections = 0\nlog_disconnections = 0\nlog_pooler_errors = 0\n"
        )
        return [ini, users]

    @property
    def version(self) -> str:
        said = subprocess.run([self._binary, "--version"], capture_output=True, text=True, check=True).stdout
        return said.split()[1]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def log(self) -> str:
        return self._process.log

    async def __aenter__(self) -> Self:
        self._process.start()
        await wait_until(self._answers, what="PgBouncer answers")
        return self

    async def revive(self) -> None:
        self.crashes.append(self.log[-LAST_WORDS:])
        self._process.start()
        await wait_until(self._answers, what="PgBouncer answers again")

    async def _answers(self) -> bool:
        assert self.is_running, self.log
        try:
            return bool(await self.admin("SHOW VERSION"))
        except psycopg.OperationalError:
            return False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._process.stop(signal.SIGINT)
        self._temporary.cleanup()

    async def admin(self, sql: str) -> list[dict[str, Any]]:
        connection = await psycopg.AsyncConnection.connect(
            host=HOST, port=self.port, user=USER, password=PASSWORD, dbname="pgbouncer", autocommit=True
        )
        async with connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql)
            return await cursor.fetchall() if cursor.description else []


def pgbouncer_binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def make(name: str, ports: Mapping[str, int], postgres: Postgres) -> Target:
    return TrunklineTarget(ports) if name == "trunkline" else PgBouncerTarget(ports, postgres)
