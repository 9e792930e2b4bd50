"""Conditions: what is known to hold of the rows that a statement concerns, read from WHERE, ON and the like.

A condition speaks of variables: columns of table occurrences and of subqueries, as numbers. What is not understood is
left out, so a list of conditions says too little at worst; it must never say too much. Of all kinds but IsNull the
truth implies that the columns it speaks of are not NULL ("strict"), for a definition that neither is or both are; outer
joins depend on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trunkline.routing.plans.plan import Source


@dataclass(frozen=True, slots=True)
class Same:
    """Two columns are equal; or one is by definition the other, as an output is, and then both may be NULL."""

    left: int
    right: int
    by_definition: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """The columns, together, have the values of one of these rows: by definition, NULL too; else they equal them."""

    variables: tuple[int, ...]
    rows: tuple[tuple[Source, ...], ...]
    by_definition: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """The column is equal to an element of an array."""

    variable: int
    array: Source


@dataclass(frozen=True, slots=True)
class Within:
    """The column lies between, both included; None is no bound."""

    variable: int
    low: Source | None
    high: Source | None


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column is NULL."""

    variable: int


@dataclass(frozen=True, slots=True)
class Either:
    """All conditions of one of the branches hold."""

    branches: tuple[tuple[Condition, ...], ...]


Condition = Same | Member | Element | Within | IsNull | Either


def variables_of(condition: Condition) -> frozenset[int]:
    """The variables that a condition speaks of."""
    if isinstance(condition, Same):
        return frozenset((condition.left, condition.right))
    if isinstance(condition, Member):
        return frozenset(condition.variables)
    if isinstance(condition, Either):
        return frozenset().union(*(variables_of(one) for branch in condition.branches for one in branch))
    return frozenset((condition.variable,))


def strict(conditions: Iterable[Condition]) -> list[Condition]:
    """Those that fail when a column is NULL. A branch of Either loses what is not, and so says less."""
    kept: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, Either):
            kept.append(Either(tuple(tuple(strict(branch)) for branch in condition.branches)))
        elif not isinstance(condition, IsNull):
            kept.append(condition)
    return kept


def either(branches: Iterable[Iterable[Condition]]) -> list[Condition]:
    """One of the branches holds: nothing if one of them says nothing; one list if all are lists about one column."""
    found = tuple(tuple(branch) for branch in branches)
    if not all(found) or not found:
        return []
    first = found[0][0]
    if isinstance(first, Member) and all(_is_member_of(branch, first.variables) for branch in found):
        return [Member(first.variables, tuple(row for branch in found for row in _rows(branch)))]
    return [Either(found)] if len(found) <= MAX_BRANCHES else []


MAX_BRANCHES = 100  # of an OR that is looked into


def _is_member_of(branch: tuple[Condition, ...], variables: tuple[int, ...]) -> bool:
    return len(branch) == 1 and isinstance(branch[0], Member) and branch[0].variables == variables


def _rows(branch: tuple[Condition, ...]) -> tuple[tuple[Source, ...], ...]:
    return branch[0].rows if isinstance(branch[0], Member) else ()


Resolve = Callable[[str, dict[str, object]], "int | None"]
