"""Tables that were declared while Trunkline runs: how the home shard keeps them, and what they add to the settings.

`trunkline.tables` has a row for each, `trunkline.epoch` the number of changes so far. A row is of the relation, not of
its name: with a table that is dropped, by whomever, its declaration is over in the same transaction, and the row is
removed with the next change. What the configuration file says of a table goes before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trunkline.config.sharding import ShardingSettings, TableSettings
from trunkline.routing.schema.catalog import Catalog

CREATE = """\
CREATE SCHEMA IF NOT EXISTS trunkline;
CREATE TABLE IF NOT EXISTS trunkline.tables (
  relation regclass PRIMARY KEY, shard_by text[] NOT NULL, colocated_with regclass NOT NULL,
  declared timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS trunkline.epoch (epoch int8 NOT NULL);
GRANT USAGE ON SCHEMA trunkline TO PUBLIC;
GRANT SELECT ON trunkline.tables, trunkline.epoch TO PUBLIC;
INSERT INTO trunkline.epoch SELECT 0 WHERE NOT EXISTS (SELECT FROM trunkline.epoch)"""
TABLES = ("trunkline", "tables")
READ = """\
SELECT e.epoch, n.nspname || '.' || c.relname, array_to_json(t.shard_by),
  coalesce(gn.nspname || '.' || g.relname, t.colocated_with::oid::text)
FROM trunkline.epoch e LEFT JOIN (
  trunkline.tables t JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class g ON g.oid = t.colocated_with LEFT JOIN pg_namespace gn ON gn.oid = g.relnamespace) ON true
ORDER BY t.declared, t.relation::oid"""


@dataclass(frozen=True, slots=True)
class Declared:
    """All of one database, in the order in which they were declared."""

    epoch: int = 0
    tables: Mapping[str, TableSettings] = field(default_factory=dict)


def is_kept(catalog: Catalog) -> bool:
    """Whether a home shard with this catalog has any."""
    return TABLES in catalog.relations


def read(rows: Iterable[Sequence[str | None]]) -> Declared:
    """What the answer to READ means."""
    epoch, tables = 0, {}
    for number, name, columns, colocated in rows:
        epoch = int(number or 0)
        if name is not None:
            key = tuple(str(one) for one in json.loads(columns or "[]"))
            tables[name] = TableSettings(shard_by=key, reference=not key, group=colocated or name, declared=True)
    return Declared(epoch, tables)


def merged(settings: ShardingSettings, declared: Declared) -> tuple[ShardingSettings, tuple[str, ...]]:
    """The settings with what was declared, and sentences on what is not so because the file says otherwise."""
    tables, problems = dict(settings.tables), []
    for name, table in declared.tables.items():
        own = written(settings, name)
        if own is not None:
            if (own.shard_by, own.reference) != (table.shard_by, table.reference):
                problems.append(f"{name} was declared otherwise than the configuration file says, which holds")
            continue
        tables[name] = _with_rule(table, name, settings)
    roots: dict[str, str] = {}  # of groups whose first table is none any more
    for name, table in tables.items():
        if table.group not in tables:
            tables[name] = replace(table, group=roots.setdefault(table.group, name))
    return replace(settings, tables=tables), tuple(problems)


def _with_rule(table: TableSettings, name: str, settings: ShardingSettings) -> TableSettings:
    """By the rule of the table that it is colocated with, if the file has that; what was declared is hashed."""
    root = written(settings, table.group)
    if table.reference or root is None:
        return table if not table.reference else replace(table, group=name)
    return replace(table, group=_name_in(settings, table.group), method=root.method, ranges=root.ranges,
                   lists=root.lists, lookup=root.lookup, default=root.default)  # fmt: skip


def written(settings: ShardingSettings, name: str) -> TableSettings | None:
    """What the settings say of schema.name; a bare name in them is of public."""
    return settings.tables.get(_name_in(settings, name))


def _name_in(settings: ShardingSettings, name: str) -> str:
    bare = name.removeprefix("public.")
    return bare if name not in settings.tables and bare in settings.tables else name
