"""``trunkline demo``: a real primary with a streaming replica, pgbench's tables, and Trunkline in front of them.

Contract: what is printed can be pasted into a shell as it stands, and ``--smoke`` runs exactly those lines and checks
what they answer. However it ends (Ctrl-C, SIGTERM, an error), no process and no file is left, unless a directory was
named to be kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path

from trunkline.demo.cluster import Cluster, Workspace
from trunkline.demo.free_port import HOST, is_free
from trunkline.demo.postgres_binaries import Binaries, find_binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.process import holds_within
from trunkline.demo.serving import Trunkline
from trunkline.errors import ConfigError, ServerUnavailable

DEFAULT_PORT = 6432
USER = "demo"
DATABASE = "app"
PASSWORDS_FILE = "passwords.json"
PSQL_TIMEOUT_S = 30.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CONFIG = """\
listen_addr = "{host}"
listen_port = {port}
pool_mode = "transaction"
auth_type = "scram-sha-256"
auth_file = "userlist.txt"
admin_users = ["{user}"]

[databases.{database}]
primary = "postgres://{host}:{primary_port}/{database}"

[databases.{database}_replica]
primary = "postgres://{host}:{replica_port}/{database}"
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Example:
    """A line to paste: what it shows, what it runs, and a piece of the answer that it must give."""

    purpose: str
    database: str
    sql: str
    expected: str

    def command(self, psql: str, password: str, port: int) -> str:
        url = f"postgres://{USER}:{password}@{HOST}:{port}/{self.database}"
        return shlex.join([psql, url, "-c", self.sql])


EXAMPLES = (
    Example("the database", DATABASE, "SELECT count(*) FROM pgbench_accounts", "100000"),
    Example("its replica", f"{DATABASE}_replica", "SELECT pg_is_in_recovery() AS reads_a_replica", " t\n"),
    Example("the console", "trunkline", "SHOW POOLS", DATABASE),
)


async def run_demo(
    *,
    port: int = DEFAULT_PORT,
    keep: Path | None = None,
    smoke: bool = False,
    pg_bin: Path | None = None,
    say: Say = print,
) -> int:
    """Run until a signal comes, or with ``smoke`` until the examples are checked; the exit code."""
    _end_on_signals()
    demo = Demo(find_binaries(pg_bin), say)
    try:
        async with AsyncExitStack() as stack:
            await demo.start(stack, port, keep)
            if smoke:
                return 0 if await demo.check() else 1
            say("Ctrl-C stops everything." + ("" if keep else " Nothing is left behind."))
            await demo.until_something_ends()
            return 1
    except asyncio.CancelledError:
        # Being told to end is how a demo ends well, and how a smoke test does not.
        return 130 if smoke or not demo.is_ready else 0


