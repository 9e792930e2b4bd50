"""The routers of a process: one for each database with shards, with the catalog that it decides by."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from trunkline.config.settings import Config
from trunkline.errors import TrunklineError
from trunkline.execution.new_catalog import NewCatalog
from trunkline.execution.readers import Readers
from trunkline.execution.router import Router
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.whole import WholeRouter
from trunkline.pool.catalog_watch import CatalogWatch
from trunkline.pool.pool import Pool
from trunkline.pool.pools import Pools
from trunkline.pool.replica_watch import ReplicaWatches
from trunkline.routing.keys.sharding_builder import Built

if TYPE_CHECKING:
    from trunkline.execution.spread.studies import Studies


class Routers:
    """Made with the pools; a database's router begins with its first client."""

    def __init__(self, pools: Pools, replicas: ReplicaWatches) -> None:
        self.pools = pools
        self.replicas = replicas
        self._routers: dict[str, Router] = {}
        self._watches: dict[str, CatalogWatch] = {}
        self._readers: dict[tuple[str, str], Readers] = {}
        self._studies: dict[str, Studies] = {}
        self.coordinations = Coordinations(pools)
        _load(pools.config)
        pools.schema_changed = self._on_schema_change

    def _on_schema_change(self, database: str) -> None:
        watch, router = self._watches.get(database), self._routers.get(database)
        if router is not None and router.stale is None:
            router.stale = NewCatalog()
        if watch is not None:
            watch.stale()
            self.coordinations.on_schema_change(database)

    def __iter__(self) -> Iterator[Router]:
        return iter(list(self._routers.values()))

    def watch_of(self, database: str) -> CatalogWatch:
        """What keeps the catalogs of a database with shards."""
        found = self._watches.get(database)
        if found is None:
            found = self._watches[database] = CatalogWatch(self.pools, database)
        return found

    async def router_of(self, database: str, user: str) -> Router:
        """The router of a database with shards, once it knows the catalog; a TrunklineError if that cannot be read."""
        router = self._routers.get(database)
        if router is None or router.sharding is None:
            watch = self.watch_of(database)
            sharded = self.pools.database(database).sharding is not None
            if sharded:
                await self.coordinations.of(database).placement.ready(user)
            await watch.ready(user)
            router = self._routers.setdefault(database, (Router if sharded else WholeRouter)(database))
            self._teach(router, watch)
            watch.on_change = lambda: self._teach(router, watch)
            watch.on_read = partial(_tell, router)
            if sharded:
                self.coordinations.of(database).placement.begin(router, watch)
        return router

    def _teach(self, router: Router, watch: CatalogWatch) -> None:
        built: Built = watch.built
        router.learn(watch.catalog, built.sharding)

    def pools_of(self, database: str, user: str) -> list[Pool]:
        """A user's pools, by the numbers of the shards."""
        return [self.pools.pool(shard.name, user) for shard in self.pools.config.shards_of(database)]

    def studies_of(self, database: str) -> Studies:
        """What is known of texts that concerned several of its shards."""
        from trunkline.execution.spread.studies import Studies

        return self._studies.setdefault(database, Studies())

    def readers_of(self, database: str, user: str) -> Readers | None:
        """Who answers a user's reads of a database whose reads are split; the same for all of its clients."""
        if not any(one.splits_reads for one in self.pools.config.shards_of(database)):
            return None
        key = (database, self.pools.database(database).user or user)
        if key not in self._readers:
            self._readers[key] = Readers(self.pools, self.replicas, *key)
        return self._readers[key]

    def reconfigure(self, config: Config) -> None:
        """After a reload: what is no longer so is forgotten with its clients' next login."""
        _load(config)
        kept = {key: readers for key, readers in self._readers.items() if config.shards_of(key[0])}
        self._readers = kept
        for database in [*self._routers, *self._watches]:
            if not config.shards_of(database):
                self._routers.pop(database, None)
                watch = self._watches.pop(database, None)
                if watch is not None:
                    watch.directories.close()
        for watch in self._watches.values():
            watch.reconfigured()
        self.coordinations.reconfigure(config)


def _load(config: Config) -> None:
    """Where there are shards, what statements over several need: before a client waits for it, and nowhere else."""
    if any(database.sharding is not None for database in config.databases.values()):
        import_module("trunkline.execution.spread.conductor")


def _tell(router: Router, error: TrunklineError | None) -> None:
    """The catalog is as new as can be, or this is why it could not be read."""
    stale = router.stale
    if stale is None or stale.keeps_up:
        return
    if error is None:
        router.stale = None
    stale.tell(error)
