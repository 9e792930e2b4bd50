"""SWITCH DATABASE: a database, or a shard, goes on at another server, and its clients only wait a moment.

1. Both servers are examined. What can never succeed is refused here, before anybody has to wait.
2. The pools give out no servers, and those in use are waited for: from then on nobody writes through us.
3. The target is waited for, until it has everything. Up to here all is given up for an error, for the time limit, and
   for a client of the console that leaves: the pools go on with the old server.
4. A replica is promoted. From here on there is no way back, and nobody is listened to any more.
5. The configuration says that the database is there, and its pools go on.

PAUSE and RESUME meanwhile say what is to be afterwards. What was switched holds until the process ends, or until a
reload names another primary than was named at the switch (see `config.switched`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.config.address import ServerAddress
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.switched import Place, Switched, place, places, still_holding, switchable, with_switches
from trunkline.errors import (
    SwitchOutcomeUnknown,
    SwitchRefused,
    SwitchTooLong,
    SwitchUnderWay,
    TrunklineError,
    UnknownDatabase,
)
from trunkline.pool.control import Control
from trunkline.pool.opening import Credentials, Target
from trunkline.pool.switchover import Kind, Switchover
from trunkline.pool.topology import Observation, Sight
from trunkline.pool.topology_query import PARAMETERS

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.proxy.instance import Instance

log = logging.getLogger("trunkline")

POLL_S = 0.02
IN_MEMORY = "this is kept in memory: change the configuration, or the old server is used after the next start"
_OWN_WORDS = (SwitchRefused, SwitchTooLong, SwitchUnderWay, SwitchOutcomeUnknown)


class Switches:
    """What was switched, and what is being switched."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._written = instance.config  # what the file says
        self._made: dict[str, Switched] = {}

    @property
    def applied(self) -> Config:
        """What the file says, with the switches that hold."""
        return with_switches(self._written, self._made)

    def reload(self, config: Config) -> None:
        """The file says this now, which may overrule switches."""
        self._written, self._made = config, still_holding(config, self._made)
        for name, one in self._made.items():
            log.warning("%s was switched to %s, but %s still names the old server", name, one.target, config.source)

    async def switch(self, name: str, target: ServerAddress) -> list[str]:
        """Return what the operator should know once it is done; else a TrunklineError, and all is as it was."""
        settings = switchable(self._instance.config).get(name)
        if settings is None:
            hint = "SHOW DATABASES lists databases; of one with shards, each is switched by itself, as in shop/s0."
            raise UnknownDatabase(f'no such database or shard: "{name}"', hint=hint)
        if name in self._instance.pools.switching:
            raise SwitchUnderWay(f'"{name}" is being switched already')
        one = _Switch(self._instance, settings, target)
        running = self._instance.tasks.spawn(one.run(), f"switch {name}")
        try:
            error = await asyncio.shield(running)
        except asyncio.CancelledError:
            if not one.committed:
                running.cancel()
            raise
        if error is not None:
            raise error
        return [*one.notices, IN_MEMORY]

    def named(self, names: list[str]) -> dict[str, tuple[Place, ...]]:
        """Where the file has the primaries of these."""
        written = switchable(self._written)
        return {name: places(written[name]) for name in names if name in written}

    def settle(self, named: dict[str, tuple[Place, ...]], target: ServerAddress, former: ServerAddress | None) -> None:
        """From now on these databases are there, but for those that a reload has put elsewhere meanwhile."""
        now = self.named(list(named))
        self._made |= {name: Switched(was, target, former) for name, was in named.items() if now.get(name) == was}
        self._instance.readdress()


