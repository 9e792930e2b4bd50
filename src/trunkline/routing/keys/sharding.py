"""Where the rows of a database live: its shards, and for each table the rule by which its rows are spread. Pure data.

A shard's number is its place in `shards`; a set of shards is an int with a bit for each (a *mask*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

# A key in the form that `values` gives it: text as str, uuid and bytea as bytes, numeric as Decimal, dates as days and
# timestamps as microseconds since 2000-01-01 (with PostgreSQL's own numbers for the infinities).
Value = int | float | str | bytes | bool | Decimal


class NotCoercible(Exception):
    """PostgreSQL refuses this value as well: whichever server gets the statement says so."""


class KeyUnknown(Exception):
    """Only PostgreSQL can say what this value is (a setting, a zone or the clock decides): it may be on any shard."""


class KeyNotMapped(Exception):
    """The operator's map does not say where rows with this key are."""


class KeyMissing(KeyNotMapped):
    """No shard is known for this key, but there is somebody to ask: `ask(key, done)` of the directory."""

    def __init__(self, directory: Asked, key: Value) -> None:
        super().__init__("the directory has not been asked for it")
        self.directory = directory
        self.key = key


class Asked(Protocol):
    """A directory that learns of keys while it is in use; `done` hears that one has been asked for, not what came."""

    ask: Callable[[Value, Callable[[BaseException | None], None]], None] | None


class MapError(ValueError):
    """The operator's map of buckets, ranges, lists or shards cannot be used; `item` is the part of it that is wrong."""

    def __init__(self, reason: str, item: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.item = item


class Kind(StrEnum):
    """How a table lies over the shards."""

    SHARDED = "sharded"  # each row on the shard that its key says
    REFERENCE = "reference"  # all rows on every shard
    HOME = "home"  # all rows on the home shard: everything that is not named


class ShardFunction(Protocol):
    """From keys to shards. All masks are within `every`."""

    name: str  # the setting's value: hash, range, list, ...
    types: tuple[str, ...]  # of the key's columns, with their modifiers: int8, varchar(36)
    every: int

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        """The mask of the one shard that has the rows with this key; 0 if there can be none.

        KeyNotMapped if the operator's map says nothing of it; KeyMissing if that may be because it was not asked.
        """
        ...

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        """The shards that may have keys of one column from `low` to `high`, both included; None is no bound.

        `every` if the function keeps no order.
        """
        ...


@dataclass(frozen=True, slots=True)
class TableRule:
    """The rule of one table. Tables of one `group` have equal keys on one shard."""

    kind: Kind
    columns: tuple[str, ...] = ()
    function: ShardFunction | None = None
    group: str = ""
    declared: bool = False  # of the table that there is: a new one of its name is a home table


@dataclass(frozen=True, slots=True)
class KeyArgument:
    """A user's function reads or writes a sharded table, only rows with the key in this argument (1 is the first)."""

    argument: int
    table: str


HOME_RULE = TableRule(Kind.HOME)


@dataclass(frozen=True)
class Sharding:
    """The shards of one database. Tables and schemas are named as in the configuration: `orders` or `sales.orders`."""

    shards: tuple[str, ...]
    home: int = 0
    tables: Mapping[str, TableRule] = field(default_factory=dict)
    schemas: Mapping[str, int] = field(default_factory=dict)  # schema per tenant: all its tables are on this shard
    functions: Mapping[str, KeyArgument] = field(default_factory=dict)

    @property
    def every(self) -> int:
        return (1 << len(self.shards)) - 1

    def rule_of(self, schema: str, table: str) -> TableRule:
        """The rule of a table; of what is not named, home's. A bare name is of the schema `public`."""
        found = self.tables.get(f"{schema}.{table}")
        if found is None and schema == "public":
            found = self.tables.get(table)
        return found or HOME_RULE

    def names_of(self, mask: int) -> list[str]:
        return [name for number, name in enumerate(self.shards) if mask >> number & 1]
