"""Where scripts are played: PostgreSQL itself, and pools of each mode before it, under conditions that find faults.

`VARIANTS` is the table. In transaction and statement pooling a session's next unit may find a server that others have
used, so a script is played several times: behind somebody who left a mess (`used`), with somebody else taking the
server between any two units (`shared`), on a pool where each unit finds another server (`rotating`), and on one whose
reads go to a streaming replica (`reads`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from tests.differential.conversation import Between, Place, play
from tests.differential.rendering import render
from tests.differential.script import Script
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire

DATABASE = "differential"
OWNER, PLAIN, ROLE = "diff_owner", "diff_plain", "diff_role"
ROTATED_SERVERS = 3


class Variant(NamedTuple):
    """A pool to play scripts on: its mode, and what is done to its servers meanwhile."""

    mode: str
    behind: str = ""  # "mess": a client that left its session's state has used the server before
    between: str = ""  # "others": another client uses the server between any two units
    rotates: bool = False
    reads: bool = False  # from a replica
    listed_as: str = ""  # the variant whose differences are meant here as well


VARIANTS: Mapping[str, Variant] = {
    "session": Variant("session", behind="mess"),
    "used": Variant("transaction", behind="mess"),
    "shared": Variant("transaction", between="others"),
    "rotating": Variant("transaction", rotates=True),
    "statement": Variant("statement", between="others"),
    "reads": Variant("transaction", behind="mess", reads=True, listed_as="used"),
}

# What others leave behind, or have otherwise: nothing of it may be seen by the next client.
MESS = (
    "SET application_name = 'somebody else'; SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'",
    "SET IntervalStyle = 'iso_8601'; SET search_path = pg_catalog; SET client_encoding = 'LATIN1'",
)

SETUP = f"""
CREATE ROLE {OWNER} LOGIN SUPERUSER PASSWORD '{PASSWORD}';
CREATE ROLE {PLAIN} LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE {ROLE};
GRANT {ROLE} TO {PLAIN};
ALTER ROLE {OWNER} SET search_path = scratch;
ALTER ROLE {PLAIN} SET search_path = scratch;
"""
FRESH = "DROP SCHEMA IF EXISTS scratch CASCADE; CREATE SCHEMA scratch; GRANT ALL ON SCHEMA scratch TO PUBLIC"


class Stage:
    """One PostgreSQL, the pools before it, and the transcripts of PostgreSQL itself, which are made once."""

    def __init__(
        self,
        postgres: Postgres,
        proxies: Mapping[bool, Proxy],
        control: psycopg.AsyncConnection,
        stack: AsyncExitStack,
    ) -> None:
        self.postgres = postgres
        self._reading: Proxy | None = None
        self._stack = stack
        self.proxies = proxies
        self.control = control
        self.others: dict[str, Wire] = {}
        self.played: dict[str, str] = {}  # the last script of each variant
        self._direct: dict[str, list[str]] = {}

    @property
    def major(self) -> int:
        return self.postgres.launcher.binaries.major

    async def direct(self, script: Script) -> list[str]:
        """What PostgreSQL says."""
        if script.id not in self._direct:
            await self._clear(script)
            self._direct[script.id] = await play(script, Place(self.postgres.port, DATABASE), self.ask)
        return self._direct[script.id]

    async def pooled(self, script: Script, name: str) -> list[str]:
        """What a client of this pool sees."""
        variant = VARIANTS[name]
        self.played[name] = script.id
        await self._clear(script)
        proxy = await self._with_replica() if variant.reads else self.proxies[variant.rotates]
        place = Place(proxy.port, name)
        if variant.behind:
            await self._make_a_mess(place)
        between = await self._others(place) if variant.between else None
        return await play(script, place, self.ask, between)

    async def _with_replica(self) -> Proxy:
        """The pool whose reads go to a replica; both are started when they are first wanted."""
        if self._reading is None:
            directory = self.postgres.directory.with_name(f"{self.postgres.directory.name}-differential")
            replica = await self.postgres.basebackup_replica(directory)
            self._stack.callback(replica.remove)
            self._stack.push_async_callback(replica.stop, "immediate")
            await replica.start()
            self._reading = await self._stack.enter_async_context(_proxy(self.postgres, replica=replica))
        await self.postgres.wait_for_replicas()
        return self._reading

    async def renew(self) -> None:
        """New servers for the pools: what went wrong in one script is not to be seen in the next."""
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        query = f"SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
        pids = [pid for pid, _ in await (await self.control.execute(query)).fetchall()]
        gone = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY ('{{{','.join(map(str, pids))}}}')"
        await wait_until(lambda: self.ask(gone), what="the servers of all pools have gone")
        await _warm(self.proxies[True])

    async def ask(self, question: str) -> bool:
        """Whether the query is true, asked by none of the clients; false if it has no rows."""
        cursor = await self.control.execute(sql.SQL(question))  # type: ignore[arg-type]
        row = await cursor.fetchone() if cursor.description else None
        return bool(row and row[0])

    async def _clear(self, script: Script) -> None:
        await self.control.execute("; ".join([FRESH, "SET search_path = scratch", *script.given]))  # type: ignore[arg-type]

    # --- the other clients --------------------------------------------------------------------------------------

    async def _make_a_mess(self, place: Place) -> None:
        async with await self._log_in(place) as wire:
            for statement in MESS:
                await wire.query(statement)

    async def _others(self, place: Place) -> Between:
        """Somebody with other settings, who takes the server wherever it is free."""
        if place.database not in self.others:
            self.others[place.database] = await self._log_in(place)
            await self.others[place.database].query(MESS[0])
        wire = self.others[place.database]

        async def between() -> None:
            try:
                frames = await wire.query("SELECT 'theirs'")
            except (OSError, EOFError, TimeoutError) as error:
                frames = [Frame("!", repr(error).encode())]
            if "".join(frame.type for frame in frames) != "TDCZ":
                await self.others.pop(place.database).close()
                pytest.fail(f"another client saw {[render(frame) for frame in frames]}", pytrace=False)

        return between

    async def _log_in(self, place: Place) -> Wire:
        wire = await Wire.connect(place.port)
        await wire.login(OWNER, PASSWORD, database=place.database)
        return wire


@asynccontextmanager
async def set_up(postgres: Postgres) -> AsyncIterator[Stage]:
    """The whole stage, for one test process."""
    await _create_database(postgres)
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(await postgres.connect(DATABASE))
        proxies = {
            rotates: await stack.enter_async_context(_proxy(postgres, rotates=rotates)) for rotates in (False, True)
        }
        stage = Stage(postgres, proxies, control, stack)
        await _warm(proxies[True])
        yield stage
        for wire in stage.others.values():
            await wire.close()
        for proxy in proxies.values():
            assert "Traceback" not in proxy.log, proxy.log[proxy.log.index("Traceback") - 500 :][:4000]


async def _create_database(postgres: Postgres) -> None:
    async with await postgres.connect() as connection:
        await connection.execute(SETUP)
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")


def _proxy(postgres: Postgres, *, rotates: bool = False, replica: Postgres | None = None) -> Proxy:
    url = f"postgres://127.0.0.1:{postgres.port}/{DATABASE}"
    databases: dict[str, Any] = {
        name: {"primary": url, "pool_mode": variant.mode}
        for name, variant in VARIANTS.items()
        if variant.rotates == rotates and variant.reads == (replica is not None)
    }
    if replica is not None:
        reading = {"reads": "replica", "replicas": [f"postgres://127.0.0.1:{replica.port}/{DATABASE}"]}
        databases = {name: settings | reading for name, settings in databases.items()}
    settings = {
        "auth_type": "trust",
        "server_round_robin": rotates,
        "min_pool_size": ROTATED_SERVERS if rotates else 0,
        "log_connections": False,
        "log_disconnections": False,
    }
    return Proxy(settings, databases=databases, users={OWNER: PASSWORD, PLAIN: PASSWORD})


async def _warm(proxy: Proxy) -> None:
    """Until the pool that rotates has its servers."""
    rotating = next(name for name, variant in VARIANTS.items() if variant.rotates)
    async with await Wire.connect(proxy.port) as wire:
        await wire.login(OWNER, PASSWORD, database=rotating)

        async def warm() -> bool:
            pools = await proxy.admin("SHOW POOLS")
            return any(row["database"] == rotating and row["sv_idle"] >= ROTATED_SERVERS for row in pools)

        await wait_until(warm, what="the rotating pool has its servers")