def _end_on_signals() -> None:
    """The first signal ends the demo; later ones are ignored, so that they cannot interrupt the tidying up."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    told: list[bool] = []

    def end() -> None:
        if not told:
            told.append(True)
            task.cancel()

    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, end)


class Demo:
    """Everything that runs, and the lines that show it."""

    def __init__(self, binaries: Binaries, say: Say) -> None:
        self.binaries = binaries
        self.is_ready = False
        self._say = say
        self._password = ""
        self._psql = psql_program(binaries)

    async def start(self, stack: AsyncExitStack, port: int, keep: Path | None) -> None:
        """Start everything; ``stack`` stops it in the reverse order."""
        began = time.monotonic()
        check_port(port)
        workspace = stack.enter_context(Workspace(keep))
        passwords = load_passwords(workspace.path)
        self._password = passwords[USER]
        self._cluster = Cluster(workspace.path, self.binaries, password=passwords["postgres"], keep=workspace.is_kept)
        self._say(f"{self.binaries.describe()}, run {self._cluster.launcher.reason}")
        await stack.enter_async_context(self._cluster)
        await self._load()
        self._trunkline = Trunkline(self._write_config(workspace.path, port), workspace.path / "trunkline.log")
        stack.push_async_callback(self._trunkline.stop)
        await self._trunkline.start()
        await self._until_login_works()
        self.is_ready = True
        self._introduce(time.monotonic() - began)

    async def _load(self) -> None:
        """The user, the database and pgbench's tables, unless a kept directory has them already."""
        primary = self._cluster.primary
        if await primary.sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'") == "1":
            return
        await primary.sql(
            f"CREATE ROLE {USER} LOGIN PASSWORD '{self._password}' IN ROLE pg_monitor;\n"
            f"CREATE DATABASE {DATABASE} OWNER {USER};"
        )
        where = ("-h", HOST, "-p", str(primary.port), "-U", USER)
        await primary.run("pgbench", "-i", "-q", "-s", "1", *where, DATABASE, password=self._password)
        await self._cluster.catch_up()

    def _write_config(self, directory: Path, port: int) -> Path:
        config = CONFIG.format(
            host=HOST,
            port=port,
            user=USER,
            database=DATABASE,
            primary_port=self._cluster.primary.port,
            replica_port=self._cluster.replicas[0].port,
        )
        write_private(directory / "userlist.txt", f'"{USER}" "{self._password}"\n')
        return write_private(directory / "trunkline.toml", config)

    async def _until_login_works(self) -> None:
        """The log said ready; a login through the whole chain proves it."""
        example = Example("", DATABASE, "SELECT 1", "1")
        if not await self._answers(example):
            raise ServerUnavailable("Trunkline is up, but a login through it fails", detail=self._trunkline.log[-4000:])

    def commands(self) -> list[tuple[Example, str]]:
        return [(example, self._command(example)) for example in EXAMPLES]

    def _command(self, example: Example) -> str:
        return example.command(self._psql, self._password, self._trunkline.port)

    def _introduce(self, took_s: float) -> None:
        self._say(f"\nTrunkline is ready on port {self._trunkline.port}, after {took_s:.1f} s. Try:\n")
        for example, command in self.commands():
            self._say(f"  {command}   # {example.purpose}")
        self._say("")

    async def check(self) -> bool:
        """Run the printed lines; whether each gave the answer due."""
        return all([await self._answers(example, aloud=True) for example in EXAMPLES])

    async def _answers(self, example: Example, *, aloud: bool = False) -> bool:
        code, answer = await run_line(self._command(example))
        is_right = code == 0 and example.expected in answer
        if aloud or not is_right:
            self._say(f"{'right' if is_right else 'WRONG'}: {example.purpose or example.sql}\n{answer}")
        return is_right

    async def until_something_ends(self) -> None:
        """Watch the processes; returns only when one of them has ended by itself."""
        processes: list[PostgresServer | Trunkline] = [
            self._cluster.primary,
            *self._cluster.replicas,
            self._trunkline,
        ]
        await holds_within(lambda: not all(process.is_running for process in processes), inf, poll_s=0.5)
        ended = [repr(process) for process in processes if not process.is_running]
        self._say(f"ended unexpectedly: {', '.join(ended)}\n{self._trunkline.log[-4000:]}")


async def run_line(command: str) -> tuple[int, str]:
    """A printed line, as a shell would run it; the exit code, and both outputs."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PSQLRC": os.devnull, "PAGER": "cat"},  # a user's own settings may change the output's form
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), PSQL_TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


def psql_program(binaries: Binaries) -> str:
    """The system's psql, which has line editing and TLS; the embedded one where there is no other."""
    return "psql" if shutil.which("psql") else str(binaries.tool("psql"))


def check_port(port: int) -> None:
    """Told before anything is started. Port 0 stands for any free one."""
    if port and not is_free(port):
        raise ConfigError(
            f"port {port} of {HOST} is in use",
            hint=f"Choose another one: trunkline demo --port {port + 1} (or make demo ARGS='--port {port + 1}').",
        )


def load_passwords(directory: Path) -> dict[str, str]:
    """The passwords of a kept directory, or new ones; somebody else's directory is not written into."""
    path = directory / PASSWORDS_FILE
    if path.exists():
        passwords: dict[str, str] = json.loads(path.read_text())
        return passwords
    if any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty and was not made by a demo", hint="Name a new directory.")
    made = {name: secrets.token_hex(8) for name in ("postgres", USER)}
    write_private(path, json.dumps(made))
    return made


def write_private(path: Path, text: str) -> Path:
    """A file that only its owner could ever read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path
