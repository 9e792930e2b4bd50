"""Instance: a running proxy as one object; what signals, the console and tests do with it.

Reload is all or nothing: everything that can fail (reading, checking, TLS contexts) happens before the first change.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

from trunkline.auth.keys import KeyCache
from trunkline.auth.secret import LoginSeed, Secret, SecretKind
from trunkline.config.build import with_settings
from trunkline.config.diagnostics import Report
from trunkline.config.diff import Change, diff
from trunkline.config.global_settings import Settings
from trunkline.config.members import with_members
from trunkline.config.settings import Config
from trunkline.config.sources import Text
from trunkline.errors import ConfigError, ShuttingDown, UnknownDatabase
from trunkline.execution.routers import Routers
from trunkline.failpoints import failpoint
from trunkline.net.contexts import client_tls, server_tls
from trunkline.net.engine import Engine
from trunkline.net.inbox import Inbox, Turnstile
from trunkline.net.ldap import Ldap
from trunkline.net.offload import Offload, gently
from trunkline.net.pam import Pam
from trunkline.net.tasks import Tasks
from trunkline.pool.auth_query import AuthQueries
from trunkline.pool.derivation import KeyDerivation
from trunkline.pool.name_watch import NameWatch
from trunkline.pool.opening import Opener
from trunkline.pool.patroni import PatroniWatches
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.pool.statistics import Statistics
from trunkline.proxy.client import ClientLink
from trunkline.proxy.clients import Clients
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.listener import Entrance, Listener, Reception, Take
from trunkline.proxy.login import Door, log_in
from trunkline.proxy.operation import Operation
from trunkline.proxy.replication import Replication
from trunkline.proxy.steps import fill_table
from trunkline.proxy.suspension import Suspension
from trunkline.proxy.switching import Switches

log = logging.getLogger("trunkline")

TICK_S = 0.1
LINGER_S = 0.2  # on a port with others: who has just come to this socket can be let in by nobody else
TOLD_AT_A_TIME = 50  # changes, in the log
ConsoleServer = Callable[["Instance", ClientLink, Inbox, Identity], Coroutine[Any, Any, None]]


class Drain(enum.Enum):
    """What a shutdown waits for; PgBouncer's words."""

    CLIENTS = "WAIT_FOR_CLIENTS"
    SERVERS = "WAIT_FOR_SERVERS"


class Siblings(Protocol):
    """The other workers, as one of them sees them; nothing of it is there where an instance is alone."""

    number: int

    async def cancel(self, pid: int, key: bytes) -> bool:
        """Whether another process had this client; returns when its server has heard."""

    async def ask(self, verb: str, /, **arguments: Any) -> list[Any]:
        """The answers of all the others; the first TrunklineError of one of them, once all have answered."""

    async def roster(self) -> list[Any]:
        """Of each worker: number, process id, state, clients and when it was started, in seconds since 1970."""

    def shut_down(self, drain: Drain | None) -> None:
        """End the whole instance; None is at once."""


