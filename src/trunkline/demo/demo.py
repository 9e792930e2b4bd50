"""``trunkline demo``: two shards, each a real primary with a streaming replica, and Trunkline in front of them.

Contract: a printed line can be pasted into a shell as it stands, and ``--smoke`` runs exactly these lines and checks
what they answer. However it ends (Ctrl-C, SIGTERM, an error), no process and no file is left, unless a directory was
named to be kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from math import inf
from pathlib import Path

from trunkline.config.settings import Config
from trunkline.config.sharding import ShardingSettings
from trunkline.config.target import read_target
from trunkline.demo.cluster import Cluster, Clusters, Workspace, together
from trunkline.demo.databases import (
    APP,
    BENCH,
    SELECT_ONLY,
    SHARDS,
    SHOP,
    TPCB_OF_BRANCH,
    bench_rows,
    configuration,
    shop_rows,
)
from trunkline.demo.examples import EXAMPLES, SELECT_FILE, TPCB_FILE, Example, psql, run_line
from trunkline.demo.free_port import HOST, is_free
from trunkline.demo.postgres_binaries import Binaries, find_binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import choose_launcher
from trunkline.demo.process import holds_within
from trunkline.demo.serving import Trunkline
from trunkline.errors import ConfigError, ServerUnavailable

DEFAULT_PORT = 6432
USER = "demo"
PASSWORDS_FILE = "passwords.json"
LOADED_FILE = "loaded"  # is there when all data is
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Four servers on one machine, which few clients use.
SERVER_SETTINGS = {"shared_buffers": "16MB", "max_connections": "100"}

CONFIG = """\
listen_addr = "{host}"
listen_port = {port}
pool_mode = "transaction"
auth_type = "scram-sha-256"
auth_file = "userlist.txt"
admin_users = ["{user}"]

