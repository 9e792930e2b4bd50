"""A Merge: what each shard is asked, and how the proxy makes one answer of what they say. Immutable, and pure data.

The shards' rows have the client's columns first, just as it asked for them, and hidden ones behind them, in binary: by
`keys` the rows are in order, and are merged in it; the others are parts of aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class SortKey:
    """One hidden column by which the rows of each shard are in order."""

    descending: bool = False
    nulls_first: bool = False
    bytewise: bool = False  # if it is a text, its order is that of its bytes

    @property
    def words(self) -> bytes:
        return b"%s NULLS %s" % (b"DESC" if self.descending else b"ASC", b"FIRST" if self.nulls_first else b"LAST")


class Kind(StrEnum):
    """What becomes of the parts of an aggregate."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"  # of a sum and a count
    MIN = "min"
    MAX = "max"
    AND = "and"  # of booleans or bits
    OR = "or"
    XOR = "xor"
    VAR_POP = "var_pop"  # of a sum, a sum of squares and a count
    VAR_SAMP = "var_samp"
    STDDEV_POP = "stddev_pop"
    STDDEV_SAMP = "stddev_samp"


@dataclass(frozen=True, slots=True)
class Combine:
    """The client's column `column` is made of the hidden columns `parts`, by their places in the row."""

    kind: Kind
    column: int
    parts: tuple[int, ...]
    bytewise: bool = False


@dataclass(frozen=True, slots=True)
class FromParameter:
    """A number that the call gives as $number."""

    number: int


Number = int | FromParameter | None


@dataclass(frozen=True, slots=True)
class Limits:
    """LIMIT and OFFSET; `ties`: FETCH FIRST ... WITH TIES, by all keys."""

    count: Number = None
    offset: Number = None
    ties: bool = False


@dataclass(frozen=True, slots=True)
class Having:
    """The computed column `column` is compared with a constant, digits / 10 ** scale."""

    column: int
    operator: str
    digits: int
    scale: int


@dataclass(frozen=True, slots=True)
class Merge:
    """`unique`: rows that agree in so many of the first keys are one; None: all rows stay; 0: all of them are one.

    Between the client's columns and the hidden ones are `computed` ones, made like the client's, but in binary: by the
    first of them what was put together is ordered in the end (`final_order`), and `having` says which of it stays.
    """

    sql: bytes  # without limits
    visible: int
    hidden: int = 0
    keys: tuple[SortKey, ...] = ()
    unique: int | None = None
    combines: tuple[Combine, ...] = ()
    limits: Limits = Limits()
    computed: int = 0
    final_order: tuple[SortKey, ...] = ()
    having: tuple[Having, ...] = ()
    locks: bool = False  # the rows that it gives (FOR UPDATE), or writes some

    @property
    def made(self) -> int:
        """The columns that are not hidden."""
        return self.visible + self.computed


@dataclass(eq=False, slots=True)
class Merging:
    """A merge, and what is done instead where types turn out not to be exact; `known`: what has turned out."""

    merge: Merge
    otherwise: Any  # a program or a Refusal
    known: dict[tuple[int, ...], Any] = field(default_factory=dict)
