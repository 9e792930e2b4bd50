"""From what the operator wrote of a database's shards, and its catalog, to the Sharding that plans are made by.

The catalog has the types of the keys, and so the last word on whether a rule can be kept. A rule that cannot does not
make its table a home table, which would lose rows: the table keeps it with a function that knows no key, so that what
names a key is refused with the reason, and everything else concerns every shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trunkline.config.key_kinds import Lookup
from trunkline.config.sharding import FunctionSettings, ShardingSettings, TableSettings
from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.hashing import MAX_COLUMNS
from trunkline.routing.keys.shard_functions import (
    Rule,
    Span,
    check_key,
    key_type,
    make_function,
)
from trunkline.routing.keys.sharding import (
    KeyArgument,
    KeyNotMapped,
    Kind,
    MapError,
    ShardFunction,
    Sharding,
    TableRule,
    Value,
)
from trunkline.routing.keys.values import base_of
from trunkline.routing.schema.catalog import Catalog, Column, Relation

_TABLES = ("r", "p", "f")  # pg_class.relkind of what has rows of its own
# Equal values of these types are hashed, ordered and written alike, so their tables can be colocated.
FAMILIES = (frozenset(("int2", "int4", "int8")), frozenset(("text", "varchar")))
_WIDEST = {"int2": "int8", "int4": "int8", "varchar": "text"}


@dataclass(frozen=True, slots=True, eq=False)
class DirectoryTable:
    """Where the entries of a lookup's directory are: a table of the home shard.

    Its keys are read as the widest type of their family, so that all tables which may be colocated have one directory:
    of two, one would be the newer for a moment, and a row of both be on no shard.
    """

    lookup: Lookup
    type: str
    shards: tuple[str, ...]
    directory: Directory = field(default_factory=Directory)

    def is_for(self, lookup: Lookup, type: str, shards: tuple[str, ...]) -> bool:
        return (self.lookup, self.type, self.shards) == (lookup, type, shards)

    @property
    def relation(self) -> tuple[str, str]:
        """Its schema and its name."""
        schema, dot, name = self.lookup.table.partition(".")
        return (schema, name) if dot else ("public", schema)


@dataclass(frozen=True, slots=True)
class Built:
    """`problems` are sentences for the operator; the tables that they are about are refused, not guessed at."""

    sharding: Sharding
    problems: tuple[str, ...] = ()
    directories: Mapping[str, DirectoryTable] = field(default_factory=dict)  # by the name of the table that uses it


class Unusable:
    """Stands for a function that could not be made: no key has a shard that it could say."""

    name = "unusable"

    def __init__(self, columns: int, shards: int, reason: str) -> None:
        self.types = ("text",) * columns
        self.every = (1 << shards) - 1
        self.reason = reason

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        raise KeyNotMapped(self.reason)

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        return self.every


def build(settings: ShardingSettings, catalog: Catalog, known: Iterable[DirectoryTable] = ()) -> Built:
    """The rules of all tables that are named, whether the catalog has them or not.

    Directories that are `known` are used again, with what is in them.
    """
    return _Builder(settings, catalog, list(known)).build()


@dataclass(slots=True)
class _Builder:
    settings: ShardingSettings
    catalog: Catalog
    known: list[DirectoryTable]
    problems: list[str] = field(default_factory=list)
    directories: dict[str, DirectoryTable] = field(default_factory=dict)

    def build(self) -> Built:
        names = self.settings.shard_names()
        tables = {name: self._rule(name, table) for name, table in self.settings.tables.items()}
        for name, table in self.settings.tables.items():
            self._check_group(name, table, tables)
        self._check_partitions(tables)
        sharding = Sharding(
            names,
            names.index(self.settings.home),
            tables,
            {schema: names.index(shard) for schema, shard in self.settings.schemas.items()},
            {name: self._key_argument(name, function) for name, function in self.settings.functions.items()},
        )
        return Built(sharding, tuple(self.problems), self.directories)

    # --- one table ----------------------------------------------------------------------------------------------

    def _relation(self, name: str) -> Relation | None:
        schema, dot, table = name.partition(".")
        return self.catalog.relations.get((schema, table) if dot else ("public", name))

    def _rule(self, name: str, table: TableSettings) -> TableRule:
        relation = self._relation(name)
        if relation is None:
            self.problems.append(f"the table {name} is not there")
        elif relation.kind not in _TABLES:
            self.problems.append(f"{name} is not a table")
        if table.reference:
            return TableRule(Kind.REFERENCE, declared=table.declared)
        if relation is None:
            function: ShardFunction = self._unusable(table, f"the table {name} was not there when the schema was read")
        else:
            function = self._function(name, table, relation)
        return TableRule(Kind.SHARDED, table.shard_by, function, table.group, table.declared)

    def _function(self, name: str, table: TableSettings, relation: Relation) -> ShardFunction:
        columns = [relation.column(column) for column in table.shard_by]
        known = [column for column in columns if column is not None]
        reason = self._why_not(name, table, known)
        if reason is None:
            try:
                return make_function(table.method, self._described(name, table, known))
            except MapError as error:
                reason = f"the keys of {name}: {error.reason}"
        self.problems.append(reason)
        return self._unusable(table, reason)

    def _why_not(self, name: str, table: TableSettings, columns: list[Column]) -> str | None:
        missing = set(table.shard_by) - {column.name for column in columns}
        if missing:
            return f"the table {name} has no column {', '.join(sorted(missing))}"
        if len(columns) > MAX_COLUMNS:
            return f"the key of {name} has more than {MAX_COLUMNS} columns"
        reason = next(filter(None, (check_key(column, table.method) for column in columns)), None)
        return None if reason is None else f"{name} cannot be sharded so: {reason}"

    def _unusable(self, table: TableSettings, reason: str) -> ShardFunction:
        return Unusable(len(table.shard_by), len(self.settings.shards), reason)

    def _described(self, name: str, table: TableSettings, columns: list[Column]) -> Rule:
        types = tuple(key_type(column) for column in columns)
        return Rule(
            types,
            self.settings.shard_names(),
            self.settings.bucket_map,
            [Span(one.low, one.high, one.shard) for one in table.ranges],
            {one.shard: one.keys for one in table.lists},
            table.default or None,
            self._directory(name, table.lookup, types[0]) if table.lookup is not None else None,
        )

    def _directory(self, name: str, lookup: Lookup, type: str) -> Directory:
        """The one directory for all tables that look the same keys up in it."""
        base = base_of(type)
        wanted = (lookup, _WIDEST.get(base, base), self.settings.shard_names())
        found = next((one for one in self.known if one.is_for(*wanted)), None)
        if found is None:
            found = DirectoryTable(*wanted)
            self.known.append(found)
        self.directories[name] = found
        relation = self._relation(lookup.table)
        if relation is None:
            self.problems.append(f"the directory {lookup.table} of {name} is not there")
            return found.directory
        for column in (lookup.key, lookup.shard):
            if relation.column(column) is None:
                self.problems.append(f"the directory {lookup.table} of {name} has no column {column}")
        key = relation.column(lookup.key)
        if key is not None and _WIDEST.get(key.type, key.type) != found.type:
            reason = f"keys of type {key.type}, and {name} has {type}: keys that it lacks cannot be asked for"
            self.problems.append(f"the directory {lookup.table} has {reason}")
        return found.directory

    # --- one and another ----------------------------------------------------------------------------------------

    def _check_group(self, name: str, table: TableSettings, rules: dict[str, TableRule]) -> None:
        """Tables of one group must mean one thing by equal keys."""
        mine, other = self._key_types(name, table), self._key_types(table.group, self.settings.tables[table.group])
        if table.reference or name == table.group or not (mine and other):
            return
        if all(
            one == two or any({one, two} <= family for family in FAMILIES) for one, two in zip(mine, other, strict=True)
        ):
            return
        reason = (
            f"{name} cannot be colocated with {table.group}: its key is of type {', '.join(mine)}, "
            f"and that one's of {', '.join(other)}"
        )
        self.problems.append(reason)
        function = self._unusable(table, reason)
        rules[name] = TableRule(Kind.SHARDED, table.shard_by, function, name, table.declared)

    def _key_types(self, name: str, table: TableSettings) -> list[str]:
        relation = self._relation(name)
        columns = [relation.column(column) for column in table.shard_by] if relation is not None else []
        return [column.type for column in columns if column is not None] if all(columns) else []

    def _check_partitions(self, rules: Mapping[str, TableRule]) -> None:
        """A partition has its parent's rule; what says otherwise would be read past."""
        for name in rules:
            relation = self._relation(name)
            if relation is not None and relation.parent is not None:
                parent = ".".join(relation.parent)
                self.problems.append(f"{name} is a partition or child of {parent}: only that can have a rule")

    def _key_argument(self, name: str, function: FunctionSettings) -> KeyArgument:
        schema, dot, bare = name.partition(".")
        found = self.catalog.functions.get((schema, bare) if dot else ("public", name), ())
        if not found:
            self.problems.append(f"the function {name} is not there")
        elif not any(one.variadic or len(one.arguments) >= function.key_arg for one in found):
            self.problems.append(f"the function {name} has no argument {function.key_arg}")
        return KeyArgument(function.key_arg, function.table)
