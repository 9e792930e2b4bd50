"""From a key to its shard: the methods that an operator can choose, and which columns each of them takes.

`METHODS` is the table of them. A function is made of a `Rule`, what the operator wrote, once the catalog has said which
types the key's columns have; it is immutable, but for the directory that a `lookup` reads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5, sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.hashing import KINDS, MAX_COLUMNS, RowHash
from trunkline.routing.keys.sharding import (
    KeyNotMapped,
    KeyUnknown,
    MapError,
    NotCoercible,
    ShardFunction,
    Value,
)
from trunkline.routing.keys.values import base_of, from_text, order_of
from trunkline.routing.schema import catalog

INTEGERS = ("int2", "int4", "int8")
TEXTS = ("text", "varchar", "bpchar")
FLOATS = ("float4", "float8")
ALL_TYPES = tuple(KINDS)
EXACT_TYPES = tuple(name for name in ALL_TYPES if name not in FLOATS)

Key = tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """The keys from `low` up to, but without, `high` are on this shard; None is no bound."""

    low: str | None
    high: str | None
    shard: str


@dataclass(frozen=True)
class Rule:
    """What the operator said of the keys of one table; `types` are the catalog's, with modifiers."""

    types: tuple[str, ...]
    shards: tuple[str, ...]
    buckets: tuple[int, ...] = ()  # of hash: the shard's number for each bucket; without, each shard is one bucket
    spans: Sequence[Span] = ()  # of range
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of list: texts of keys, by shard
    default: str | None = None  # of range and list: the shard of all other keys
    directory: Directory | None = None  # of lookup

    def mask_of(self, shard: str, item: object) -> int:
        if shard not in self.shards:
            raise MapError(f"there is no shard {shard!r}", item)
        return 1 << self.shards.index(shard)

    def value_of(self, text: str, item: object) -> Value:
        """A key that the operator wrote."""
        try:
            return from_text(text.encode(), self.types[0])
        except NotCoercible:
            raise MapError(f"{text!r} is no {self.types[0]}", item) from None
        except KeyUnknown as reason:
            raise MapError(f"{text!r} does not say which {self.types[0]} it is: {reason}", item) from None


class _Function:
    """What all functions have; most keep no order."""

    name = ""

    def __init__(self, rule: Rule) -> None:
        self.types = rule.types
        self.every = (1 << len(rule.shards)) - 1

    def __repr__(self) -> str:
        return f"<{self.name} of {', '.join(self.types)}>"

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        return self.every


class HashFunction(_Function):
    """PostgreSQL's hash of the key, modulo the number of buckets; a key of NULLs is in bucket 0, as in PostgreSQL."""

    name = "hash"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        buckets = rule.buckets or range(len(rule.shards))
        self.masks = tuple(1 << shard for shard in buckets)  # of each bucket; compiled code reads it
        self._count = len(buckets)
        self._hash = RowHash(tuple(base_of(type) for type in rule.types)).of

    def shards_of(self, key: Key) -> int:
        return self.masks[self._hash(key) % self._count]


class _Mapped(_Function):
    """Keys of one column that the operator has put somewhere, and a shard for all others."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._order = order_of(rule.types[0])
        self._default = rule.mask_of(rule.default, "default") if rule.default else 0

    def _other(self) -> int:
        if not self._default:
            raise KeyNotMapped(f"no {self.name} has it, and there is no default")
        return self._default


class RangeFunction(_Mapped):
    """Spans of keys. Those of text are in the order of their bytes, which is nobody's but ours.

    So text finds its span when it is equal to something, but a comparison that PostgreSQL makes by a column's
    collation says nothing of bytes.
    """

    name = "range"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._is_text = base_of(rule.types[0]) in TEXTS
        spans = sorted(
            (self._span(rule, span) for span in rule.spans), key=lambda span: () if span[0] is None else span[:1]
        )
        _check_apart(spans)
        self._spans = [(low, high, mask) for low, high, mask, _ in spans]
        self._lows = [low for low, _, _ in self._spans if low is not None]

    def _span(self, rule: Rule, span: Span) -> _ReadSpan:
        low, high = (None if text is None else self._order(rule.value_of(text, span)) for text in (span.low, span.high))
        if low is not None and high is not None and not low < high:
            raise MapError(f"the range from {span.low!r} to {span.high!r} of {span.shard} is empty", span)
        return low, high, rule.mask_of(span.shard, span), span

    def shards_of(self, key: Key) -> int:
        if key[0] is None:
            return self._default
        place = self._order(key[0])
        before = bisect_right(self._lows, place) - 1 + len(self._spans) - len(self._lows)
        if before >= 0:
            _, high, mask = self._spans[before]
            if high is None or place < high:
                return mask
        return self._other()

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        if self._is_text:
            return self.every
        first, last = (None if bound is None else self._order(bound) for bound in (low, high))
        found = 0 if self._is_covered(first, last) else self._default
        for from_, to, mask in self._spans:
            if (last is None or from_ is None or from_ <= last) and (first is None or to is None or first < to):
                found |= mask
        return found

    def _is_covered(self, first: Any, last: Any) -> bool:
        """Whether the spans have every key between these two, so that none of them is left for the default."""
        reached = first
        for low, high, _ in self._spans:
            if low is not None and (reached is None or reached < low):
                return False
            if high is None or (last is not None and last < high):
                return True
            reached = high if reached is None else max(reached, high)
        return False


_ReadSpan = tuple[object | None, object | None, int, Span]


def _check_apart(spans: Sequence[_ReadSpan]) -> None:
    for one, two in pairwise(spans):
        if two[0] is None or one[1] is None or two[0] < one[1]:  # type: ignore[operator]  # of one type
            raise MapError(f"the ranges {_shown(one[3])} and {_shown(two[3])} overlap", two[3])


def _shown(span: Span) -> str:
    return f"{span.low or ''}..{span.high or ''} of {span.shard}"


class ListFunction(_Mapped):
    """Keys by name."""

    name = "list"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._masks: dict[object, int] = {}
        for shard, texts in rule.lists.items():
            for text in texts:
                place = self._order(rule.value_of(text, (shard, text)))
                if place in self._masks:
                    raise MapError(f"{text!r} is listed twice", (shard, text))
                self._masks[place] = rule.mask_of(shard, (shard, text))

    def shards_of(self, key: Key) -> int:
        if key[0] is None:
            return self._default
        return self._masks.get(self._order(key[0])) or self._other()


class LookupFunction(_Function):
    """Keys by a directory; what it has not is `KeyNotMapped`, or `KeyMissing` while somebody can be asked."""

    name = "lookup"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self.directory = rule.directory if rule.directory is not None else Directory()

    def shards_of(self, key: Key) -> int:
        if key[0] is None:
            raise KeyNotMapped("a directory says nothing of NULL")
        shard = self.directory.find(key[0])
        if shard is None:
            raise self.directory.why_not(key[0])
        return 1 << shard


class _Remainder(_Function):
    """A number modulo the number of shards, in their order; NULL is nowhere."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._count = len(rule.shards)

    def number_of(self, value: Value) -> int:
        raise NotImplementedError

    def shards_of(self, key: Key) -> int:
        return 0 if key[0] is None else 1 << self.number_of(key[0]) % self._count


