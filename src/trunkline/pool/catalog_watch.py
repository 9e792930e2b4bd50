"""The catalogs of a sharded database: read at its first use, and again whenever they may have changed.

Each reading opens a server connection of its own, as one of the database's users, and closes it: no client waits for
it but those that have to. What the shards say is put into form off the loop, for a large schema takes its time. The
home shard's catalog decides; those of the others are compared with it, and a shard that cannot be read stops nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trunkline.config.sharding import ShardingSettings, ShardSettings
from trunkline.errors import ServerLost, TrunklineError, UnknownDatabase
from trunkline.net.offload import Offload
from trunkline.pool.control import Control
from trunkline.pool.directory_watch import DirectoryWatch
from trunkline.pool.probe import columns
from trunkline.routing.keys.sharding_builder import Built
from trunkline.routing.keys.sharding_builder import build as build_sharding
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.schema.catalog_reader import COLUMNS, QUERY, SETUP, build
from trunkline.routing.schema.declared import READ, Declared, is_kept, merged
from trunkline.routing.schema.declared import read as read_declared
from trunkline.routing.schema.drift import Difference, differences

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

WHOLE = ShardingSettings((ShardSettings(),), "", (0,))  # of a database without shards whose reads are split
READING_S = 60.0  # a catalog
AGAIN_S = 1.0  # after a reading that failed, when something is known to have changed
# Who holds a lock on what a view is made of may wait for us himself.
PATIENCE = "SET lock_timeout = '3s'"


class CatalogWatch:
    """What is known of the schema of one sharded database.

    `on_change` hears of every catalog but the first, `on_read` of every end of reading after what may have changed it.
    """

    def __init__(self, pools: Pools, database: str) -> None:
        self.pools = pools
        self.database = database
        self.catalog = Catalog()
        self.catalogs: Mapping[str, Catalog] = {}  # of every shard that could be read, by its name
        self.drift: tuple[Difference, ...] = ()
        self.on_change: Callable[[], None] | None = None
        self.on_read: Callable[[TrunklineError | None], None] = lambda error: None
        self.declared = Declared()
        self._built: Built | None = None
        self._settings: ShardingSettings | None = None
        self._user = ""
        self._wanted = 0  # how often it has been told that something may have changed
        self._reading: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._one = asyncio.Lock()  # reading at a time: what has begun later is never overwritten by older
        self._failures = 0
        self._failed: tuple[str, TrunklineError] | None = None
        self._offload = Offload("catalog")
        self.directories = DirectoryWatch(pools, database)

    def __repr__(self) -> str:
        return f"<CatalogWatch {self.database} version={self.catalog.version}>"

    @property
    def known(self) -> bool:
        return self._built is not None

    @property
    def built(self) -> Built:
        """The rules of its tables, with what is wrong with them; only once it is `ready`."""
        assert self._built is not None
        return self._built

    @property
    def settings(self) -> ShardingSettings:
        """Those of the file, with what has been declared."""
        return merged(self._sharding(), self.declared)[0]

    async def ready(self, user: str) -> None:
        """Return once there is a catalog, reading it as this user if need be; TrunklineError if he cannot."""
        failures = self._failures
        async with self._turn:
            if self.known:
                return
            if self._failed is not None and self._failures > failures and self._failed[0] == user:
                raise self._failed[1]  # it was tried while we waited: what the server said is for all who wait
            try:
                await self._read_home(user)
            except TrunklineError as error:
                self._failures += 1
                self._failed = (user, error)
                raise
            self._start(home_is_fresh=True)

    def stale(self) -> asyncio.Task[None] | None:
        """Something may have changed: read all shards again, in the background; the task ends when that is done."""
        return self._start() if self.known else None

    def _start(self, *, home_is_fresh: bool = False) -> asyncio.Task[None]:
        self._wanted += 1
        if self._reading is None or self._reading.done():
            work = self._read_until_fresh(home_is_fresh)
            self._reading = self.pools.tasks.spawn(work, f"catalog of {self.database}")
        return self._reading

    async def _read_until_fresh(self, home_is_fresh: bool) -> None:
        """What has changed while it was read may have been missed, and is read again."""
        done, read, error = 0, 0, None
        try:
            while done != self._wanted:
                done = self._wanted
                error = None if home_is_fresh else await self._read_home_again()
                read, home_is_fresh = done if error is None else 0, False
                if read == self._wanted:
                    self.on_read(None)
                await self._read_others(self._user)
        except UnknownDatabase as reason:
            error = reason
        finally:
            if read != self._wanted:  # it could not be, or somebody has ended this
                self.pools.later(AGAIN_S, self._again)
                self.on_read(error or ServerLost("it is not read any more"))

    @property
    def reading(self) -> asyncio.Task[None] | None:
        """It is being read again until this ends; None if it is not."""
        return self._reading if self._reading is not None and not self._reading.done() else None

    async def read_now(self) -> None:
        """The home shard's catalog, whatever else is read; TrunklineError if it cannot be."""
        await self._read_home(self._user)

    async def _read_home_again(self) -> TrunklineError | None:
        """Returns why it could not be read."""
        try:
            await self._read_home(self._user)
        except TrunklineError as error:
            log.warning("the catalog of %s could not be read: %s", self.database, error.message)
            return error
        return None

    def reconfigured(self) -> None:
        """The operator's map holds from now on, by the schema that is known; then that is read again."""
        settings = self.pools.database(self.database).sharding
        if self._built is not None and settings is not None and settings != self._settings:
            self._built = self._build(settings, self.catalog, self.declared)
            self.directories.serve(self._built.directories.values())
            if self.on_change is not None:
                self.on_change()
        self.stale()

    def _again(self) -> None:
        with suppress(UnknownDatabase):  # it has gone from the configuration
            if not self._pool(self._sharding().home, self._user).closed:
                self.stale()

    def _pool(self, shard: str, user: str) -> Pool:
        """Of a shard, or of a database that has none."""
        return self.pools.pool(f"{self.database}/{shard}" if shard else self.database, user)

    # --- reading ------------------------------------------------------------------------------------------------

    def _sharding(self) -> ShardingSettings:
        database = self.pools.database(self.database)
        if database.sharding is None and not database.splits_reads:
            raise UnknownDatabase(f'database "{self.database}" has no shards')
        return database.sharding or WHOLE

    async def _read_home(self, user: str) -> None:
        async with self._one:
            await self._read_once(user)

    async def _read_once(self, user: str) -> None:
        settings = self._sharding()
        catalog = await self._read(settings.home, user)
        rows = await self._ask(settings.home, user, READ) if is_kept(catalog) else []
        declared = read_declared(map(_texts, rows))
        self._user = user
        changed = replace(catalog, version=self.catalog.version) != self.catalog or declared != self.declared
        if self._built is not None and not changed and settings == self._settings:
            await self._follow(self._built, settings, user)
            return
        is_new = changed or not self.known
        catalog = replace(catalog, version=self.catalog.version + 1) if is_new else self.catalog
        built = self._build(settings, catalog, declared)
        for problem in built.problems:
            log.warning("%s: %s", self.database, problem)
        await self._follow(built, settings, user)
        first = not self.known
        self.catalog, self.declared, self._settings, self._built = catalog, declared, settings, built
        if self.on_change is not None and not first:
            self.on_change()

    async def _follow(self, built: Built, settings: ShardingSettings, user: str) -> None:
        await self.directories.follow(built.directories.values(), settings.home, user)

    def _build(self, settings: ShardingSettings, catalog: Catalog, declared: Declared) -> Built:
        settings, problems = merged(settings, declared)
        known = self._built.directories.values() if self._built is not None else ()
        built = build_sharding(settings, catalog, known)
        return replace(built, problems=(*problems, *built.problems))

    async def _read_others(self, user: str) -> None:
        settings = self._sharding()
        catalogs = {settings.home: self.catalog}
        for shard in settings.shard_names():
            if shard == settings.home:
                continue
            try:
                catalogs[shard] = await self._read(shard, user)
            except TrunklineError as error:
                log.warning("the catalog of %s/%s could not be read: %s", self.database, shard, error.message)
        found = differences(self.settings, catalogs)
        if found and found != self.drift:
            log.warning("%s: its shards differ in %d places, see SHOW DRIFT", self.database, len(found))
        self.catalogs, self.drift = catalogs, found

    async def _read(self, shard: str, user: str) -> Catalog:
        return await self._offload.run(partial(_catalog, await self._ask(shard, user, QUERY)))

    async def _ask(self, shard: str, user: str, sql: str) -> list[bytes]:
        """The rows of one query on a connection of its own, as bodies of DataRow messages."""
        pool = self._pool(shard, user)
        await pool.until_primary()
        control = await Control.open(self.pools, self.pools.target_of(pool, self.pools.address_of(pool, 0)))
        try:
            return await control.bodies(f"{SETUP}; {PATIENCE}; {sql}".encode(), READING_S)
        finally:
            control.close()


def _catalog(bodies: list[bytes]) -> Catalog:
    rows = [_texts(body) for body in bodies]
    if any(len(row) != COLUMNS for row in rows):  # whoever answers is no PostgreSQL
        raise ServerLost("other columns came than were asked for")
    return build(rows)


def _texts(row: bytes) -> list[str | None]:
    return [None if value is None else value.decode(errors="replace") for value in columns(row)]
