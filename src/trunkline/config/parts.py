"""The shards and replicas of a database, each as a database of its own: pools are made for them, no client may ask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.config.settings import Config, DatabaseSettings


def replicas_of(database: DatabaseSettings) -> tuple[DatabaseSettings, ...]:
    """Those of a database or shard whose reads are split, in the order of the settings, named `app/replica1`."""
    found = []
    for number, one in enumerate(database.servers[len(database.addresses) :] if database.splits_reads else (), 1):
        where: dict[str, Any] = {"hosts": (one.host,), "port": one.port, "ports": (), "replicas": (), "shards": ()}
        where["answers_reads"] = True
        as_whom: dict[str, Any] = {"dbname": one.dbname, "user": one.user, "password": one.password, "sharding": None}
        found.append(replace(database, name=f"{database.name}/replica{number}", **where, **as_whom))
    return tuple(found)


def parts_of(config: Config, name: str) -> tuple[DatabaseSettings, ...]:
    """The shards and replicas of a database that clients know."""
    shards = config.shards_of(name)
    return tuple(part for one in shards for part in (one, *replicas_of(one)) if part.name != name)


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
