"""What the planner knows of a database: relations, their columns and what hides behind them, and functions. Pure data.

A catalog is immutable; a change of the schema makes a new one, with another `version`. Names are as PostgreSQL has
them (folded, unquoted). Where a field holds SQL it is PostgreSQL's own rendering (pg_get_viewdef, pg_get_expr, prosrc).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

Name = tuple[str, str]  # schema and name

UNIQUE_SCHEMA, OF_UNIQUE = "trunkline", "unique_"  # where what keeps global unique indexes is, and how its names begin
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type` is its type's name in pg_type (`int8`, `varchar`), of a domain that of its base type."""

    name: str
    type: str
    not_null: bool = False
    default: str | None = None  # SQL; of a generated or identity column too
    generated: bool = False  # or identity ALWAYS: a client gives no value
    deterministic: bool = True  # its collation finds equal only what is byte for byte equal
    is_enum: bool = False
    modifier: int = -1  # pg_attribute.atttypmod: what is stored in a varchar(3) is not always what was given
    collation: str = ""  # of PostgreSQL's own its name, as `default` and `C`; of another with its schema


@dataclass(frozen=True, slots=True)
class Trigger:
    """A user's trigger: the function that it calls."""

    name: str
    function: Name
    per_statement: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from these columns to those of another table."""

    columns: tuple[str, ...]
    target: Name
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table, in the table's schema; one that is not valid is half built, or half dropped."""

    name: str
    definition: str  # SQL
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or the like; `kind` is pg_class.relkind (r, p, v, m, f, S)."""

    schema: str
    name: str
    kind: str = "r"
    columns: tuple[Column, ...] = ()
    definition: str | None = None  # of a view: its SELECT
    parent: Name | None = None  # of a partition: what it is a partition of; else what it inherits from
    keys: tuple[tuple[str, ...], ...] = ()  # primary and unique keys, the primary one first
    foreign_keys: tuple[ForeignKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[str, ...] = ()  # SQL of row security policies
    rules: tuple[str, ...] = ()  # definitions of rules other than a view's own
    persistence: str = "p"  # pg_class.relpersistence: permanent, unlogged, temporary
    indexes: tuple[Index, ...] = ()
    unique_indexes: tuple[str, ...] = ()  # names of global ones, of which each has a table of values

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Function:
    """One function or procedure; `kind` is pg_proc.prokind (f, p, a, w), `volatility` pg_proc.provolatile (i, s, v).

    `body` of an aggregate are the functions that it is made of: `schema.name schema.name`.
    """

    schema: str
    name: str
    arguments: tuple[str, ...] = ()  # names of types
    kind: str = "f"
    volatility: str = "v"
    language: str = "internal"
    body: str = ""
    returns_set: bool = False
    defaults: int = 0  # how many of the last arguments may be left out
    variadic: bool = False


@dataclass(frozen=True)
class Catalog:
    """The schema of one database. Lookups follow a search_path, as PostgreSQL's do (namespace.c)."""

    relations: Mapping[Name, Relation] = field(default_factory=dict)
    functions: Mapping[Name, tuple[Function, ...]] = field(default_factory=dict)
    version: int = 0
    server: Mapping[str, str] = field(default_factory=dict)  # of the server itself: version, encoding, collation

    @cached_property
    def unreplicated(self) -> Mapping[Name, Relation]:
        """Tables of which a replica has no rows, and what has such a table for a partition or child."""
        found = {}
        for relation in self.relations.values():
            above: Relation | None = relation
            while relation.persistence != "p" and above is not None and (above.schema, above.name) not in found:
                found[above.schema, above.name] = relation
                above = self.relations.get(above.parent) if above.parent is not None else None
        return found

    @cached_property
    def indexed(self) -> Mapping[Name, Relation]:
        """The tables of indexes, by the indexes' names."""
        return {(one.schema, index.name): one for one in self.relations.values() for index in one.indexes}

    def find_index(self, schema: str | None, name: str, search_path: Iterable[str]) -> Relation | None:
        """The table of the index that is meant."""
        return next((found for key in _places(schema, name, search_path) if (found := self.indexed.get(key))), None)

    @cached_property
    def above_unique(self) -> Mapping[Name, frozenset[str]]:
        """Tables of which rows that go, or change in these columns, may change rows under a global unique index."""
        found: dict[Name, frozenset[str]] = {}
        near = [relation for relation in self.relations.values() if relation.unique_indexes]
        for relation in near:  # which grows
            for key in relation.foreign_keys:
                above = self.relations.get(key.target)
                known = found.get(key.target)
                found[key.target] = (known or frozenset()) | frozenset(key.target_columns)
                if known is None and above is not None:
                    near.append(above)
        return found

    def find_relation(self, schema: str | None, name: str, search_path: Iterable[str]) -> Relation | None:
        return next((found for key in _places(schema, name, search_path) if (found := self.relations.get(key))), None)

    def find_functions(self, schema: str | None, name: str, search_path: Iterable[str]) -> tuple[Function, ...]:
        """All functions of this name that a call may mean, in the first schema that has one, and in those behind it."""
        return tuple(one for key in _places(schema, name, search_path) for one in self.functions.get(key, ()))


def _places(schema: str | None, name: str, search_path: Iterable[str]) -> list[Name]:
    if schema is not None:
        return [(schema, name)]
    path = list(search_path)
    return [(place, name) for place in (path if "pg_catalog" in path else ["pg_catalog", *path])]
