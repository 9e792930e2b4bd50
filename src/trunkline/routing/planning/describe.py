"""Conditions on keys in words of SQL, for EXPLAIN (ROUTE), reasons and tests: `customer_id = 5`.

A plan is kept for all statements that differ in their literals only, so its own words must not have any: with no text
given, a literal is `?`. With the text that the plan was made of, it is what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import (
    All,
    AnyOf,
    Between,
    Constant,
    Equals,
    Fixed,
    In,
    InArray,
    Parameter,
    Source,
    Where,
)
from trunkline.routing.sql import token_at

_SHOWN = 5  # values of a list


def describe(where: Where, columns: Sequence[str], text: bytes | None, sharding: Sharding) -> str:
    """One line for one table occurrence."""
    key = columns[0] if len(columns) == 1 else f"({', '.join(columns)})"
    if isinstance(where, Fixed):
        return _mask(where.mask, sharding)
    if isinstance(where, Equals):
        return f"{key} = {_row(where.sources, text)}"
    if isinstance(where, In):
        shown = [_row(row, text) for row in where.rows[:_SHOWN]]
        return f"{key} in ({', '.join(shown + ['...'] * (len(where.rows) > _SHOWN))})"
    if isinstance(where, InArray):
        return f"{key} = any({_source(where.array, text)})"
    if isinstance(where, Between):
        return _between(where, key, text)
    parts = [describe(part, columns, text, sharding) for part in where.parts]
    if isinstance(where, All):
        return " and ".join(parts)
    return f"({' or '.join(parts)})"


def _between(where: Between, key: str, text: bytes | None) -> str:
    if where.low is not None and where.high is not None:
        return f"{key} between {_source(where.low, text)} and {_source(where.high, text)}"
    if where.low is not None:
        return f"{key} >= {_source(where.low, text)}"
    return f"{key} <= {_source(where.high, text)}" if where.high is not None else key


def _mask(mask: int, sharding: Sharding) -> str:
    if mask == 0:
        return "no shard"
    return "every shard" if mask == sharding.every else f"on {', '.join(sharding.names_of(mask))}"


def _row(sources: Sequence[Source], text: bytes | None) -> str:
    shown = [_source(source, text) for source in sources]
    return shown[0] if len(shown) == 1 else f"({', '.join(shown)})"


def _source(source: Source, text: bytes | None) -> str:
    if isinstance(source, Parameter):
        return f"${source.number}"
    if isinstance(source, Constant):
        return "NULL" if source.text is None else source.text
    return token_at(text, source) if text is not None else "?"


def is_single(where: Where) -> bool:
    """Whether it is one shard at most, whatever the values are."""
    if isinstance(where, Equals):
        return where.nowhere & (where.nowhere - 1) == 0
    if isinstance(where, Fixed):
        return where.mask & (where.mask - 1) == 0
    if isinstance(where, All):
        return any(is_single(part) for part in where.parts)
    return isinstance(where, AnyOf) and False
