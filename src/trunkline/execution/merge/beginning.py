"""From a Merge to its Merger for one call: whether its types are exact, which formats are asked for, how many rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.execution.merge.accumulators import maker
from trunkline.execution.merge.exact_types import INT2, INT4, INT8, kind_of
from trunkline.execution.merge.merger import Merger
from trunkline.routing.spreading.merge import FromParameter, Merge, Number

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
    if len(types) != merge.visible + merge.hidden:
        return False
    for key, oid in zip(merge.keys, types[merge.visible :], strict=False):
        if kind_of(oid, bytewise=key.bytewise) is None:
            return False
    return all(
        maker(one, types[one.column], [types[part] for part in one.parts], 0) is not None for one in merge.combines
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """One call: the text for the shards, the formats of its columns, and what merges the rows of so many of them."""

    sql: bytes
    formats: tuple[int, ...]
    merger: Merger


def begin(
    merge: Merge, types: Sequence[int], streams: int, result_formats: Sequence[int], parameters: Parameters
) -> Begun:
    """A merge of so many streams. `types` are exact; `result_formats` are as in Bind."""
    visible = list(result_formats) or [0]
    if len(visible) == 1:
        visible *= merge.visible
    if len(visible) != merge.visible:
        raise NotMerged("as many formats as columns")
    count, offset = parameters.number(merge.limits.count), parameters.number(merge.limits.offset)
    sql = merge.sql
    if (count is not None and count < 0) or (offset is not None and offset < 0):
        sql += _negative(count, offset)
        count = offset = None
    elif count is not None:
        count, offset = min(count, _MOST), min(offset or 0, _MOST)
        if merge.unique != 0:
            rows = b"FETCH FIRST %d ROWS WITH TIES" if merge.limits.ties else b"LIMIT %d"
            sql += b" " + rows % (count + offset)
    orders = []
    for key, oid in zip(merge.keys, types[merge.visible :], strict=False):
        kind = kind_of(oid, bytewise=key.bytewise)
        if kind is None:
            raise NotMerged("a type whose order is not known")
        orders.append((kind, key.descending, key.nulls_first))
    combines = []
    for one in merge.combines:
        make = maker(one, types[one.column], [types[part] for part in one.parts], visible[one.column])
        if make is None:
            raise NotMerged("an aggregate that would not be exact")
        combines.append((one.column, one.parts, make))
    merger = Merger(
        streams, merge.visible, merge.hidden, orders, merge.unique, combines, offset or 0, count, merge.limits.ties
    )
    return Begun(sql, (*visible, *(1,) * merge.hidden), merger)


def _negative(count: int | None, offset: int | None) -> bytes:
    """For PostgreSQL to refuse in its own words."""
    words = b"" if count is None else b" LIMIT %d" % count
    return words + (b"" if offset is None else b" OFFSET %d" % offset)
