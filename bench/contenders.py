"""Who takes part: each contender is one function from a ``Setup`` to a started ``Running``, in the table STARTERS,
to which a section may add what only it measures.

All proxies get the same settings. A contender that cannot start, or does not offer what a setup asks for, is absent
with its reason; the others are measured all the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bench import postgres, process, wire
from bench.options import MODES, POOL_SIZE
from bench.postgres import Backend
from bench.process import Daemon, DidNotStart
from trunkline.demo.free_port import free_port

MAX_CLIENT_CONN = 12_000
SHARDS = ("shard_0", "shard_1")
FLOORS = Path(__file__).parent / "floor"


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Stage:
    """What all contenders of a run share: the server behind them and a directory for their files."""

    server: Backend
    directory: Path


@dataclass(frozen=True)
class Setup:
    """How a section wants the proxies configured. ``userlist`` maps a user to a password or SCRAM secret."""

    auth_type: str = "trust"
    userlist: tuple[tuple[str, str], ...] = ((wire.USER, ""),)
    tls: Certificate | None = None

    def check_ready(self, port: int) -> None:
        if self.tls is not None:
            wire.accepts_tls(port)
        elif self.auth_type == "trust":
            wire.login(port).close()
        else:
            wire.answers(port)


@dataclass(frozen=True)
class Running:
    name: str
    port: int
    daemon: Daemon | None = None  # None: PostgreSQL itself, which has no proxy to account for
    modes: tuple[str, ...] = MODES


@dataclass
class Lineup:
    running: list[Running] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Running | None:
        return next((one for one in self.running if one.name == name), None)


def _file(path: Path, text: str, account: str | None = None) -> Path:
    path.write_text(text)
    postgres.give(path, account)
    return path


def _userlist(setup: Setup, directory: Path, account: str | None = None) -> Path:
    lines = "".join(f'"{user}" "{secret}"\n' for user, secret in setup.userlist)
    return _file(directory / "userlist.txt", lines, account)


def _direct(stage: Stage, setup: Setup, directory: Path) -> Running:
    if setup != Setup():
        raise DidNotStart("PostgreSQL itself is set up for trust without TLS only")
    return Running("direct", stage.server.port)


def _pgbouncer_ini(stage: Stage, setup: Setup, directory: Path, port: int) -> str:
    tls = setup.tls and (
        f"client_tls_sslmode = require\nclient_tls_key_file = {setup.tls.key}\n"
        f"client_tls_cert_file = {setup.tls.certificate}\n"
    )
    userlist = _userlist(setup, directory, stage.server.account)
    return (
        f"[databases]\n{wire.DATABASE} = host=127.0.0.1 port={stage.server.port} dbname={wire.DATABASE} "
        f"user={wire.USER}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nmax_client_conn = {MAX_CLIENT_CONN}\n"
        f"auth_type = {setup.auth_type}\nauth_file = {userlist}\n{tls or ''}"
    )


def pgbouncer_binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _pgbouncer(stage: Stage, setup: Setup, directory: Path) -> Running:
    binary = pgbouncer_binary()
    if binary is None:
        raise DidNotStart("not installed: apt-get install pgbouncer")
    port = free_port()
    account = stage.server.account
    ini = _file(directory / "pgbouncer.ini", _pgbouncer_ini(stage, setup, directory, port), account)
    daemon = process.start(
        "pgbouncer", [binary, ini], directory / "pgbouncer.log", account=account, environment=postgres.environment()
    )
    _ready(daemon, setup, port)
    # Prepared statements under transaction pooling came with 1.21, by max_prepared_statements.
    return Running("pgbouncer", port, daemon, MODES[:2])


def _trunkline_toml(stage: Stage, setup: Setup, directory: Path, port: int) -> str:
    tls = setup.tls and (
        f'client_tls_sslmode = "require"\nclient_tls_key_file = "{setup.tls.key}"\n'
        f'client_tls_cert_file = "{setup.tls.certificate}"\n'
    )
    return (
        f'listen_addr = "127.0.0.1"\nlisten_port = {port}\npool_mode = "transaction"\n'
        f"default_pool_size = {POOL_SIZE}\nmax_client_conn = {MAX_CLIENT_CONN}\n"
        f'auth_type = "{setup.auth_type}"\nauth_file = "{_userlist(setup, directory)}"\n{tls or ""}\n'
        f'[databases.{wire.DATABASE}]\nhost = "127.0.0.1"\nport = {stage.server.port}\n'
        f'dbname = "{wire.DATABASE}"\nuser = "{wire.USER}"\n'
    )


def _shards(stage: Stage) -> str:
    """The same database on two shards: each has all rows, so that it does not matter which of them is asked."""
    url = f"postgres://{wire.USER}@127.0.0.1:{stage.server.port}"
    shards = "".join(f'[[databases.{wire.DATABASE}.shards]]\nname = "{s}"\nprimary = "{url}/{s}"\n' for s in SHARDS)
    tables = f'[databases.{wire.DATABASE}.tables]\npgbench_accounts = {{ shard_by = "aid" }}\n'
    return f"[databases.{wire.DATABASE}]\n{shards}{tables}"


def _sharded(stage: Stage, setup: Setup, directory: Path) -> Running:
    stage.server.copy(SHARDS)
    return replace(trunkline(stage, setup, directory, _shards(stage)), name="sharded")


def _reading(stage: Stage, setup: Setup, directory: Path, more: str = "") -> Running:
    """Reads go to a replica of the same server."""
    url = f"postgres://{wire.USER}@127.0.0.1:{{}}/{wire.DATABASE}".format
    replicas = f'replicas = ["{url(stage.server.replica())}"]\nreads = "replica"\n{more}'
    database = f'[databases.{wire.DATABASE}]\nprimary = "{url(stage.server.port)}"\n{replicas}'
    return replace(trunkline(stage, setup, directory, database), name="reading")


def _forgetful(stage: Stage, setup: Setup, directory: Path) -> Running:
    """The same, without care for what a client has written."""
    return replace(_reading(stage, setup, directory, 'read_after_write = "off"\n'), name="forgetful")


def trunkline(stage: Stage, setup: Setup, directory: Path, databases: str = "", more: str = "") -> Running:
    """``databases`` are the sections of the configuration, if not the plain database; ``more`` are global settings."""
    port = free_port()
    text = _trunkline_toml(stage, setup, directory, port)
    if databases:
        text = text.partition("[databases.")[0] + databases
    toml = _file(directory / "trunkline.toml", more + text)
    daemon = process.start(
        "trunkline",
        [sys.executable, "-m", "trunkline", "serve", toml],
        directory / "trunkline.log",
        environment=postgres.environment(PYTHONPATH=os.pathsep.join(sys.path)),
    )
    _ready(daemon, setup, port)
    return Running("trunkline", port, daemon)


def _two_workers(stage: Stage, setup: Setup, directory: Path) -> Running:
    return replace(trunkline(stage, setup, directory, more="workers = 2\n"), name="two workers")


@cache
def _compiled_floor(directory: Path, name: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise DidNotStart("no C compiler")
    binary = directory / name
    source = FLOORS / f"{name}.c"
    done = subprocess.run([compiler, "-O2", source, "-o", binary], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise DidNotStart(done.stderr.strip().splitlines()[-1])
    return binary


def _floor(stage: Stage, setup: Setup, directory: Path) -> Running:
    return floor(stage, setup, directory, "floor_epoll", wire.DATABASE, str(POOL_SIZE))


def floor(stage: Stage, setup: Setup, directory: Path, name: str, *arguments: str) -> Running:
    """One of the relays in C, before the databases that it is told."""
    if setup != Setup():
        raise DidNotStart("the floor knows trust without TLS only")
    port = free_port()
    command = [_compiled_floor(stage.directory, name), port, stage.server.port, wire.USER, *arguments]
    daemon = process.start("floor", [str(word) for word in command], directory / "floor.log")
    _ready(daemon, setup, port)
    return Running("floor", port, daemon, MODES[:2])


def _ready(daemon: Daemon, setup: Setup, port: int) -> None:
    try:
        process.wait_until_ready(daemon, lambda: setup.check_ready(port))
    except BaseException:
        daemon.stop()
        raise


STARTERS: dict[str, Callable[[Stage, Setup, Path], Running]] = {
    "direct": _direct,
    "pgbouncer": _pgbouncer,
    "trunkline": trunkline,
    "sharded": _sharded,
    "reading": _reading,
    "forgetful": _forgetful,
    "floor": _floor,
    "two workers": _two_workers,
}


@contextmanager
def lineup(stage: Stage, names: Sequence[str], setup: Setup | None = None) -> Iterator[Lineup]:
    """Start the named contenders with fresh processes, and stop every one of them afterwards."""
    setup = setup or Setup()
    present = Lineup()
    try:
        for name in names:
            directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=stage.directory))
            directory.chmod(0o755)  # PgBouncer started by root reads it as another user
            try:
                present.running.append(STARTERS[name](stage, setup, directory))
            except DidNotStart as reason:
                present.absent[name] = f"did not start: {reason}"
        yield present
    finally:
        for one in present.running:
            if one.daemon is not None:
                one.daemon.stop()