{databases}"""

Say = Callable[[str], None]


async def run_demo(
    *,
    port: int = DEFAULT_PORT,
    keep: Path | None = None,
    smoke: bool = False,
    pg_bin: Path | None = None,
    say: Say = print,
) -> int:
    """Run until a signal comes, or with ``smoke`` until the examples are checked; the exit code."""
    end_on_signals()
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


def end_on_signals() -> None:
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
        self._programs = programs(binaries)

    async def start(self, stack: AsyncExitStack, port: int, keep: Path | None) -> None:
        """Start everything; ``stack`` stops it in the reverse order."""
        began = time.monotonic()
        check_port(port)
        workspace = stack.enter_context(Workspace(keep))
        self._directory = workspace.path
        passwords = load_passwords(workspace.path)
        self._password = passwords[USER]
        self._clusters = self._make_clusters(workspace, passwords["postgres"])
        await stack.enter_async_context(Clusters(self._clusters))
        config_path = self._write_files(port)
        await self._load(read_target(str(config_path), {}))
        self._trunkline = Trunkline(config_path, workspace.path / "trunkline.log")
        stack.push_async_callback(self._trunkline.stop)
        await self._trunkline.start()
        await together(self._until_login_works(database) for database in (APP, BENCH, SHOP))
        self.is_ready = True
        self._introduce(time.monotonic() - began)

    def _make_clusters(self, workspace: Workspace, password: str) -> list[Cluster]:
        launcher = choose_launcher(self.binaries, workspace.path)
        self._say(f"{self.binaries.describe()}, run {launcher.reason}")
        return [
            Cluster(
                workspace.subdirectory(shard),
                self.binaries,
                password=password,
                settings=SERVER_SETTINGS,
                launcher=launcher,
                keep=workspace.is_kept,
            )
            for shard in SHARDS
        ]

    async def _load(self, config: Config) -> None:
        """The user, the databases and their rows, unless a kept directory has all of them already."""
        loaded = self._directory / LOADED_FILE
        if loaded.exists():
            return
        sharding = config.databases[SHOP].sharding
        assert sharding is not None
        await together(self._load_shard(shard, sharding) for shard in range(len(SHARDS)))
        await together(cluster.catch_up() for cluster in self._clusters)
        loaded.touch()

    async def _load_shard(self, shard: int, sharding: ShardingSettings) -> None:
        primary = self._clusters[shard].primary
        is_home = SHARDS[shard] == sharding.home
        databases = (APP, BENCH, SHOP) if is_home else (BENCH, SHOP)
        # A load that was interrupted is begun anew.
        made = [f"DROP DATABASE IF EXISTS {name};" for name in databases]
        made.append(f"DROP ROLE IF EXISTS {USER};")
        made.append(f"CREATE ROLE {USER} LOGIN PASSWORD '{self._password}' IN ROLE pg_monitor;")
        made += [f"CREATE DATABASE {name} OWNER {USER};" for name in databases]
        await primary.sql("\n".join(made))
        if is_home:
            where = ("-h", HOST, "-p", str(primary.port), "-U", USER)
            await primary.run("pgbench", "-i", "-q", "-s", "1", *where, APP, password=self._password)
        await primary.sql(shop_rows(shard, USER, sharding), SHOP)
        await primary.sql(bench_rows(shard, USER), BENCH)

    def _write_files(self, port: int) -> Path:
        """What Trunkline and pgbench read; the configuration's path."""
        directory = self._directory
        servers = [
            (f"{HOST}:{cluster.primary.port}", f"{HOST}:{cluster.replicas[0].port}") for cluster in self._clusters
        ]
        write_private(directory / SELECT_FILE, SELECT_ONLY)
        write_private(directory / TPCB_FILE, TPCB_OF_BRANCH)
        write_private(directory / "userlist.txt", f'"{USER}" "{self._password}"\n')
        config = CONFIG.format(host=HOST, port=port, user=USER, databases=configuration(servers))
        return write_private(directory / "trunkline.toml", config)

    async def _until_login_works(self, database: str) -> None:
        """The log said ready; a login through the whole chain proves it."""
        example = Example(f"a login to {database}", database, psql("SELECT 1"), "1")
        if not await self._answers(example):
            raise ServerUnavailable("Trunkline is up, but a login through it fails", detail=self._trunkline.log[-4000:])

    def _command(self, example: Example) -> str:
        url = f"postgres://{USER}:{self._password}@{HOST}:{self._trunkline.port}/{example.database}"
        return example.command(self._programs, url, str(self._directory))

    def _introduce(self, took_s: float) -> None:
        self._say(f"\nTrunkline is ready on port {self._trunkline.port}, after {took_s:.1f} s. Try:\n")
        for example in EXAMPLES:
            self._say(f"  {example.purpose}:\n    {self._command(example)}")  # a shell may not know comments
        self._say("")

    async def check(self) -> bool:
        """Run the printed lines; whether each gave the answer due."""
        return all([await self._answers(example, aloud=True) for example in EXAMPLES])

    async def _answers(self, example: Example, *, aloud: bool = False) -> bool:
        code, answer = await run_line(self._command(example))
        is_right = example.is_answered_by(code, answer)
        if aloud or not is_right:
            self._say(f"{'right' if is_right else 'WRONG'}: {example.purpose}\n{answer}")
        return is_right

    async def until_something_ends(self) -> None:
        """Watch the processes; returns only when one of them has ended by itself."""
        processes: list[PostgresServer | Trunkline] = [self._trunkline]
        for cluster in self._clusters:
            processes += [cluster.primary, *cluster.replicas]
        await holds_within(lambda: not all(process.is_running for process in processes), inf, poll_s=0.5)
        ended = [repr(process) for process in processes if not process.is_running]
        self._say(f"ended unexpectedly: {', '.join(ended)}\n{self._trunkline.log[-4000:]}")


def programs(binaries: Binaries) -> dict[str, str]:
    """Where the programs of the examples are.

    The system's psql has line editing and TLS; there may be none. A pgbench on PATH may be a wrapper without a program.
    """
    psql_path = "psql" if shutil.which("psql") else str(binaries.tool("psql"))
    return {"psql": psql_path, "pgbench": str(binaries.tool("pgbench")), "python": sys.executable}


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
