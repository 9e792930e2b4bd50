"""The shards of one database from what its section says, with everything reported that does not fit together.

The sections of tables and functions are read by ``table_rules``; here are servers, buckets, and what is on one shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trunkline.config.diagnostics import Path, Report, did_you_mean
from trunkline.config.sections import Raw, SectionReader, server_fields
from trunkline.config.settings import WILDCARD, DatabaseSettings
from trunkline.config.sharding import MAX_SHARDS, ShardingSettings, ShardSettings
from trunkline.config.table_rules import TableRules

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_NEEDS_SHARDS = ("home", "buckets", "shard_by", "tables", "schemas", "functions", "names")
_NOT_WITH_SHARDS = ("primary", "host", "port", "replicas", "patroni")
_ONLY_BY_TABLE = ("home", "tables", "schemas", "functions")


@dataclass(slots=True)
class ShardingReader:
    """Reads the sections of one database; `apply` gives its settings with them."""

    report: Report
    sections: SectionReader
    path: Path
    raw: Raw

    def apply(self, database: DatabaseSettings) -> DatabaseSettings:
        if "shards" not in self.raw:
            self._forbid(_NEEDS_SHARDS, "needs shards", "add [[databases.NAME.shards]]")
            return database
        self._forbid(_NOT_WITH_SHARDS, "cannot stand beside `shards`", "it belongs to each of the shards")
        self._check_kind(database)
        found = self._shards()
        if found is None:
            self.report.refuse((*self.path, "shards"))
            return database
        sharding = self._sharding(database, found)
        servers = tuple(_server(database, shard) for shard in found)
        home = servers[sharding.shard_names().index(sharding.home)]
        return replace(home, name=database.name, sharding=sharding, shards=servers)

    def _forbid(self, keys: tuple[str, ...], what: str, hint: str) -> None:
        for key in keys:
            if key in self.raw:
                self.report.add((*self.path, key), f"`{key}` {what}", hint, part="key")

    def _check_kind(self, database: DatabaseSettings) -> None:
        is_pattern = database.name.endswith(WILDCARD)
        if not database.shard_by:
            if is_pattern:
                hint = 'add shard_by = "database", or name one database'
                self.report.add(self.path, "a pattern with shards needs `shard_by`", hint, part="key")
            self._forbid(("names",), "is for databases with `shard_by`", "tables belong to [databases.NAME.tables]")
            return
        if not is_pattern:
            hint = 'end its name with *, as in [databases."tenant_*"]'
            self.report.add((*self.path, "shard_by"), "one database cannot be spread by database names", hint)
        self._forbid(_ONLY_BY_TABLE, "has no meaning with `shard_by`", "every database is wholly on one shard")

    # --- shards -------------------------------------------------------------------------------------------------

    def _shards(self) -> tuple[ShardSettings, ...] | None:
        """All shards, or None if any of them could not be read."""
        at = (*self.path, "shards")
        written = self.raw["shards"]
        if not isinstance(written, list) or not all(isinstance(shard, dict) for shard in written):
            self.report.add(at, "`shards` must be tables", "write [[databases.NAME.shards]] for each of them")
            return None
        if not 1 <= len(written) <= MAX_SHARDS:
            self.report.add(at, f"{len(written)} shards; there can be 1 to {MAX_SHARDS}", part="key")
            return None
        before = len(self.report.diagnostics)
        seen: dict[str, int] = {}
        shards = [self._shard(shard, (*at, number), seen) for number, shard in enumerate(written)]
        return tuple(shards) if len(self.report.diagnostics) == before else None

    def _shard(self, raw: Raw, at: Path, seen: dict[str, int]) -> ShardSettings:
        shard = ShardSettings(**self.sections.read(ShardSettings, raw, at))
        number = at[-1]
        assert isinstance(number, int)
        if "name" not in raw:
            self.report.add(at, "a shard without a name", 'add name = "s0"', part="key")
        elif isinstance(raw["name"], str) and not _NAME.fullmatch(shard.name):
            hint = "use letters, digits, _ and -, at most 63 of them"
            self.report.add((*at, "name"), f"`{shard.name}` cannot be the name of a shard", hint)
        elif shard.name in seen:
            self.report.add((*at, "name"), f"two shards are named `{shard.name}`", "choose another name")
        seen.setdefault(shard.name, number)
        if "primary" not in raw:
            hint = 'add primary = "postgres://host:5432/dbname"'
            self.report.add(at, f"shard `{shard.name}` has no primary", hint, part="key")
        return shard

    # --- all of it ----------------------------------------------------------------------------------------------

    def _sharding(self, database: DatabaseSettings, shards: tuple[ShardSettings, ...]) -> ShardingSettings:
        names = [shard.name for shard in shards]
        home = database.home or names[0]
        if home not in names:
            self._unknown_shard((*self.path, "home"), home, names)
            home = names[0]
        schemas = self._mapping("schemas", names)
        rules = TableRules(self.report, self.sections, self.path, self.raw, names, frozenset(schemas))
        tables = rules.tables()
        functions = rules.functions(tables)
        bucket_map = self._bucket_map(database.buckets, shards)
        return ShardingSettings(
            shards, home, bucket_map, tables, schemas, functions, names=self._mapping("names", names)
        )

    def _mapping(self, section: str, names: list[str]) -> Mapping[str, str]:
        """A section of `name = "shard"`."""
        written = self.raw.get(section, {})
        at = (*self.path, section)
        if not isinstance(written, dict):
            self.report.add(at, f"`{section}` must be a table", 'its lines are as in tenant_a = "s0"')
            return {}
        found = {}
        for name, shard in written.items():
            if not isinstance(shard, str):
                self.report.add((*at, name), "must be the name of a shard, in quotes")
            elif shard not in names:
                self._unknown_shard((*at, name), shard, names)
            else:
                found[name] = shard
        return found

    def _unknown_shard(self, at: Path, name: str, names: list[str]) -> None:
        self.report.add(at, f"there is no shard `{name}`", did_you_mean(name, names) or "shards: " + ", ".join(names))

    def _bucket_map(self, count: int, shards: tuple[ShardSettings, ...]) -> tuple[int, ...]:
        """The shard of each bucket: as the shards say, or evenly and in their order if none of them says anything."""
        if not any(shard.buckets for shard in shards):
            if count < len(shards):
                self.report.add((*self.path, "buckets"), f"{count} buckets are too few for {len(shards)} shards")
            return tuple(bucket * len(shards) // count for bucket in range(count))
        owners: list[int | None] = [None] * count
        for number, shard in enumerate(shards):
            for item, (low, high) in enumerate(shard.buckets):
                at = (*self.path, "shards", number, "buckets", item)
                self._claim(owners, number, (low, high), at, shards)
        holes = [bucket for bucket, owner in enumerate(owners) if owner is None]
        if holes:
            last = next((b - 1 for b in range(holes[0], count) if owners[b] is not None), count - 1)
            message = f"buckets {holes[0]}-{last} are on no shard"
            hint = f"each of the buckets 0-{count - 1} needs one"
            self.report.add((*self.path, "shards"), message, hint, part="key")
        return tuple(owner or 0 for owner in owners)

    def _claim(
        self,
        owners: list[int | None],
        shard: int,
        bounds: tuple[int, int],
        at: Path,
        shards: tuple[ShardSettings, ...],
    ) -> None:
        low, high = bounds
        if high >= len(owners):
            self.report.add(at, f"there is no bucket {high}", f"buckets are 0-{len(owners) - 1}")
        for bucket in range(low, min(high + 1, len(owners))):
            owner = owners[bucket]
            if owner is not None:
                self.report.add(at, f"bucket {bucket} is on shard `{shards[owner].name}` already")
                return
            owners[bucket] = shard


def _server(database: DatabaseSettings, shard: ShardSettings) -> DatabaseSettings:
    """One shard as a database of its own, with the settings of the whole."""
    assert shard.primary is not None
    fields = server_fields(shard.primary)
    # Where each client's database is on a shard of its own choice, its name is the one that the client asks for.
    fallback = {"dbname": database.dbname or (None if database.shard_by else database.name)}
    if fields["user"] is None:
        fallback |= {"user": database.user, "password": database.password}
    fields |= {key: value for key, value in fallback.items() if fields[key] is None}
    name = database.name if database.shard_by else f"{database.name}/{shard.name}"
    return replace(database, name=name, replicas=shard.replicas, patroni=shard.patroni, **fields)