class Instance:
    """Owns every object of the process; made inside its event loop."""

    def __init__(self, load: Callable[[], Config], config: Config, console: ConsoleServer) -> None:
        self._load = load
        self.config = config
        self.started_at = 0.0
        self.stopped = asyncio.Event()
        self.tasks = Tasks()
        self.turnstile = Turnstile()
        self.engine = Engine(asyncio.get_running_loop())
        self.derivation = KeyDerivation(KeyCache(secrets.token_bytes(32)))
        self.opener = Opener(self.engine, self.derivation)
        self.pools = Pools(config, self.engine, self.opener)
        self.replicas = ReplicaWatches(self.pools)
        self.routers = Routers(self.pools, self.replicas)
        self.auth_queries = AuthQueries(self.pools)
        self.clients = Clients(config, self.pools)
        self.statistics = Statistics(self.pools)
        self.names = NameWatch(self.pools)
        self.switches = Switches(self)
        self.patroni = PatroniWatches(self.pools)
        self.patroni.on_change = self.readdress
        self.suspension = Suspension(self)
        self.operation = Operation(self)
        self.listener: Entrance | None = None
        self.may_end: Callable[[], Awaitable[None]] = _at_once  # what else has to be over before a retirement ends
        self.siblings: Siblings | None = None  # the other workers, if there are any
        self.reception = Reception(self.engine, config.settings, self._welcome)
        self._seed = secrets.token_bytes(32)
        self._reader = Offload("reload")
        self._reloading = asyncio.Lock()
        self.opener.use(config.settings, server_tls(config.settings))
        self.door = Door(
            config=config,
            pools=self.pools,
            clients=self.clients,
            derivation=self.derivation,
            auth_queries=self.auth_queries,
            ldap=Ldap(),
            pam=Pam(),
            seed=login_seed(config, self._seed),
            tls=client_tls(config.settings),
            console=lambda link, inbox, identity: console(self, link, inbox, identity),
            replication=Replication(self.pools, self.clients, self.opener),
            routers=self.routers,
        )

    # --- start and stop -----------------------------------------------------------------------------------------

    def start(self, enter: Callable[[Settings, Take], Entrance] = Listener, elders_before: int = 0) -> int:
        """Begin to let clients in, from sockets of our own unless `enter` is something else; returns the TCP port.

        Programs at these sockets that have begun before this time, in nanoseconds since 1970, may serve still.
        """
        fill_table(self.config.settings.disable_pqexec)
        self.listener = enter(self.config.settings, self.reception.take)
        self.started_at = self.engine.time()
        self.tasks.spawn(self._keep_time(), "timer")
        self.replicas.reconfigure()
        self.patroni.reconfigure()
        settings = self.config.settings
        worker = self.siblings.number if self.siblings is not None else 0
        place = f"{settings.listen_addr}:{self.listener.port}:{settings.unix_socket_dir}:{worker}"
        self.routers.coordinations.begin(place, time.time_ns() if settings.so_reuseport else elders_before)
        return self.listener.port

    def _welcome(self, link: ClientLink, peer: Peer) -> None:
        identity = Identity(self.clients, peer)
        link.session = identity
        self.clients.move(link, self.clients.logging_in)
        self.tasks.spawn(log_in(self.door, link, Inbox(link, self.turnstile)), "login")

    async def _keep_time(self) -> None:
        period = self.config.settings.stats_period
        next_stats = self.engine.time() + period
        while True:
            await asyncio.sleep(TICK_S)
            now = self.engine.time()
            if self.suspension.active:
                self.suspension.tick()
                continue
            for pool in self.pools:
                self._on_time(pool.tick, now)
            self._on_time(self.clients.tick, now)
            self._on_time(self.pools.listeners.tick, now)
            self._on_time(self.pools.breakers.tick, now)
            self._on_time(self.names.tick, now)
            self._on_time(self.routers.coordinations.tick, now)
            self._on_time(self.auth_queries.tick, now)
            if now >= next_stats:
                next_stats = now + self.config.settings.stats_period
                self._on_time(self._turn_statistics, now)

    def _on_time(self, call: Callable[[float], None], now: float) -> None:
        """What fails once, in one pool, must not stop the clock for all."""
        try:
            call(now)
        except Exception:
            log.exception("internal error in the timer")

    def _turn_statistics(self, now: float) -> None:
        self.statistics.turn(now)
        if self.config.settings.log_stats:
            log.info("stats: %s", self.statistics.line())

    def drain(self, what: Drain = Drain.CLIENTS) -> None:
        """Take no newcomers, let everybody finish, then stop. A second call stops at once."""
        if self.door.draining:
            self.stop()
            return
        log.info("shutting down: %s", what.value)
        self.suspension.end()
        self.door.draining = True
        failpoint("drain_begin")
        if self.listener is not None and not self.config.settings.so_reuseport:
            self.listener.close()
        self.tasks.spawn(self._drained(what), "drain")

    async def _drained(self, what: Drain) -> None:
        if self.listener is not None and self.config.settings.so_reuseport:
            self.listener.hasten()
            await asyncio.sleep(LINGER_S)
            self.listener.close()
        limit = self.config.settings.drain_timeout
        deadline = self.engine.time() + limit if limit else float("inf")
        stays = what is Drain.CLIENTS and self.config.from_ini  # PgBouncer sends nobody away then
        while self.engine.time() < deadline and (self._busy(what) or (stays and len(self.clients.logging_in))):
            if not stays:
                self._send_idle_away()
            await asyncio.sleep(TICK_S)
        self.stop()

    def retire(self) -> None:
        """Another program takes those who come: end when all clients have left, or are sent away after a time."""
        self.tasks.spawn(self._retired(), "retirement")

    async def _retired(self) -> None:
        limit = self.config.settings.upgrade_timeout
        deadline = self.engine.time() + limit if limit else float("inf")
        await asyncio.sleep(TICK_S)  # who has just been accepted is not counted yet
        while self._busy(Drain.CLIENTS) or len(self.clients.logging_in):
            if self.engine.time() >= deadline:
                if not self.door.draining:
                    self.drain(Drain.CLIENTS)
                return
            await asyncio.sleep(TICK_S)
        await self.may_end()
        self.stop()

    async def cancel_here(self, pid: int, key: bytes) -> bool:
        """Whether a client of ours has this key; returns when its server has heard."""
        return await self.clients.cancels.from_elsewhere(pid, key)

    def _busy(self, what: Drain) -> int:
        if what is Drain.SERVERS:
            return sum(len(pool.active) for pool in self.pools)
        return len(self.clients) - len(self.clients.consoles)

    def _send_idle_away(self) -> None:
        """Whoever has nothing open leaves now; the others when their transaction ends."""
        for pool in self.pools:
            self.clients.send_away(pool, ShuttingDown("terminating connection due to administrator command"))

    def stop(self) -> None:
        """End now: `run` returns."""
        self.stopped.set()

    async def close(self) -> None:
        """Close everything; clients that are still there hear 57P01."""
        if self.listener is not None:
            self.listener.close()
        error = ShuttingDown("terminating connection due to administrator command")
        for link in self.clients:
            self.clients.end(link, error)
        try:
            await self.routers.coordinations.tasks.cancel()
        finally:
            for control in self.pools.control:
                control.drop("the process ends")
            await self._close_pools(error)

    async def _close_pools(self, error: ShuttingDown) -> None:
        for pool in self.pools:
            await pool.close(error)
        owners = (self, self.clients, self.pools, self.pools.listeners, self.replicas, self.names, self.patroni)
        await asyncio.gather(*(owner.tasks.cancel() for owner in (*owners, self.auth_queries)))
        self.auth_queries.close()
        for threads in (self.derivation, self.door.ldap, self.door.pam, self._reader):
            threads.close()
        self.engine.close()

    # --- operation ----------------------------------------------------------------------------------------------

    async def reload(self) -> list[Change]:
        """Read the configuration again and use it; ConfigError, and nothing changed, if it is not good.

        Many users take long to read, and to tell of: a thread reads, and clients are served between the lines.
        """
        async with self._reloading:
            try:
                with gently():
                    config, tls, to_servers = await self._reader.run(self._read)
            except ConfigError as error:
                log.error("reload refused, the old settings stay: %s", error.message)
                raise
            self.switches.reload(config)
            before, now = self.config, self._composed()
            self.pools.forget_proofs()
            self._use(now, tls, to_servers)
            with gently():
                changes = await self._reader.run(diff, before, now)
            await self._tell(now, changes)
        return changes

    def _read(self) -> tuple[Config, Any, Any]:
        config = self._load()
        return config, client_tls(config.settings), server_tls(config.settings)

    async def _tell(self, config: Config, changes: list[Change]) -> None:
        for warning in config.warnings:
            log.warning("%s", warning)
        for number, change in enumerate(changes, 1):
            log.info("reload: %s", change)
            if not number % TOLD_AT_A_TIME:
                await asyncio.sleep(0)
        log.info("reloaded %s: %d changes", config.source, len(changes))

    def _composed(self) -> Config:
        """What the file says, with what was found out and done since."""
        return with_members(self.switches.applied, self.patroni.members)

    def readdress(self) -> None:
        """Servers of databases are elsewhere, or there are others; nothing else has changed."""
        now = self.config
        composed = replace(self._composed(), settings=now.settings, secrets=now.secrets)  # what SET has said holds
        self._use(composed, self.door.tls, self.opener.tls)

    def set(self, name: str, value: str) -> None:
        """Change one setting until the next reload; ConfigError, and nothing changed, if it is not good."""
        config = with_settings(self.config, {name: Text(value)}, Report("SET"))
        tls, to_servers = client_tls(config.settings), server_tls(config.settings)
        for change in diff(self.config, config):
            log.info("SET: %s", change)
        self._use(config, tls, to_servers)

    def _use(self, config: Config, tls: Any, to_servers: Any) -> None:
        self.config = self.door.config = self.clients.config = config
        self.door.tls = tls
        self.door.seed = login_seed(config, self._seed)
        self.opener.use(config.settings, to_servers)
        failpoint("reload_swapped")
        self.derivation.cache.retain(config.secrets)
        self.pools.reconfigure(config)
        self.auth_queries.reconfigure()
        self.routers.reconfigure(config)
        self.replicas.reconfigure()
        self.patroni.reconfigure()
        self.reception.use(config.settings)

    def pools_of(self, database: str) -> list[Pool]:
        """The pools of a database, all for the empty name; UnknownDatabase."""
        if database and self.config.database(database) is None:
            raise UnknownDatabase(f"no such database: {database}")
        return self.pools.of_database(database) if database else list(self.pools)

    async def pause(self, database: str = "") -> None:
        """Give out no servers; returns when all those of the database (of all) are closed."""
        pools = self.pools_of(database)
        self.pools.paused.add(database)
        for pool in pools:
            pool.pause()
        while not all(pool.quiet for pool in pools if pool.stopped):  # noqa: ASYNC110 (every pool would have to tell)
            await asyncio.sleep(TICK_S / 2)

    async def resume(self, database: str = "") -> None:
        """Undo `pause`; where the primary is now, after what may have been a switchover, is asked before."""
        if not database:
            self.suspension.end()
        pools = self.pools_of(database)
        watches = {
            watch for pool in pools if pool.stopped and (watch := self.pools.watch_of(pool.database)) is not None
        }
        await asyncio.gather(*(watch.look_anew() for watch in watches))
        if database and "" in self.pools.paused:  # all but this one stay paused
            self.pools.paused = {name for name in self.config.databases if name != database}
        elif database:
            self.pools.paused.discard(database)
        else:
            self.pools.paused.clear()
        for pool in self.pools_of(database):
            if not self.pools.holds(pool):
                pool.resume()


async def _at_once() -> None:
    """Nothing else has to be over."""


def login_seed(config: Config, seed: bytes) -> LoginSeed:
    """Mocks of the kind that most real secrets have, so that an unknown user takes their way."""
    kinds = [Secret.kind_of(text) for text in config.secrets.values()]
    kind = max(set(kinds), key=kinds.count) if kinds else SecretKind.PLAIN
    return LoginSeed(seed, kind, config.settings.scram_iterations)
