"""A RoutePlan: what is known of a statement once it has been looked at, but for the values of its keys. Immutable.

`where` is evaluated for each call: from the values of literals and parameters to the mask of the shards that the call
concerns. Masks of several table occurrences are united; conditions on one occurrence are intersected (AND), united (OR)
or dropped (NOT, and whatever is not a condition on the key). More shards than needed is slow; one too few is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from trunkline.routing.keys.sharding import ShardFunction, Value

SHARED = {
    "shared": True
}  # of a field: its value is the catalog's, or that of many plans, and takes no memory of its own


class Verdict(StrEnum):
    """What a plan says apart from its keys."""

    ROUTED = "routed"  # `where` says which shards
    ANYWHERE = "anywhere"  # on the transaction's shard, or on any: no table, or only reference tables that are read
    HOME = "home"  # only home tables, system catalogs, or what does not parse
    EVERY = "every"  # it has to run on every shard (DDL, a write to a reference table)
    REFUSED = "refused"  # whatever its keys are
    SESSION = "session"  # SET, BEGIN and the like: the session's business, not a shard's


@dataclass(frozen=True, slots=True)
class Literal:
    """The constant in the text whose token begins at, or next after, this byte; `negative` if a minus stands before."""

    location: int
    type: str = ""  # of a cast that was written to it, else ""
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """$number, 1 is the first."""

    number: int
    type: str = ""
    inferred: bool = False  # the type is no cast's, but that of the column it is compared with


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same for every call; None is NULL."""

    text: str | None
    type: str = ""


Source = Literal | Parameter | Constant


class Values(Protocol):
    """The values of one call, in the form that `routing.keys.values` gives them for a column's type.

    Both raise NotCoercible if PostgreSQL would not take the value either, and KeyUnknown if only PostgreSQL can say
    what it is; None is NULL.
    """

    def value(self, source: Source, type: str) -> Value | None: ...

    def declared(self, number: int) -> int:
        """The oid of the type that was declared for a parameter; 0 if PostgreSQL has to infer it."""
        ...

    def elements(self, source: Source, type: str) -> list[Value | None]:
        """Those of an array of this type of element."""
        ...


@dataclass(frozen=True, slots=True)
class Equals:
    """The key's columns have exactly these values; `nowhere` as for In."""

    function: ShardFunction
    sources: tuple[Source, ...]
    nowhere: int = 0


@dataclass(frozen=True, slots=True)
class In:
    """The key is one of these rows of values.

    `nowhere` is the mask of where a row is put with NULL in its key; 0: of rows that are there, as NULL is equal to
    nothing.
    """

    function: ShardFunction
    rows: tuple[tuple[Source, ...], ...]
    nowhere: int = 0


@dataclass(frozen=True, slots=True)
class InArray:
    """The key is an element of this array."""

    function: ShardFunction
    array: Source


@dataclass(frozen=True, slots=True)
class Between:
    """The key lies between these, both included; None is no bound."""

    function: ShardFunction
    low: Source | None
    high: Source | None


@dataclass(frozen=True, slots=True)
class All:
    """Each of these holds."""

    parts: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these holds; or, of several occurrences of tables, what each of them concerns."""

    parts: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """These shards, whatever the values are; 0 is none."""

    mask: int


Where = Equals | In | InArray | Between | All | AnyOf | Fixed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement is not run, and what would make it one that is. `code` is the stable TL code's last part."""

    reason: str
    hint: str = ""
    sqlstate: str = "0A000"
    position: int | None = None  # of what is wrong, in characters, from 1


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One appearance of a table in a statement: which of its rows are concerned, and why. For EXPLAIN (ROUTE)."""

    table: str = field(metadata=SHARED)  # schema.name; of a function its name with ()
    alias: str
    kind: str = field(metadata=SHARED)  # sharded, reference, home, system, schema, function
    where: Where
    condition: str  # `where` in words of SQL: `customer_id = ?`; without one: `every shard`
    writes: bool = False
    columns: tuple[str, ...] = field(default=(), metadata=SHARED)  # the key


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What the planner found. `fixed` are the literals, by location, that the plan depends on apart from its keys.

    `unless_single` is there wherever the values may say several shards, or the verdict is EVERY: why the statement is
    not run over several; and of a text that does not parse: what is wrong with it. Home tables and functions count in
    `where` as well: as the home shard, or every shard.
    """

    verdict: Verdict
    where: Where = Fixed(0)
    reason: str = ""  # a sentence
    hint: str = ""  # what would make it a statement for one shard
    refusal: Refusal | None = None
    tables: tuple[str, ...] = field(default=(), metadata=SHARED)  # schema.name, in the order of their appearance
    writes: bool = False
    fixed: frozenset[int] = frozenset()
    volatile: bool = False  # it calls what may give another result at each call, or locks rows
    unless_single: Refusal | None = None
    occurrences: tuple[Occurrence, ...] = ()
    primary: str = field(default="", metadata=SHARED)  # why only the primary can answer it; empty: a replica may
    always_primary: str = field(default="", metadata=SHARED)  # the same in a READ ONLY transaction
    configures: bool = False  # it calls set_config(), by itself or in a function
    moves: bool = False  # rows may belong to another shard than they come from: nobody's word makes it one shard's
    draws: Refusal | None = field(
        default=None, metadata=SHARED
    )  # ids in it have to be drawn first: why it is not relayed
    declares: bool = False  # it calls `create_distributed_table` or its like, which no server has
    keeps: Refusal | None = field(
        default=None, metadata=SHARED
    )  # values of global unique indexes come or go, which the home shard keeps: why it is not relayed
    ids: tuple[
        str, ...
    ] = ()  # sequences that a server advances by itself when it runs; and the words of planning/ids.py
