"""``trunkline demo --failover``: the primary is killed under load, and what its clients saw of that.

A primary with a synchronous and another replica, Trunkline in front of them, and clients that write and read. The
primary is killed as a power cut would, a replica is promoted as a failover manager would do it, and each commit that a
client was told of is looked for on the new primary. The exit code is 0 only if all of them are there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from trunkline.demo.cluster import Workspace
from trunkline.demo.demo import check_port, end_on_signals, write_private
from trunkline.demo.free_port import HOST
from trunkline.demo.load import CREATE_TABLE, TABLE, Load
from trunkline.demo.outage import Moments, Outage
from trunkline.demo.postgres_binaries import Binaries, find_binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import choose_launcher
from trunkline.demo.process import holds_within
from trunkline.demo.serving import Trunkline
from trunkline.demo.trio import Trio

DATABASE = "postgres"
USER = "demo"
WRITERS, READERS = 16, 4
BEFORE_S = 2.0  # under load, before the primary is killed
NOTICED_S = 1.0  # what a failover manager takes to be sure that it is gone
AFTER_S = 2.0  # of work on the new primary
GIVE_UP_S = 40.0  # above failover_wait
SERVER_SETTINGS = {"shared_buffers": "16MB", "max_connections": "100"}

CONFIG = """\
listen_addr = "{host}"
listen_port = {port}
pool_mode = "transaction"
auth_type = "scram-sha-256"
auth_file = "userlist.txt"

[databases.{database}]
primary = "{primary}"
replicas = ["{replicas}"]
reads = "replica"
health_check_user = "{user}"
"""

Say = Callable[[str], None]


async def run_failover(*, port: int, pg_bin: Path | None = None, say: Say = print) -> int:
    """From the start to the report; the exit code."""
    end_on_signals()
    try:
        async with AsyncExitStack() as stack:
            demo = FailoverDemo(find_binaries(pg_bin), say)
            await demo.start(stack, port)
            return 0 if await demo.fail_over() else 1
    except asyncio.CancelledError:
        return 130


class FailoverDemo:
    """Everything that runs, and the story that is told of it."""

    def __init__(self, binaries: Binaries, say: Say) -> None:
        self.binaries = binaries
        self._say = say
        self._password = secrets.token_hex(8)

    async def start(self, stack: AsyncExitStack, port: int) -> None:
        """Start everything; ``stack`` stops it in the reverse order."""
        began = time.monotonic()
        check_port(port)
        directory = stack.enter_context(Workspace()).path
        launcher = choose_launcher(self.binaries, directory)
        self._say(f"{self.binaries.describe()}, run {launcher.reason}")
        primary = PostgresServer(
            directory / "primary", launcher, password=secrets.token_hex(8), settings=SERVER_SETTINGS
        )
        self._trio = await stack.enter_async_context(Trio(primary))
        await self._fill(primary)
        config = configuration(port, [server.port for server in self._trio.servers])
        write_private(directory / "userlist.txt", f'"{USER}" "{self._password}"\n')
        path = write_private(directory / "trunkline.toml", config)
        self._trunkline = Trunkline(path, directory / "trunkline.log")
        stack.push_async_callback(self._trunkline.stop)
        await self._trunkline.start()
        self._load = Load(self._trunkline.port, DATABASE, USER, self._password, writers=WRITERS, readers=READERS)
        stack.push_async_callback(self._load.abort)
        await self._load.start()
        self._began = time.monotonic()
        self._say(f"ready after {self._began - began:.1f} s: Trunkline on port {self._trunkline.port}")
        self._say(f"  {_address(primary)} is the primary")
        self._say(f"  {_address(self._trio.synchronous)} is its replica; a commit waits for it")
        self._say(f"  {_address(self._trio.replicas[1])} is another replica")
        self._tell(f"{WRITERS} clients write, {READERS} clients read")

    async def _fill(self, primary: PostgresServer) -> None:
        await primary.sql(
            f"CREATE ROLE {USER} LOGIN PASSWORD '{self._password}' IN ROLE pg_monitor, pg_write_all_data;"
        )
        where = ("-h", HOST, "-p", str(primary.port), "-U", primary.user)
        await primary.run("pgbench", "-i", "-q", "-s", "1", *where, DATABASE)
        await primary.sql(f"{CREATE_TABLE}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER};")

    async def fail_over(self) -> bool:
        """Kill, promote, let the clients go on; tell what they saw, and say whether that was right."""
        await asyncio.sleep(BEFORE_S)
        old = self._trio.primary
        killing = time.monotonic()
        await old.kill()
        killed = time.monotonic()
        self._tell(f"kill -9: {_address(old)} is gone")
        await asyncio.sleep(NOTICED_S)
        promoting = time.monotonic()
        await self._trio.promote()
        promoted = time.monotonic()
        self._tell(f"{_address(self._trio.primary)} is promoted")
        if not await holds_within(lambda: self._load.acknowledged_since(promoting) > 0, GIVE_UP_S):
            self._tell(f"no write in {GIVE_UP_S:g} s; the log of Trunkline:\n{self._trunkline.log[-4000:]}")
            return False
        self._tell("writes go on")
        await self._trio.follow()
        self._tell(f"{_address(self._trio.replicas[0])} follows the new primary")
        await asyncio.sleep(AFTER_S)
        await self._load.stop()
        found = await self._trio.primary.sql(f"SELECT nonce FROM {TABLE}")
        return self._report(Outage(self._load.attempts, Moments(killing, killed, promoting, promoted), found.split()))

    def _report(self, outage: Outage) -> bool:
        self._say("\nwhat Trunkline logged:")
        for line in self._trunkline.log.splitlines():
            if f"{DATABASE}: " in line:
                self._say(f"  {line}")
        self._say("\nwhat the clients saw:")
        for line in (*outage.lines(), *(f"WRONG: {len(x)} {what}" for what, x in outage.faults.items() if x)):
            self._say(f"  {line}")
        return not outage.lost

    def _tell(self, event: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.2f} s  {event}")


def configuration(port: int, servers: list[int]) -> str:
    """The settings for these ports of PostgreSQL; the first is called the primary, as it is before anything happens."""
    urls = [f"postgres://{HOST}:{server}/{DATABASE}" for server in servers]
    return CONFIG.format(
        host=HOST, port=port, user=USER, database=DATABASE, primary=urls[0], replicas='", "'.join(urls[1:])
    )


def _address(server: PostgresServer) -> str:
    return f"{HOST}:{server.port}"
