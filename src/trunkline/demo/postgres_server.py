"""One real PostgreSQL server below a directory of its own: made, started, crashed, promoted and copied at will.

Contract: loopback only, SCRAM for every connection, C.UTF-8 so that it sorts alike on every machine, and no fsync,
since what is made here is thrown away. ``<directory>/data`` is the cluster, ``<directory>/socket`` its Unix socket,
``<directory>/postgres.log`` what it says. A server that exists already in the directory is used as it is.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlencode

from trunkline.demo.free_port import free_port
from trunkline.demo.privileges import Launcher
from trunkline.demo.process import ChildProcess, holds_within
from trunkline.errors import ServerUnavailable

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
PORT_ATTEMPTS = 5
SHORT_DIRECTORY_LIMIT = 40  # what remains is enough for a name of our own and that of the socket
SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")  # sun_path of a Unix socket address, less the file's own name
LINE_OF_STATUS = 7  # postmaster.pid, as pg_ctl reads it (miscadmin.h, LOCK_FILE_LINE_PM_STATUS, counted from 0)

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

BASE_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_prepared_transactions": "64",
    "password_encryption": "scram-sha-256",
}


class PostgresServer:
    """A server and its life. ``port`` stays the same over restarts, so that whoever is connected finds it again."""

    def __init__(
        self,
        directory: Path,
        launcher: Launcher,
        *,
        user: str = "postgres",
        password: str = "postgres",
        settings: Mapping[str, str] | None = None,
        hba: str | None = None,
        port: int | None = None,
    ) -> None:
        self.directory = directory
        self.launcher = launcher
        self.user = user
        self.password = password
        self.settings = dict(settings or {})
        self.hba = hba
        self._port = port
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._process = ChildProcess(
            launcher.command("postgres", "-D", self.data_directory, bound_to_us=True),
            self.log_path,
            **launcher.options(),
        )

    def __repr__(self) -> str:
        return f"<PostgresServer {self.launcher.binaries.version} port={self._port} {self._process!r}>"

    async def __aenter__(self) -> Self:
        try:
            await self.create()
            await self.start()
        except BaseException:
            await self.stop("immediate")
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop("immediate")

    # --- where and how to reach it ----------------------------------------------------------------------------

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def log_path(self) -> Path:
        return self.directory / "postgres.log"

    @property
    def log(self) -> str:
        return self._process.log

    @property
    def log_since_start(self) -> str:
        return self._process.log_since_start

    @property
    def port(self) -> int:
        if self._port is None:
            raise RuntimeError("the server has no port before its first start")
        return self._port

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def socket_directory(self) -> Path:
        """Its own directory; a short one elsewhere when this one's path is too long for a socket address."""
        wanted = self.directory / "socket"
        if len(os.fsencode(wanted)) <= SOCKET_PATH_LIMIT:
            return wanted
        if self._sockets is None:
            elsewhere = tempfile.gettempdir()
            elsewhere = elsewhere if len(os.fsencode(elsewhere)) <= SHORT_DIRECTORY_LIMIT else "/tmp"
            self._sockets = tempfile.TemporaryDirectory(prefix="trunkline-", dir=elsewhere)
            self.launcher.own(Path(self._sockets.name))
        return Path(self._sockets.name)

    def dsn(
        self, database: str = "postgres", *, user: str | None = None, password: str | None = None, **options: str
    ) -> str:
        """A ``postgres://`` URL for the superuser, or for whoever is named."""
        name, secret = quote(user or self.user, safe=""), quote(password or self.password, safe="")
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        return f"postgres://{name}:{secret}@{HOST}:{self.port}/{quote(database, safe='')}{query}"

    # --- its life ---------------------------------------------------------------------------------------------

    async def create(self) -> None:
        """Make the data directory, unless there is one."""
        self._make_directories()
        if self.is_created:
            return
        password_file = self.write_file(self.directory / "initdb-password", self.password.encode())
        try:
            await self.run("initdb", *self._initdb_arguments(password_file))
        finally:
            password_file.unlink()
        with (self.data_directory / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude_if_exists = 'trunkline.conf'\n")

    @property
    def is_created(self) -> bool:
        return (self.data_directory / "PG_VERSION").exists()

    def _make_directories(self) -> None:
        for path in (self.directory, self.directory / "socket"):
            if not path.exists():
                path.mkdir(mode=0o700)
                self.launcher.own(path)

    def _initdb_arguments(self, password_file: Path) -> list[str]:
        # The builtin provider (PostgreSQL 17) sorts alike everywhere; before it, the C library's C.UTF-8 comes nearest.
        builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return [
            *("-D", str(self.data_directory), "-U", self.user, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"),
            *(builtin if self.launcher.binaries.major >= 17 else ["--locale=C.UTF-8"]),
        ]

    async def start(self) -> None:
        """Start and wait until it accepts connections; a port that is taken meanwhile is exchanged for another."""
        keep_port = self._port is not None
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._port = self._port if keep_port else free_port()
            self._write_settings()
            self._process.start()
            await holds_within(lambda: self.accepts_connections or not self.is_running, START_TIMEOUT_S)
            if self.is_running and self.accepts_connections:
                return
            if keep_port or attempt == PORT_ATTEMPTS or "could not bind" not in self.log_since_start:
                await self.stop("immediate")
                raise ServerUnavailable("PostgreSQL did not start", detail=self.log_since_start[-2000:])

    @property
    def accepts_connections(self) -> bool:
        """What the server itself wrote into postmaster.pid; no login is needed to know it."""
        try:
            lines = (self.data_directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        is_ours = lines[:1] == [str(self.pid)]
        return is_ours and len(lines) > LINE_OF_STATUS and lines[LINE_OF_STATUS].strip() == "ready"

    def _write_settings(self) -> None:
        settings = BASE_SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.socket_directory)}
        if self.launcher.binaries.major >= 18:
            settings["io_method"] = "sync"  # no worker processes for a server that has nothing to read
        lines = [f"{name} = {_quoted(value)}\n" for name, value in (settings | self.settings).items()]
        self.write_file(self.data_directory / "trunkline.conf", "".join(lines).encode())
        if self.hba is not None:
            self.write_file(self.data_directory / "pg_hba.conf", self.hba.encode())

    def write_file(self, path: Path, content: bytes) -> Path:
        """A file that only the server (and we) can read; a relative path is one in the data directory."""
        path = self.data_directory / path
        path.write_bytes(content)
        path.chmod(0o600)
        return self.launcher.own(path)

    async def stop(self, mode: StopMode = "fast") -> None:
        await self._process.stop(STOP_SIGNALS[mode])
        if self._sockets is not None:
            self._sockets.cleanup()
            self._sockets = None

    async def restart(self, mode: StopMode = "fast") -> None:
        await self.stop(mode)
        await self.start()

    async def kill(self) -> None:
        """What a power cut does: every process of the server ends at once, without a word to anyone."""
        backends = _children_of(self.pid)
        self._process.kill()
        for pid in backends:
            _kill(pid)
        # A backend that still holds the shared memory would keep the next start from succeeding.
        await holds_within(lambda: not any(_exists(pid) for pid in backends), START_TIMEOUT_S)

    def reload(self) -> None:
        """Make changed ``settings`` and ``hba`` known to the running server."""
        self._write_settings()
        self._process.send_signal(signal.SIGHUP)

    # --- its programs and its replicas ------------------------------------------------------------------------

    async def run(
        self, tool: str, *arguments: str | Path, input: str | None = None, password: str | None = None
    ) -> str:
        """Run one of PostgreSQL's programs with a password at hand (the superuser's); its standard output."""
        options = self.launcher.options()
        options["env"]["PGPASSWORD"] = password or self.password
        process = await asyncio.create_subprocess_exec(
            *self.launcher.command(tool, *arguments),
            stdin=asyncio.subprocess.PIPE if input is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **options,
        )
        try:
            out, complaint = await process.communicate(None if input is None else input.encode())
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise ServerUnavailable(f"{tool} failed", detail=complaint.decode(errors="replace")[-2000:])
        return out.decode()

    async def sql(self, text: str, database: str = "postgres") -> str:
        """Run SQL as the superuser with psql; the unaligned rows, without headings."""
        arguments = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-p", str(self.port), "-U", self.user)
        return (await self.run("psql", *arguments, "-d", database, "-f", "-", input=text)).rstrip("\n")

    async def promote(self) -> None:
        """Make a replica a primary, and wait until it takes writes."""
        await self.sql("SELECT pg_promote(true)")

    async def basebackup_replica(self, directory: Path) -> Self:
        """A copy of this server in ``directory``, not started, that streams from here once it is."""
        replica = self.replica_in(directory)
        await replica.copy_from(self)
        return replica

    async def copy_from(self, primary: PostgresServer) -> None:
        """Become a replica of a running server that streams from it once started; what was here is thrown away."""
        await asyncio.to_thread(shutil.rmtree, self.data_directory, ignore_errors=True)
        self._make_directories()
        source = f"host={HOST} port={primary.port} user={primary.user}"
        await primary.run(
            "pg_basebackup", "-d", source, "-D", self.data_directory, "-c", "fast", "-X", "stream", "--no-sync"
        )
        self.write_file(Path("standby.signal"), b"")

    def replica_in(self, directory: Path) -> Self:
        """The replica of this server that lives in ``directory``; each start writes anew where it streams from."""
        # pg_basebackup -R would put that into postgresql.auto.conf, which wins over what a later start writes.
        settings = self.settings | {"primary_conninfo": self.dsn()}
        return type(self)(
            directory, self.launcher, user=self.user, password=self.password, settings=settings, hba=self.hba
        )

    def remove(self) -> None:
        """Delete the directory; the server must have ended."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _exists(pid: int) -> bool:
    """Whether it still runs; one that only waits to be reaped holds nothing any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
