"""Looks at the shards of a configuration before anything is served: `trunkline check --online`.

It logs in to every shard, reads its catalog, and says what stands in the way of serving them as one database: rules
that the types of keys do not allow, shards that are not alike, and foreign keys that no shard can check by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.sharding import ShardingSettings
from trunkline.pool.online_login import FAILURES, log_in
from trunkline.routing.keys.sharding_builder import build as build_sharding
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.schema.catalog_reader import QUERY, SETUP, build
from trunkline.routing.schema.drift import crossing_foreign_keys, differences

OLDEST = 13


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on a database, or on one of its shards; only an error stands in the way."""

    database: str
    what: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'note'}: {self.database}: {self.what}"


async def look(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """What is to be said of all databases with shards, in their order."""
    found: list[Finding] = []
    for database in config.databases.values():
        if database.sharding is not None and not database.shard_by:
            found += await _look_at(config, environ, database, database.sharding)
    return found


async def _look_at(
    config: Config, environ: Mapping[str, str], database: DatabaseSettings, sharding: ShardingSettings
) -> list[Finding]:
    readings = [_read(config, environ, server) for server in database.shards]
    results = await asyncio.gather(*readings, return_exceptions=True)
    found: list[Finding] = []
    catalogs: dict[str, Catalog] = {}
    for server, name, result in zip(database.shards, sharding.shard_names(), results, strict=True):
        if isinstance(result, Catalog):
            catalogs[name] = result
        elif isinstance(result, FAILURES):
            found.append(Finding(server.name, f"cannot be read: {result or 'timed out'}"))
        else:
            raise result
    return found + _judge(database.name, sharding, catalogs)


def _judge(database: str, sharding: ShardingSettings, catalogs: Mapping[str, Catalog]) -> list[Finding]:
    found = [
        Finding(f"{database}/{shard}", f"PostgreSQL {major} is too old, the oldest is {OLDEST}")
        for shard, catalog in catalogs.items()
        if (major := _major(catalog)) < OLDEST
    ]
    majors = sorted({_major(catalog) for catalog in catalogs.values()})
    if len(majors) > 1:
        shown = ", ".join(map(str, majors))
        found.append(Finding(database, f"its shards are of several versions: PostgreSQL {shown}", is_error=False))
    home = catalogs.get(sharding.home)
    if home is not None:
        found += [Finding(database, problem) for problem in build_sharding(sharding, home).problems]
        found += [Finding(database, f"foreign key {said}") for said in crossing_foreign_keys(sharding, home)]
    for one in differences(sharding, catalogs):
        found.append(Finding(f"{database}/{one.shard}", f"{one.kind} {one.name} {one.what}"))
    return found


def _major(catalog: Catalog) -> int:
    return int(catalog.server["version"]) // 10000


async def _read(config: Config, environ: Mapping[str, str], server: DatabaseSettings) -> Catalog:
    connection = await log_in(config, environ, server, server.addresses)
    try:
        await connection.execute(SETUP)
        return build([tuple(row) for row in await connection.fetch(QUERY)])
    finally:
        await connection.close()
