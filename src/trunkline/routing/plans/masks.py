"""Which shards a call concerns: the `where` of its plan, with the values of its literals and parameters in it.

A comparison with NULL is true of no row, so no shard has one. What `Values` and the shard functions raise goes on to
the caller: a key that nobody can tell must not pass for one that is nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import and_, or_
from typing import Any

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, ShardFunction, Value
from trunkline.routing.plans.plan import (
    All,
    AnyOf,
    Between,
    Equals,
    Fixed,
    In,
    InArray,
    Parameter,
    Source,
    Values,
    Where,
)


def mask_of(where: Where, values: Values) -> int:
    return _RULES[type(where)](where, values)


def _of_row(function: ShardFunction, sources: tuple[Source, ...], values: Values) -> int:
    key = tuple(values.value(source, type) for source, type in zip(sources, function.types, strict=True))
    return 0 if None in key else function.shards_of(key)


def _equals(where: Equals, values: Values) -> int:
    return _of_row(where.function, where.sources, values)


def _in(where: In, values: Values) -> int:
    _check_one_type(where, values)
    return _united(_of_row(where.function, row, values) for row in where.rows)


def _check_one_type(where: In, values: Values) -> None:
    """PostgreSQL gives all elements of a list one type (parse_expr.c, transformAExprIn), undeclared parameters too.

    KeyUnknown where that need not be the column's: what such a parameter's bytes mean is for PostgreSQL to say.
    """
    elements = [source for row in where.rows for source in row]
    open_ones = [source for source in elements if isinstance(source, Parameter) and _is_open(source, values)]
    if len(where.rows) > 1 and open_ones and len(open_ones) < len(elements):
        raise KeyUnknown("a list with parameters of which only some have a type")


def _is_open(source: Parameter, values: Values) -> bool:
    return not source.type and not values.declared(source.number)


def _in_array(where: InArray, values: Values) -> int:
    elements = values.elements(where.array, where.function.types[0])
    return _united(where.function.shards_of((element,)) for element in elements if element is not None)


def _between(where: Between, values: Values) -> int:
    bounds: list[Value | None] = []
    for source in (where.low, where.high):
        bound = None if source is None else values.value(source, where.function.types[0])
        if source is not None and bound is None:
            return 0
        bounds.append(bound)
    return where.function.shards_between(*bounds)


def _all(where: All, values: Values) -> int:
    return reduce(and_, [mask_of(part, values) for part in where.parts])


def _any(where: AnyOf, values: Values) -> int:
    """A value that PostgreSQL refuses fails its statement anywhere; what the text says before that is done by then."""
    found, refused = 0, None
    for part in where.parts:
        try:
            found |= mask_of(part, values)
        except NotCoercible as reason:
            refused = reason
    if refused is not None and not found:
        raise refused
    return found


def _fixed(where: Fixed, values: Values) -> int:
    return where.mask


def _united(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)


_RULES: dict[type, Callable[[Any, Values], int]] = {
    Equals: _equals,
    In: _in,
    InArray: _in_array,
    Between: _between,
    All: _all,
    AnyOf: _any,
    Fixed: _fixed,
}