class _Switch:
    """One try."""

    def __init__(self, instance: Instance, settings: DatabaseSettings, target: ServerAddress) -> None:
        self.committed = False
        self.notices: list[str] = []
        self._instance = instance
        self._pools = instance.pools
        self._settings = settings
        self._target = target
        self._source = self._primary()
        self._names = [settings.name]
        self._named: dict[str, tuple[Place, ...]] = {}

    async def run(self) -> TrunklineError | None:
        """Why it was given up, if it was."""
        log.info("%s: switching to %s", self._settings.name, self._target)
        try:
            await self._run()
        except asyncio.CancelledError:
            log.warning("%s: not switched: nobody waits for it any more", self._settings.name)
            raise
        except TrunklineError as error:
            told = error if isinstance(error, _OWN_WORDS) else _unasked(error)
            why = f"{told.message}: {told.detail}" if told.detail else told.message
            log.warning("%s: not switched: %s", self._settings.name, why)
            return told
        log.warning("%s: switched to %s; %s", ", ".join(self._names), self._target, IN_MEMORY)
        return None

    async def _run(self) -> None:
        async with self._asking() as switchover:
            await switchover.examine()
            if switchover.kind is Kind.REPLICA:
                self._take_neighbours()
            with self._nobody_served() as pools:
                await self._until_level(switchover, pools)
                self.committed = True
                await self._go_over(switchover)
        self.notices = switchover.notices

    async def _go_over(self, switchover: Switchover) -> None:
        target, former, seen = self._target, None, None
        if switchover.kind is Kind.REPLICA:
            seen = await switchover.promote(self._open_target)
            target = replace(target, dbname=None)  # each of the databases has its own
            former = ServerAddress(self._source.host, self._source.port)
        known = switchable(self._instance.config)
        left = [address for name in self._names if name in known for address in known[name].addresses]
        self._instance.switches.settle(self._named, target, former)
        if seen is not None:
            self._tell_watches(seen)
        self._pools.listeners.leave_servers(left)

    def _tell_watches(self, seen: Observation) -> None:
        """Before anybody is served: the former primary would be believed once more if it answered first."""
        for name in self._names:
            watch = self._pools.watch_of(name)
            if watch is not None and str(self._target) in watch.addresses:
                watch.heard(str(self._target), Sight(seen))

    # --- where, and as whom -----------------------------------------------------------------------------------------

    def _primary(self) -> ServerAddress:
        """Who is believed to be the primary, or else whom the settings call so."""
        watch = self._pools.watch_of(self._settings.name)
        if watch is not None and watch.topology.primary is not None:
            return watch.addresses[watch.topology.primary.name]
        return self._settings.addresses[0]

    def _take_neighbours(self) -> None:
        """A replica that is promoted takes the place of its primary for every database that is there."""
        if self._settings.patroni:
            raise SwitchRefused("Patroni promotes the replicas of this database", hint="Use patronictl switchover.")
        if self._target.dbname not in (None, self._database):
            hint = f"A replica has the database of its primary: {self._database}."
            raise SwitchRefused("the URL names another database", hint=hint)
        config = self._instance.config
        if any(self._is_here(one) for family in config.databases.values() if family.shard_by for one in family.shards):
            raise SwitchRefused("databases with shard_by are on the same primary, and cannot be switched")
        self._names = [name for name, one in switchable(config).items() if one is self._settings or self._is_here(one)]

    def _is_here(self, database: DatabaseSettings) -> bool:
        """Whether the source is its primary too: a replica of it it cannot be, as the source is none."""
        return place(self._source) in map(place, database.servers)

    @property
    def _database(self) -> str:
        return self._source.dbname or self._settings.name

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Switchover]:
        source = await self._open_source()
        try:
            switchover = Switchover(source, await self._open_target(), lambda: self._pools.now)
            try:
                yield switchover
            finally:
                switchover.target.close()
        finally:
            source.close()

    async def _open_source(self) -> Control:
        return await self._open("the present primary", self._source, self._of_settings() or self._of_url())

    async def _open_target(self) -> Control:
        return await self._open("the target", self._target, self._of_url() or self._of_settings())

    async def _open(self, what: str, address: ServerAddress, known: Credentials | None) -> Control:
        known = known or self._of_client()
        database = address.dbname or self._database
        target = Target(replace(address, dbname=database), database, known, PARAMETERS, quiet=True)
        try:
            return await Control.open(self._pools, target)
        except TrunklineError as error:
            words = getattr(error.__cause__, "strerror", None)
            detail = f"{error.message}: {words}" if words else error.message
            raise SwitchRefused(f"{what} could not be asked", detail=detail) from None

    def _of_url(self) -> Credentials | None:
        user, password = self._target.user, self._target.password
        if user is None or password is None:
            return None if user is None else self._pools.credentials_of(user)
        return Credentials(user, password, None, None)

    def _of_settings(self) -> Credentials | None:
        one = self._settings
        if one.user is not None and one.password is not None:
            return Credentials(one.user, one.password, None, None)
        user = one.user or one.health_check_user
        return self._pools.credentials_of(user) if user is not None else None

    def _of_client(self) -> Credentials:
        """For want of anybody else: the first client."""
        user = next((pool.user for pool in self._pools if pool.database == self._settings.name), None)
        if user is None:
            hint = "Name one in the URL, or set health_check_user."
            raise SwitchRefused("there is no user to ask the servers as", hint=hint)
        return self._pools.credentials_of(user)

    # --- while nobody is served -------------------------------------------------------------------------------------

    @contextmanager
    def _nobody_served(self) -> Iterator[Callable[[], list[Pool]]]:
        """Gives out no servers, to whoever comes too; yields the pools that there are of these databases."""
        switching = self._pools.switching
        if not switching.isdisjoint(self._names):
            raise SwitchUnderWay("another switch is under way")
        self._refuse_changes()
        self._named = self._instance.switches.named(self._names)
        switching.update(self._names)
        mine = set(self._names)

        def pools() -> list[Pool]:
            return [pool for pool in self._pools if self._pools.name_of(pool) in mine]

        try:
            for pool in pools():
                pool.pause()
            yield pools
        finally:
            switching.difference_update(self._names)
            for pool in self._pools:
                if pool.stopped and not self._pools.holds(pool):
                    pool.resume()

    async def _until_level(self, switchover: Switchover, pools: Callable[[], list[Pool]]) -> None:
        limit_s = self._instance.config.settings.switch_timeout
        used = -1
        try:
            async with asyncio.timeout(limit_s):
                while used := sum(pool.servers for pool in pools()):  # noqa: ASYNC110 (every pool would have to tell)
                    await asyncio.sleep(POLL_S)
                await switchover.until_level()
        except TimeoutError:
            busy = f"{used} server connections are in use: by transactions, or by clients that keep theirs (SHOW PINS)"
            raise SwitchTooLong(
                f"not done within switch_timeout ({limit_s:g} s)", detail=busy if used else switchover.waits_for
            ) from None
        self._refuse_changes()

    def _refuse_changes(self) -> None:
        """Which replicas there are may change: that need not be the operator's doing."""
        now = switchable(self._instance.config).get(self._settings.name)
        if now is None or replace(now, replicas=(), unread=()) != replace(self._settings, replicas=(), unread=()):
            raise SwitchRefused("the configuration has changed meanwhile")


def _unasked(error: TrunklineError) -> SwitchRefused:
    return SwitchRefused("a server did not answer as expected", detail=error.message)