class ModuloFunction(_Remainder):
    """`key % shards`, as PostgreSQL has it: the remainder has the key's sign. No shard has a number below 0.

    Other languages give such a key another remainder, so where an application has put it is not for us to guess.
    """

    name = "modulo"

    def number_of(self, value: Value) -> int:
        assert isinstance(value, int)
        if value < 0 and value % self._count:
            raise KeyNotMapped(f"{value} % {self._count} is below 0")
        return value


class Md5Function(_Remainder):
    """The digest of the key's text in PostgreSQL's form, read as a number of 128 bits."""

    name = "md5"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._is_uuid = base_of(rule.types[0]) == "uuid"

    def number_of(self, value: Value) -> int:
        text = str(UUID(bytes=value)) if self._is_uuid and isinstance(value, bytes) else str(value)
        return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest(), "big")


class Sha256Function(_Remainder):
    """The first four bytes, big-endian, of the digest of a uuid's 16 bytes."""

    name = "sha256"

    def number_of(self, value: Value) -> int:
        assert isinstance(value, bytes)
        return int.from_bytes(sha256(value).digest()[:4], "big")


@dataclass(frozen=True, slots=True)
class Method:
    """`options` are the fields of a Rule that it reads; `columns` is how many a key may have at most."""

    make: Callable[[Rule], ShardFunction]
    types: tuple[str, ...]
    options: tuple[str, ...] = ()
    columns: int = 1


METHODS: Mapping[str, Method] = {
    "hash": Method(HashFunction, ALL_TYPES, ("buckets",), MAX_COLUMNS),
    "range": Method(RangeFunction, ALL_TYPES, ("spans", "default")),
    "list": Method(ListFunction, ALL_TYPES, ("lists", "default")),
    "lookup": Method(LookupFunction, EXACT_TYPES, ("directory",)),
    "modulo": Method(ModuloFunction, INTEGERS),
    "md5": Method(Md5Function, (*INTEGERS, "text", "varchar", "uuid")),
    "sha256": Method(Sha256Function, ("uuid",)),
}


def make_function(method: str, rule: Rule) -> ShardFunction:
    """MapError names the part of the rule that cannot be used. The columns have been checked by `check_key`."""
    found = METHODS[method]
    if not 0 < len(rule.types) <= found.columns:
        limit = "1 column" if found.columns == 1 else f"1 to {found.columns} columns"
        raise MapError(f"method {method} takes keys of {limit}", rule.types)
    return found.make(rule)


# Why a type is no key; of others there is nothing more to say.
_NO_KEYS: Mapping[str, str] = {
    "json": "json has no equality",
    "jsonb": "equal documents of jsonb need not be written alike",
    "interval": "equal intervals need not be written alike",
    "citext": "texts of citext that differ can be equal",
    "char": 'the type "char" is not a text; use char(n) or text',
}


def check_key(column: catalog.Column, method: str) -> str | None:
    """Why this column cannot be a key under this method, in a sentence; None if it can."""
    found = METHODS.get(method)
    if found is None:
        return f"there is no method {method!r}; the methods are {', '.join(METHODS)}"
    if column.is_enum:
        return f"{column.name} is an enum, which PostgreSQL hashes by a number that differs from server to server"
    if not column.deterministic:
        return f"{column.name} has a nondeterministic collation: keys that differ can be equal, and have one hash"
    if column.type not in KINDS:
        return _NO_KEYS.get(column.type, f"{column.name} is of type {column.type}, which cannot be a key")
    if column.type not in found.types:
        return f"{column.name} is of type {column.type}; method {method} takes {', '.join(found.types)}"
    return None


def key_type(column: catalog.Column) -> str:
    """The column's type as a Rule has it, with what its modifier says of the values that are stored."""
    if column.modifier < 0:
        return column.type
    if column.type in ("varchar", "bpchar"):
        return f"{column.type}({column.modifier - _VARHDRSZ})"
    if column.type == "numeric":
        packed = column.modifier - _VARHDRSZ
        scale = ((packed & 0x7FF) ^ 0x400) - 0x400  # eleven bits with a sign (numeric.c)
        return f"numeric({packed >> 16 & 0xFFFF},{scale})"
    return f"{column.type}({column.modifier})"


_VARHDRSZ = 4
