"""Where a script runs: at PostgreSQL itself, and through Trunkline before as few servers as make it interesting.

A pool of one shows what a client leaves behind to itself and to others; in a pool of three that takes the server idle
longest, hardly two statements of a client meet the same server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.compat.clients import Client
from tests.compat.ecosystems import Command
from tests.compat.sections import Printed, end, parse
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from trunkline.demo.serving import child_environment

STUCK_S = 30  # a script ends itself then, and shows where it was
TIMEOUT_S = STUCK_S + 30


@dataclass(frozen=True)
class Target:
    """A way to the server; without settings of Trunkline, the server itself."""

    name: str
    settings: Mapping[str, Any] | None = None


def _pool(size: int) -> Mapping[str, Any]:
    return {
        "pool_mode": "transaction",
        "default_pool_size": size,
        "min_pool_size": size,
        "server_round_robin": True,
    }


DIRECT = Target("directly")
THROUGH = (Target("pool of 1", _pool(1)), Target("pool of 3", _pool(3)))


@dataclass(frozen=True)
class Run:
    """One script at one target: what it printed, and what it and Trunkline had to complain of."""

    printed: Printed
    complaints: str


@asynccontextmanager
async def opened(target: Target, postgres: Postgres, database: str) -> AsyncIterator[tuple[int, Proxy | None]]:
    """The port of the target, before a new database of this name, and the Trunkline in between."""
    await postgres.fetch(f'CREATE DATABASE "{database}"')
    try:
        if target.settings is None:
            yield postgres.port, None
        else:
            url = f"postgres://{HOST}:{postgres.port}/{database}"
            async with Proxy(target.settings, databases={database: url}) as proxy:
                yield proxy.port, proxy
    finally:
        with suppress(psycopg.errors.ObjectInUse):  # a script that ended early may leave a prepared transaction
            await postgres.fetch(f'DROP DATABASE "{database}" WITH (FORCE)')


async def run_at(target: Target, postgres: Postgres, client: Client, command: Command) -> Run:
    """Run the client's script at the target, in a database of its own."""
    database = f"{client.database}_{target.name.replace(' ', '_')}"
    async with opened(target, postgres, database) as (port, proxy):
        output, errors = await _run_script(command, port, database)
    return Run(parse(output), "\n".join([*_end_of(errors), *_complaints(proxy)]))


async def run_everywhere(
    postgres: Postgres, client: Client, command: Command, targets: Sequence[Target] = THROUGH
) -> tuple[Run, dict[str, Run]]:
    """What the client gets directly, and by target what it gets through Trunkline."""
    direct = await run_at(DIRECT, postgres, client, command)
    return direct, {target.name: await run_at(target, postgres, client, command) for target in targets}


async def _run_script(command: Command, port: int, database: str) -> tuple[str, str]:
    where = {"PGHOST": HOST, "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD, "PGDATABASE": database}
    environ = {**child_environment(os.environ), **where, "COMPAT_STUCK_S": str(STUCK_S), **command.environ}
    environ.pop("PYTHONPATH", None)
    pipes = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command.arguments, env=environ, **pipes)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace") + end(process.returncode), errors.decode(errors="replace")


def _end_of(errors: str) -> list[str]:
    return errors.splitlines()[-60:]


def _complaints(proxy: Proxy | None) -> list[str]:
    if proxy is None:
        return []
    return [line for line in proxy.log.splitlines() if " ERROR " in line or "Traceback" in line][-10:]
