"""The shards of a database, and its servers where reads are split, each as a database of its own.

Pools are made for them; no client may ask for one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.config.address import ServerAddress
    from trunkline.config.settings import Config, DatabaseSettings


def servers_of(database: DatabaseSettings) -> tuple[DatabaseSettings, ...]:
    """Every server of a database or shard whose reads are split, in the order of the settings: `app/primary` and
    `app/replica1`. Their names are those of the settings: what each is now, and which of them answer reads, is found
    out."""
    if not database.splits_reads:
        return ()
    count = len(database.addresses)
    names = [f"primary{number}" if count > 1 else "primary" for number in range(1, count + 1)]
    names += [f"replica{number}" for number in range(1, len(database.replicas) + 1)]
    return tuple(_alone(database, name, one) for name, one in zip(names, database.servers, strict=True))


def _alone(database: DatabaseSettings, name: str, one: ServerAddress) -> DatabaseSettings:
    where: dict[str, Any] = {"hosts": (one.host,), "port": one.port, "ports": (), "replicas": (), "shards": ()}
    as_whom: dict[str, Any] = {"dbname": one.dbname, "user": one.user, "password": one.password, "sharding": None}
    return replace(database, name=f"{database.name}/{name}", answers_reads=True, **where, **as_whom)


def parts_of(config: Config, name: str) -> tuple[DatabaseSettings, ...]:
    """The shards of a database that clients know, and their servers."""
    shards = config.shards_of(name)
    return tuple(part for one in shards for part in (one, *servers_of(one)) if part.name != name)


def family_of(config: Config, name: str) -> str:
    """The database that clients know, of which this is the name, or that of a part."""
    if name in config.databases:
        return name
    heads = (name[:at] for at, letter in enumerate(name) if letter == "/")
    return next((one for one in heads if any(part.name == name for part in parts_of(config, one))), name)


def on_its_shard(database: DatabaseSettings | None, name: str) -> DatabaseSettings | None:
    """Of databases that are each wholly on one shard, the settings of that."""
    if database is None or database.sharding is None or not database.shard_by:
        return database
    number = database.sharding.shard_names().index(database.sharding.shard_of_database(name))
    return database.shards[number]
