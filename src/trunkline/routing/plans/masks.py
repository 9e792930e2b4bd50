"""Which shards a call concerns: the `where` of its plan, with the values of its literals and parameters in it.

A comparison with NULL is true of no row, so no shard has one; but a new row with NULL in its key is put somewhere. What
`Values` and the shard functions raise goes on to the caller: a key that nobody can tell must not pass for one that is
nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import and_, or_
from typing import Any

from trunkline.routing.keys.arrays import TYPE_OIDS
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.plans.plan import (
    All,
    AnyOf,
    Between,
    Equals,
    Fixed,
    In,
    InArray,
    Literal,
    Parameter,
    Source,
    Values,
    Where,
)


def mask_of(where: Where, values: Values) -> int:
    return _RULES[type(where)](where, values)


def _of_row(where: Equals | In, sources: tuple[Source, ...], values: Values) -> int:
    function = where.function
    key = tuple(values.value(source, type) for source, type in zip(sources, function.types, strict=True))
    return where.nowhere if None in key else function.shards_of(key)


def _equals(where: Equals, values: Values) -> int:
    return _of_row(where, where.sources, values)


def _in(where: In, values: Values) -> int:
    _check_one_type(where, values)
    return _united(_of_row(where, row, values) for row in where.rows)


def _check_one_type(where: In, values: Values) -> None:
    """PostgreSQL gives all elements of a list one type, undeclared parameters too (select_common_type).

    KeyUnknown where that need not be the column's: what such a parameter's bytes mean is for PostgreSQL to say.
    """
    for place, type in enumerate(where.function.types):
        sources = [row[place] for row in where.rows]
        open_ones = [one for one in sources if isinstance(one, Parameter) and _is_open(one, values)]
        if open_ones:
            assumed = _plain(open_ones[0].type or type)
            if not all(one in open_ones or _is_of(one, assumed, values) for one in sources):
                raise KeyUnknown("a list of values of different types, with parameters that have none")


def _is_open(source: Parameter, values: Values) -> bool:
    return (not source.type or source.inferred) and not values.declared(source.number)


def _is_of(source: Source, assumed: str, values: Values) -> bool:
    """Whether beside this element one without a type is certain to get the one that was assumed for it."""
    if isinstance(source, Literal) and not source.type:  # a number has a type, a string has none
        return assumed not in _NUMBERS or (assumed == "int4" and values.value(source, assumed) is not None)
    if isinstance(source, Parameter) and (not source.type or source.inferred):
        return _plain(TYPE_OIDS.get(values.declared(source.number), "")) == assumed
    return _plain(source.type) == assumed


def _plain(type: str) -> str:
    """Without a modifier; varchar is text, for there are no operators of its own."""
    base = type.partition("(")[0]
    return "text" if base == "varchar" else base


_NUMBERS = frozenset(("int2", "int4", "int8", "numeric", "float4", "float8"))


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
