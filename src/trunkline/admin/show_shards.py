"""SHOW SHARDS: where each is and how busy; SHOW TABLES: by which rule each lies; SHOW DRIFT: where shards differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.config.settings import DatabaseSettings
from trunkline.config.sharding import ShardingSettings, TableSettings
from trunkline.proxy.instance import Instance


@show("SHARDS", columns.SHARDS)
def show_shards(instance: Instance) -> Iterator[Row]:
    for database, sharding in _sharded(instance):
        buckets = Counter(sharding.bucket_map)
        for number, (shard, server) in enumerate(zip(sharding.shard_names(), database.shards, strict=True)):
            pools = [pool for pool in instance.pools if pool.database == server.name and not database.shard_by]
            yield (
                database.name,
                shard,
                ",".join(server.hosts),
                server.addresses[0].port,
                server.dbname or "",
                int(shard == sharding.home),
                buckets[number],
                sum(len(pool.active) for pool in pools),
                sum(len(pool.idle) for pool in pools),
                sum(pool.servers for pool in pools),
                sum(len(pool.waiting) for pool in pools),
            )


@show("TABLES", columns.TABLES)
def show_tables(instance: Instance) -> Iterator[Row]:
    for database, sharding in _sharded(instance):
        watch = instance.routers.watch_of(database.name)
        for name, table in (watch.settings if watch.known else sharding).tables.items():
            kind = "reference" if table.reference else "sharded"
            method = "" if table.reference else table.method
            group = "" if table.reference else table.group
            yield database.name, name, kind, ", ".join(table.shard_by), method, group, _shards(sharding, table)


@show("DRIFT", columns.DRIFT)
def show_drift(instance: Instance) -> Iterator[Row]:
    """Of databases that somebody has used; rules that their catalog does not allow are of no one shard."""
    for database, _ in _sharded(instance):
        watch = instance.routers.watch_of(database.name)
        if watch.known:
            yield from ((database.name, "", "rule", "", problem) for problem in watch.built.problems)
            yield from ((database.name, one.shard, one.kind, one.name, one.what) for one in watch.drift)


def _sharded(instance: Instance) -> Iterator[tuple[DatabaseSettings, ShardingSettings]]:
    for database in instance.config.databases.values():
        if database.sharding is not None:
            yield database, database.sharding


def _shards(sharding: ShardingSettings, table: TableSettings) -> str:
    """The shards on which rows of the table can be."""
    names = sharding.shard_names()
    if table.reference or table.method not in ("hash", "range", "list"):
        return ", ".join(names)
    if table.method == "hash":
        used = {names[number] for number in sharding.bucket_map}
    else:
        used = {table.default, *(one.shard for one in table.ranges), *(one.shard for one in table.lists)}
    return ", ".join(name for name in names if name in used)
