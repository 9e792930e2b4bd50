"""A whole Trunkline inside the test's own event loop, in front of a real PostgreSQL, and what must hold afterwards.

It is served by ``trunkline.app.serve``, in a task like any other, so that every suspension of every task is in reach.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

import trunkline.admin.console
import trunkline.app
import trunkline.pool.catalog_watch
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import DEFAULTS, toml
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire, error_fields, query, rows
from trunkline.config.settings import Config
from trunkline.config.target import read_target
from trunkline.demo.free_port import free_port
from trunkline.proxy.instance import Instance
from trunkline.routing.schema.catalog_reader import QUERY

# One server a pool: the next client gets exactly what the last one has left.
SETTINGS = {**DEFAULTS, "pool_mode": "transaction", "default_pool_size": 1, "server_login_retry": 1}
SETTINGS["health_check_interval"] = 0  # but where checks are the scenario


# A database with shards, both of which are one and the same: what is said of a catalog is the question here.
SHARDS = ("s0", "s1")
SHARDED = {"stage_accounts": {"shard_by": "id"}}
SCHEMA = "CREATE TABLE IF NOT EXISTS stage_accounts (id int8); CREATE TABLE IF NOT EXISTS stage_notes (id int8)"
# Without PostgreSQL's own functions, which take most of the time.
SHORT_QUERY = QUERY.replace("WHERE n.nspname <> 'information_schema'", "WHERE p.oid >= 16384")
UNSENT_BYTES = 8192  # where the console waits for its reader, lowered so that little fills it


class Ended(Exception):
    """The connection of a scenario's client is over: its last words' SQLSTATE, or nothing."""


class House(NamedTuple):
    """What all stages share: a server, one that speaks TLS, and a certificate with its key."""

    postgres: Postgres
    sealed: Postgres
    certificate: tuple[Path, Path]


class Stage:
    """One served instance; ``async with`` it."""

    def __init__(self, house: House, settings: Mapping[str, Any]) -> None:
        self.postgres, self.sealed = house.postgres, house.sealed
        port = self.postgres.port
        url = f"postgres://127.0.0.1:{port}"
        self.scripted_port = free_port()
        self.metrics_port = free_port()
        databases = {
            "app": {"host": "127.0.0.1", "port": port, "dbname": "postgres"},
            "named": {"host": "localhost", "port": port, "dbname": "postgres"},
            "local": {"host": str(self.postgres.socket_directory), "port": port, "dbname": "postgres"},
            "asking": {"host": "127.0.0.1", "port": port, "dbname": "postgres", "connect_query": "SELECT 1"},
            "kept": {"host": "127.0.0.1", "port": port, "dbname": "postgres", "pool_mode": "session"},
            "sealed": {"host": "127.0.0.1", "port": self.sealed.port, "dbname": "postgres"},
            "scripted": {"host": "127.0.0.1", "port": self.scripted_port},
            "watched": {
                "primary": f"postgres://127.0.0.1:{port}/postgres",
                "replicas": [f"postgres://localhost:{port}"],
                "reads": "replica",
                "health_check_user": "postgres",
            },
            "shop": {"shards": [{"name": name, "primary": f"{url}/postgres"} for name in SHARDS], "tables": SHARDED},
        }
        certificate, key = map(str, house.certificate)
        tls = {"client_tls_sslmode": "prefer", "client_tls_cert_file": certificate, "client_tls_key_file": key}
        metrics = {"metrics_addr": f"127.0.0.1:{self.metrics_port}"}
        self.settings = {**SETTINGS, **tls, **metrics, **settings, "databases": databases}
        self.instance: Instance
        self.serving: asyncio.Task[int]
        self._directory = tempfile.TemporaryDirectory(prefix="trunkline-stage-")
        self._patch = pytest.MonkeyPatch()
        self._open_at_start = 0

    async def __aenter__(self) -> Self:
        path = Path(self._directory.name) / "trunkline.toml"
        path.write_text(toml(self.settings))
        path.with_name("userlist.txt").write_text(f'"postgres" "{PASSWORD}"\n')
        self._patch.setattr(trunkline.app, "Instance", self._make)
        self._patch.setattr(trunkline.admin.console, "MAX_UNSENT_BYTES", UNSENT_BYTES)
        self._patch.setattr(trunkline.pool.catalog_watch, "QUERY", SHORT_QUERY)
        self._patch.setattr(trunkline.pool.catalog_watch, "AGAIN_S", 0.05)
        self.serving = asyncio.get_running_loop().create_task(trunkline.app.serve(lambda: _load(path), _load(path)))
        await wait_until(self._has_started, what="it listens")
        await wait_until(self._has_looked, what="what an earlier life has left at shards has been looked for")
        self._open_at_start = descriptors() - self._kept()
        return self

    def _has_started(self) -> bool:
        started = hasattr(self, "instance") and bool(self.instance.started_at)
        if self.serving.done() and not started:
            self.serving.result()  # why it never did
        return started

    def _has_looked(self) -> bool:
        every = self.instance.routers.coordinations
        return self.serving.done() or all(one.recovery.is_over or not one.gate.inside for one in every)

    def _make(self, *arguments: Any) -> Instance:
        self.instance = Instance(*arguments)
        return self.instance

    async def __aexit__(self, *_: object) -> None:
        self._patch.undo()
        self.instance.stop()
        with suppress(Exception, asyncio.CancelledError):  # what a harmed task raises is not the question here
            await self.serving
        self._directory.cleanup()

    @property
    def listens(self) -> bool:
        return self.instance.listener is not None and bool(self.instance.listener.sockets)

    @property
    def port(self) -> int:
        assert self.instance.listener is not None
        return self.instance.listener.port

    async def reload(self, **settings: Any) -> None:
        """Go on with some settings changed."""
        self.settings |= settings
        Path(self._directory.name, "trunkline.toml").write_text(toml(self.settings))
        await self.instance.reload()

    # --- clients ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def client(self, database: str = "app", **parameters: str) -> AsyncIterator[Wire]:
        """A logged-in client; Ended when it is not let in."""
        async with await self.connect() as wire:
            await wire.send_startup({"user": "postgres", "database": database, **parameters})
            await self.authenticate(wire)
            yield wire

    async def connect(self) -> Wire:
        return await Wire.connect(self.port)

    async def authenticate(self, wire: Wire) -> None:
        try:
            last = (await wire.login_with("postgres", PASSWORD))[-1]
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Ended from None
        if last.type == "E":
            raise Ended(error_fields(last)["C"])

    async def ask(self, wire: Wire, *messages: bytes) -> list[Frame]:
        """What is answered up to ReadyForQuery; Ended when the connection ends before."""
        frames: list[Frame] = []
        try:
            await wire.send(*messages)
            while not frames or frames[-1].type != "Z":
                frames.append(await wire.read_frame())
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Ended(*(error_fields(frame)["C"] for frame in frames if frame.type == "E")) from None
        return frames

    def is_held_up(self) -> bool:
        """Whether the console waits for a client that does not read."""
        return any(link.unsent_count > UNSENT_BYTES for link in self.instance.clients.consoles)

    async def expect_own_answer(self, wire: Wire) -> None:
        nonce = secrets.token_hex(8)
        answered = rows(await self.ask(wire, query(f"SELECT '{nonce}'")))
        assert answered == [[nonce.encode()]], f"asked for {nonce}, got {answered}"

    # --- afterwards ---------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Whatever was done: the next clients are served alone, nobody waits, and nothing is open that need not be."""
        if self.listens and not self.instance.door.draining:
            sharded = {pool.family for pool in self.instance.pools if pool.database != pool.family}
            for database in ("app", "named", *sharded):
                async with self.client(database) as wire, self.client(database) as other:
                    await self.expect_own_answer(wire)
                    await self.expect_own_answer(other)
        with suppress(AssertionError):
            await wait_until(lambda: not self.left_over(), what="nothing is left over")
        assert not self.left_over(), self.left_over()
        await wait_until(self._is_alone, what="PostgreSQL has the sessions of idle servers, and no other")

    def left_over(self) -> dict[str, int]:
        """What should be gone by now."""
        instance, pools = self.instance, list(self.instance.pools)
        idle = 0 if self.serving.done() else sum(len(pool.idle) for pool in pools) + self._kept()
        counts = {
            "clients": len(instance.clients),
            "closing": len(instance.clients.ending),
            "in login": len(instance.clients.logging_in),
            "opening": sum(len(pool.tasks) for pool in pools),
            "cancelling": len(instance.pools.tasks),
            "console's": len(instance.clients.tasks),
            "waiting": sum(len(pool.waiting) + len(pool.clients) for pool in pools),
            "busy": sum(len(place) for pool in pools for place in pool.places) - sum(len(pool.idle) for pool in pools),
            "descriptors": 0 if self.serving.done() else descriptors() - self._open_at_start - idle,
        }
        return {name: count for name, count in counts.items() if count}

    def _kept(self) -> int:
        """Connections that listened for clients, and for nobody now: they are kept for a while. Those of checks too,
        and the one that has the lock of a database with shards."""
        pools = self.instance.pools
        listened = sum(not shared.subscribers for shared in pools.listeners.shared.values())
        return listened + len(pools.control) + len(pools.directories)

    async def _is_alone(self) -> bool:
        idle = Counter[bool]()
        for pool in [] if self.serving.done() else self.instance.pools:
            idle[pool.database == "sealed"] += len(pool.idle) if pool.database != "scripted" else 0
        idle[False] += 0 if self.serving.done() else self._kept()
        counts = [await server.server_connections() for server in (self.postgres, self.sealed)]
        return counts == [idle[False], idle[True]]


def _load(path: Path) -> Config:
    return read_target(str(path), {})


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))
