"""A random schema with its rows: which tables there are, how they lie over the shards, and the SQL that makes them.

Tables of a group have equal keys on one shard. Some have a primary key, others rows that are there twice and keys that
are NULL; some are empty. Types of the schema's own have other OIDs on each shard.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.differential.spread.columns import INT4, KEYS, ORDINARY, TEXT, Type
from trunkline.routing.keys.hashing import RowHash

BUCKETS = 1024
SHARDED, REFERENCE, HOME = "sharded", "reference", "home"
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Table:
    """``columns`` begin with the key (``k``) and ``id``, which together are the primary key if it has one."""

    name: str
    placement: str
    columns: tuple[tuple[str, Type], ...]
    is_unique: bool
    group: str = ""  # the first table with this rule

    @property
    def key(self) -> Type:
        return self.columns[0][1]

    @property
    def ddl(self) -> str:
        said = [f"{name} {kind.declaration}" for name, kind in self.columns]
        if self.is_unique:
            said.append("PRIMARY KEY (k, id)")
        return f"CREATE TABLE {self.name} ({', '.join(said)})"

    def insert(self, rows: Sequence[Row]) -> str:
        said = (
            "(" + ", ".join(kind.literal(value) for (_, kind), value in zip(self.columns, row, strict=True)) + ")"
            for row in rows
        )
        return f"INSERT INTO {self.name} VALUES {', '.join(said)}"


@dataclass(frozen=True)
class View:
    """It is read as a table is."""

    name: str
    columns: tuple[tuple[str, Type], ...]
    sql: str


@dataclass
class Schema:
    """All tables of one world, their rows, and views over them."""

    tables: list[Table]
    rows: dict[str, list[Row]]
    views: list[View] = field(default_factory=list)
    also: tuple[str, ...] = ()  # further DDL

    def named(self, placement: str) -> list[Table]:
        return [table for table in self.tables if table.placement == placement]

    def definition(self, shard: int) -> str:
        """DDL for one database; ``shard`` makes the OIDs of its types other than elsewhere."""
        others = [f"CREATE TYPE other_{number} AS ENUM ('x')" for number in range(shard)]
        shared = [
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
            "CREATE AGGREGATE total(int8) (SFUNC = int8pl, STYPE = int8, INITCOND = '0')",
        ]
        views = [f"CREATE VIEW {view.name} AS {view.sql}" for view in self.views]
        return ";\n".join([*others, *shared, *(table.ddl for table in self.tables), *views, *self.also])

    def rows_sql(self, shard: int | None, shards: int) -> str:
        """All rows of one shard, or of the one database (None); what was there is gone."""
        done = [f"TRUNCATE {', '.join(table.name for table in self.tables)}"]
        for table in self.tables:
            rows = [row for row in self.rows[table.name] if shard is None or self._is_on(table, row, shard, shards)]
            if rows:  # on the shards in another order, so that what depends on it shows itself
                done.append(table.insert(rows if shard is None else rows[::-1]))
        return ";\n".join(done)

    def _is_on(self, table: Table, row: Row, shard: int, shards: int) -> bool:
        if table.placement == SHARDED:
            return shard_of(table.key, row[0], shards) == shard
        return table.placement == REFERENCE or shard == 0

    def settings(self) -> dict[str, Any]:
        """The tables, as the configuration names them."""
        said: dict[str, Any] = {table.name: {"reference": True} for table in self.named(REFERENCE)}
        for table in self.named(SHARDED):
            together = {"colocated_with": table.group} if table.group != table.name else {}
            said[table.name] = {"shard_by": "k", **together}
        return said


def shard_of(kind: Type, value: str | None, shards: int) -> int:
    """By PostgreSQL's own hash; the buckets are spread evenly in the order of the shards."""
    key: Any = value
    if value is not None and kind.sql == "int8":
        key = int(value)
    elif value is not None and kind.sql == "uuid":
        key = UUID(value).bytes
    return RowHash((kind.sql,)).of((key,)) % BUCKETS * shards // BUCKETS


def make(seed: str, icu: Type | None) -> Schema:
    """The schema of this seed; ``icu`` is a type of text that is not ordered bytewise, if the server has one."""
    rng = random.Random(seed)
    kinds = [*ORDINARY, icu] if icu else list(ORDINARY)
    names = iter("abcdefghij")
    tables: list[Table] = []
    for key in rng.sample(KEYS, 2):
        first = next(names)
        for number, name in enumerate([first, next(names), *([next(names)] if rng.random() < 0.5 else [])]):
            tables.append(_table(rng, kinds, name, SHARDED, key, unique=number == 0 or rng.random() < 0.4, group=first))
    for name, placement in (("r", REFERENCE), ("q", REFERENCE), ("h", HOME), ("g", HOME)):
        tables.append(_table(rng, kinds, name, placement, rng.choice(KEYS), unique=name in "rh"))
    rows = {table.name: list(_rows(rng, table)) for table in tables}
    return Schema(tables, rows, _views(rng, tables))


def _table(
    rng: random.Random, kinds: Sequence[Type], name: str, placement: str, key: Type, *, unique: bool, group: str = ""
) -> Table:
    columns = [("k", key), ("id", INT4), ("n", INT4), ("t", TEXT)]
    columns += [(f"c{number}", rng.choice(kinds)) for number in range(rng.randint(2, 5))]
    return Table(name, placement, tuple(columns), unique, group)


def _rows(rng: random.Random, table: Table) -> Iterator[Row]:
    count = rng.choice([0, 1, 3]) if rng.random() < 0.12 else rng.randint(8, 24)
    keys = rng.sample(table.key.values, 8)
    seen: set[tuple[str | None, str | None]] = set()
    for number in range(count):
        row = _row(rng, table, keys, number)
        if not table.is_unique or (row[0], row[1]) not in seen:
            seen.add((row[0], row[1]))
            yield row
            if not table.is_unique and rng.random() < 0.15:
                yield row


def _row(rng: random.Random, table: Table, keys: Sequence[str], number: int) -> Row:
    nullable = 0.0 if table.is_unique else 0.1
    key = None if rng.random() < nullable else rng.choice(keys)
    ordinary = (None if rng.random() < 0.15 else rng.choice(kind.values) for _, kind in table.columns[3:])
    small = None if rng.random() < 0.15 else str(rng.randrange(6))
    return (key, str(number % 12), small, *ordinary)


def _views(rng: random.Random, tables: Sequence[Table]) -> list[View]:
    first, second = tables[0], tables[1]
    columns = first.columns[:4]
    return [
        View("v", first.columns, f"SELECT * FROM {first.name} WHERE n IS NOT NULL"),
        View(
            "w",
            (*columns, ("m", INT4)),
            f"SELECT x.k, x.id, x.n, x.t, y.n AS m FROM {first.name} x LEFT JOIN {second.name} y USING (k)",
        ),
        View(
            "u",
            (("n", INT4), ("c", Type("count", "int8", 20, "integer", ("0", "1", "2", "3")))),
            f"SELECT n, count(*) AS c FROM {second.name} GROUP BY n",
        ),
    ]
