"""From a Merge to its Merger for one call: whether its types are exact, which formats are asked for, how many rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trunkline.execution.merge.accumulators import Accumulator, maker
from trunkline.execution.merge.exact_types import INT2, INT4, INT8, kind_of
from trunkline.execution.merge.finishing import COMPARED, Finisher
from trunkline.execution.merge.merger import Merger
from trunkline.routing.spreading.merge import Combine, FromParameter, Merge, Number, SortKey

_INTEGER = re.compile(rb"\s*[+-]?[0-9]{1,18}\s*")
_MOST = 2**62  # rows: nobody has as many


class NotMerged(Exception):
    """This call has to be answered in another way."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of one call."""

    types: Sequence[int] = ()
    formats: Sequence[int] = ()
    values: Sequence[bytes | None] = ()

    def number(self, number: Number) -> int | None:
        """A limit; NotMerged if only PostgreSQL can read it."""
        if not isinstance(number, FromParameter):
            return number
        place = number.number - 1
        if not 0 <= place < len(self.values):
            raise NotMerged("a parameter that has no value")
        value, type = self.values[place], self.types[place] if place < len(self.types) else 0
        if value is None:
            return None
        if type not in (0, INT2, INT4, INT8):
            raise NotMerged("a limit that is no whole number")
        if self.formats[place] if place < len(self.formats) else 0:
            if len(value) not in (2, 4, 8):
                raise NotMerged("a limit that is no whole number")
            return int.from_bytes(value, "big", signed=True)
        if _INTEGER.fullmatch(value) is None:
            raise NotMerged("a limit that is no whole number")
        return int(value)


def is_exact(merge: Merge, types: Sequence[int]) -> bool:
    """Whether a shard's columns are of types for which the merge is right."""
    if len(types) != merge.made + merge.hidden:
        return False
    ordered = [*zip(merge.keys, types[merge.made :], strict=False)]
    ordered += zip(merge.final_order, types[merge.visible :], strict=False)
    if any(kind_of(oid, bytewise=key.bytewise) is None for key, oid in ordered):
        return False
    if any(types[merge.visible + one.column] not in COMPARED for one in merge.having):
        return False
    return all(
        maker(one, types[one.column], [types[part] for part in one.parts], 0) is not None for one in merge.combines
    )


class Merging(Protocol):
    """A Merger, or what stands before one."""

    @property
    def done(self) -> bool: ...
    @property
    def rows(self) -> int: ...
    def feed(self, stream: int, rows: bytes) -> None: ...
    def end(self, stream: int) -> None: ...
    def lacks(self, stream: int) -> bool: ...
    def wants(self, stream: int) -> bool: ...
    def take(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """One call: the text for the shards, the formats of its columns, and what merges the rows of so many of them."""

    sql: bytes
    formats: tuple[int, ...]
    merger: Merging


def begin(
    merge: Merge,
    types: Sequence[int],
    streams: int,
    result_formats: Sequence[int],
    parameters: Parameters,
    take: Callable[[int], None] = lambda count: None,
) -> Begun:
    """A merge of so many streams. `types` are exact; `result_formats` are as in Bind; `take` hears of bytes kept."""
    formats = formats_of(merge, result_formats)
    count, offset = parameters.number(merge.limits.count), parameters.number(merge.limits.offset)
    sql, finishes = merge.sql, bool(merge.final_order or merge.having)
    if (count is not None and count < 0) or (offset is not None and offset < 0):
        sql += negative(count, offset)
        count = offset = None
    elif count == 0:  # nobody computes anything, so nothing fails
        sql += b" LIMIT 0"
    elif count is not None:
        count, offset = min(count, _MOST), min(offset or 0, _MOST)
        if merge.unique != 0 and not finishes:
            rows = b"FETCH FIRST %d ROWS WITH TIES" if merge.limits.ties else b"LIMIT %d"
            sql += b" " + rows % (count + offset)
    orders = orders_of(merge.keys, types[merge.made :])
    combines = [(one.column, one.parts, _maker(one, types, formats)) for one in merge.combines]
    limits = (0, None, False) if finishes else (offset or 0, count, merge.limits.ties)
    merger = Merger(streams, merge.made, merge.hidden, orders, merge.unique, combines, *limits)
    if not finishes:
        return Begun(sql, formats, merger)
    computed = types[merge.visible : merge.made]
    last = Finisher(merger, merge.visible, orders_of(merge.final_order, computed), offset or 0, count, take)
    last.having = [(merge.visible + one.column, computed[one.column], one) for one in merge.having]
    return Begun(sql, formats, last)


def formats_of(merge: Merge, result_formats: Sequence[int]) -> tuple[int, ...]:
    """The formats of a shard's columns; NotMerged if those of the client's are not as many as these."""
    visible = list(result_formats) or [0]
    if len(visible) == 1:
        visible *= merge.visible
    if len(visible) != merge.visible:
        raise NotMerged("as many formats as columns")
    return (*visible, *(1,) * (merge.computed + merge.hidden))


def orders_of(keys: Sequence[SortKey], types: Sequence[int]) -> list[tuple[int, bool, bool]]:
    """How keys of these types are compared: as `sort_key` takes it."""
    orders = []
    for key, oid in zip(keys, types, strict=False):
        kind = kind_of(oid, bytewise=key.bytewise)
        if kind is None:
            raise NotMerged("a type whose order is not known")
        orders.append((kind, key.descending, key.nulls_first))
    return orders


def _maker(one: Combine, types: Sequence[int], formats: Sequence[int]) -> Callable[[], Accumulator]:
    make = maker(one, types[one.column], [types[part] for part in one.parts], formats[one.column])
    if make is None:
        raise NotMerged("an aggregate that would not be exact")
    return make


def negative(count: int | None, offset: int | None) -> bytes:
    """For PostgreSQL to refuse in its own words."""
    words = b"" if count is None else b" LIMIT %d" % count
    return words + (b"" if offset is None else b" OFFSET %d" % offset)
