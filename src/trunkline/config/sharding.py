"""What operators write of a database's shards: a description in plain strings, before any catalog is known.

These are settings tables like those in ``settings``: reading, checking, the diff of a reload and the reference are
derived from them. The types of keys are the catalog's to say, so a key's values stay texts as PostgreSQL reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from trunkline.config.address import ServerAddress, ServerUrl
from trunkline.config.key_kinds import BUCKETS, LISTS, LOOKUP, RANGES, SERVER, KeyList, KeyRange, Lookup
from trunkline.config.kinds import BOOL, CHOICE, INT, NAMES, TEXT
from trunkline.config.replica_kinds import REPLICAS
from trunkline.config.rest_kinds import REST_URLS
from trunkline.config.table import setting, specs

MAX_SHARDS = 64
MAX_BUCKETS = 65536
METHODS = ("hash", "range", "list", "lookup", "modulo", "md5", "sha256")


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """One shard: its name, its server, and which buckets it has."""

    name: str = setting("", TEXT, "Name of the shard: letters, digits, `_` and `-`.")
    primary: ServerUrl | None = setting(  # noqa: RUF009
        None, SERVER, "URL of its server; database, user and password default to the database's own."
    )
    replicas: tuple[ServerAddress, ...] = setting(
        (), REPLICAS, "URLs of its streaming replicas, or tables as those of a database."
    )
    patroni: tuple[str, ...] = setting((), REST_URLS, "URLs of Patroni's REST API, with commas, as of a database.")
    buckets: tuple[tuple[int, int], ...] = setting(
        (), BUCKETS, 'Its buckets, as in ["0-511", "600"]; evenly spread in the order of the shards if none says any.'
    )


@dataclass(frozen=True, slots=True)
class TableSettings:
    """How one table lies over the shards; ``group`` is the table whose rule this one has, perhaps itself."""

    shard_by: tuple[str, ...] = setting((), NAMES, "Column or columns of the key.")
    reference: bool = setting(False, BOOL, "All rows are on every shard.")
    colocated_with: str = setting("", TEXT, "Table by whose rule this one lies: rows with equal keys are on one shard.")
    method: str = setting("hash", CHOICE, "How a key becomes a shard.", choices=METHODS)
    lists: tuple[KeyList, ...] = setting(
        (), LISTS, 'Of method list: the keys of each shard, as in { s0 = ["us", "ca"] }.'
    )
    ranges: tuple[KeyRange, ...] = setting(
        (), RANGES, "Of method range: [{ from = 1, to = 9, shard = S }], without `to` itself; one left out is no bound."
    )
    default: str = setting("", TEXT, "Of methods list and range: the shard of all other keys; without one, an error.")
    lookup: Lookup | None = setting(  # noqa: RUF009
        None, LOOKUP, "Of method lookup: { table = T, key = COLUMN, shard = COLUMN }, a table of the home shard."
    )
    group: str = ""
    declared: bool = False  # while Trunkline runs, of the table that there is: another one of its name is none of this


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """A function that reads or writes a sharded table, only rows with the key that is one of its arguments."""

    key_arg: int = setting(0, INT, "Number of the argument that is the key; 1 is the first.", low=1, high=100)
    table: str = setting("", TEXT, "The sharded table whose key it is.")


@dataclass(frozen=True, slots=True)
class ShardingSettings:
    """All of one database; ``bucket_map`` has the number of the shard for each bucket, ``names`` a shard's name."""

    shards: tuple[ShardSettings, ...]
    home: str
    bucket_map: tuple[int, ...]
    tables: Mapping[str, TableSettings] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, FunctionSettings] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def shard_names(self) -> tuple[str, ...]:
        return tuple(shard.name for shard in self.shards)

    def shard_of_database(self, name: str) -> str:
        """The shard of a client's whole database: the one it is listed with, else its bucket's."""
        found = self.names.get(name)
        if found is not None:
            return found
        digest = md5(name.encode(errors="surrogateescape"), usedforsecurity=False).digest()
        return self.shards[self.bucket_map[int.from_bytes(digest, "big") % len(self.bucket_map)]].name

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """(what, value, shown) of everything that a reload may change apart from the database's own settings."""
        for shard in self.shards:
            yield f"shards.{shard.name}", shard, _shown(shard)
        for name, table in self.tables.items():
            yield f"tables.{name}", table, _shown(table)
        for schema, home in self.schemas.items():
            yield f"schemas.{schema}", home, home
        for name, function in self.functions.items():
            yield f"functions.{name}", function, _shown(function)
        for name, home in self.names.items():
            yield f"names.{name}", home, home


def _shown(row: Any) -> str:
    """What differs from the defaults, as the file would say it."""
    said = ((key, getattr(row, name), spec) for key, (name, spec) in specs(type(row)).items())
    return ", ".join(f"{key} = {spec.show(value)}" for key, value, spec in said if value not in ((), "", None, False))
