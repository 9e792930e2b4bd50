"""Servers that were found elsewhere than in the file, laid over what the file says. Pure.

They are further places to look at: appended to `replicas`, of which the order stays, for the names of parts
(`app/replica1`) are by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from trunkline.config.address import ServerAddress
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.switched import Place, place, places, switchable, with_changes


@dataclass(frozen=True, slots=True)
class Members:
    """All that were found, and those of them that nobody is to read from."""

    found: tuple[Place, ...] = ()
    unread: frozenset[Place] = frozenset()


def with_members(config: Config, members: Mapping[str, Members]) -> Config:
    """The configuration with what was found for its databases and shards."""
    known = switchable(config)
    wanted = {name: one for name, one in members.items() if name in known and known[name].patroni}
    return with_changes(config, {name: partial(_joined, members=one) for name, one in wanted.items()})


def _joined(database: DatabaseSettings, members: Members) -> DatabaseSettings:
    listed = {*places(database), *map(place, database.replicas)}
    more = (ServerAddress(*one) for one in members.found if one not in listed)
    unread = tuple(str(ServerAddress(*one)) for one in sorted(members.unread))
    return replace(database, replicas=(*database.replicas, *more), unread=unread)
