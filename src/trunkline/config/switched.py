"""What SWITCH DATABASE has changed: kept in memory, and laid over what the file says until the file says otherwise.

Pure. A switch holds as long as the file names the primary that it named at the switch: when it names another one, the
operator has decided anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from trunkline.config.address import ServerAddress
from trunkline.config.settings import Config, DatabaseSettings

Place = tuple[str, int]
Change = Callable[[DatabaseSettings], DatabaseSettings]


@dataclass(frozen=True, slots=True)
class Switched:
    """One switch; `former` is the server that is a replica from now on, None if the target belongs to another cluster,
    of which the replicas that are listed know nothing."""

    named: tuple[Place, ...]
    target: ServerAddress
    former: ServerAddress | None = None


def places(database: DatabaseSettings) -> tuple[Place, ...]:
    """Where a database or shard has its primary, by the settings."""
    return tuple(place(one) for one in database.addresses)


def place(address: ServerAddress) -> Place:
    return address.host, address.port


def switchable(config: Config) -> dict[str, DatabaseSettings]:
    """Everything that has a primary of its own and a name for it: databases, and shards of databases."""
    found: dict[str, DatabaseSettings] = {}
    for database in config.databases.values():
        if not database.shard_by:  # those shards have no names
            found |= {one.name: one for one in database.shards or (database,)}
    return found


def still_holding(config: Config, switches: Mapping[str, Switched]) -> dict[str, Switched]:
    """The switches that the file has not overruled."""
    known = switchable(config)
    return {name: one for name, one in switches.items() if name in known and places(known[name]) == one.named}


def with_switches(config: Config, switches: Mapping[str, Switched]) -> Config:
    """The configuration with each of these databases and shards at the server that it was switched to."""
    return with_changes(config, {name: partial(_moved, switch=one) for name, one in switches.items()})


def with_changes(config: Config, changes: Mapping[str, Change]) -> Config:
    """The configuration with these databases and shards changed; the home shard's servers are its database's too."""
    if not changes:
        return config
    databases = {name: _changed(database, changes) for name, database in config.databases.items()}
    return replace(config, databases=databases)


def _changed(database: DatabaseSettings, changes: Mapping[str, Change]) -> DatabaseSettings:
    sharding = database.sharding
    if sharding is None or database.shard_by:
        return changes[database.name](database) if database.name in changes else database
    shards = tuple(changes[one.name](one) if one.name in changes else one for one in database.shards)
    home = shards[sharding.shard_names().index(sharding.home)]
    return replace(home, name=database.name, sharding=sharding, shards=shards)


def _moved(database: DatabaseSettings, switch: Switched) -> DatabaseSettings:
    """Its user stays who he is: the one of the target's URL only asks and promotes, unless it is the same one."""
    target = switch.target
    where: dict[str, Any] = {"hosts": (target.host,), "port": target.port, "ports": ()}
    if target.dbname is not None:
        where["dbname"] = target.dbname
    if target.password is not None and target.user == database.user:
        where["password"] = target.password
    patroni = database.patroni if switch.former is not None else ()  # it knows nothing of another cluster
    return replace(database, **where, replicas=_replicas(database, switch), patroni=patroni)


def _replicas(database: DatabaseSettings, switch: Switched) -> tuple[ServerAddress, ...]:
    """The former primary takes the target's place in the list, so that the others keep theirs."""
    former, target = switch.former, switch.target
    if former is None or not database.replicas:
        return ()
    listed = [one for one in database.replicas if place(one) != place(former)]
    if any(place(one) == place(target) for one in listed):
        return tuple(former if place(one) == place(target) else one for one in listed)
    return (*listed, former)
