"""The shape of a bound query: how its parts hang together, so that conditions reach the tables they hold for.

Two directions. `up`: what holds for every row that a part gives. `descend`: what may be assumed of the rows of a
part, because rows for which it does not hold make no difference to the result.

The rules of outer joins: the ON of a LEFT JOIN holds for the rows of the nullable side that matter, never for the
preserved side; what comes from above is assumed on the nullable side only where it fails for NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trunkline.routing.planning.conditions import Condition, Either, IsNull, Same, either, variables_of
from trunkline.routing.planning.deduction import Environment
from trunkline.routing.planning.facts import Use

Promise = tuple[frozenset[int], Sequence[Condition]]


class Part(Protocol):
    """A part of a bound query.

    `own` are variables that are NULL where an outer join has no row of it. `promises` are conditions that hold too
    where one of these variables is not NULL: a strict condition above makes an inner join of an outer one.
    """

    @property
    def up(self) -> Sequence[Condition]: ...

    @property
    def own(self) -> frozenset[int]: ...

    @property
    def promises(self) -> Sequence[Promise]: ...

    def descend(self, environment: Environment) -> None: ...


@dataclass(slots=True)
class Leaf:
    """An occurrence of a table whose rows lie by a key."""

    use: Use
    inside: Sequence[Part] = ()  # queries in policies
    up: Sequence[Condition] = ()
    promises: Sequence[Promise] = ()

    @property
    def own(self) -> frozenset[int]:
        return frozenset(self.use.key)

    def descend(self, environment: Environment) -> None:
        self.use.environments.append(environment)
        _descend(self.inside, environment)


@dataclass(slots=True)
class Join:
    """Two parts of FROM. `kind` is INNER, LEFT or FULL; a RIGHT JOIN is a LEFT JOIN turned round."""

    kind: str
    left: Part | None
    right: Part | None
    on: Sequence[Condition] = ()
    inside: Sequence[Part] = ()  # queries within ON
    up: Sequence[Condition] = field(init=False)
    own: frozenset[int] = field(init=False)
    promises: Sequence[Promise] = field(init=False)

    def __post_init__(self) -> None:
        left, right = _up(self.left), _up(self.right)
        self.own = _own(self.left) | _own(self.right)
        self.promises = (*_promises(self.left), *_promises(self.right))
        if self.kind == "INNER":
            self.up = settled((*left, *right, *self.on), self.promises)
        elif self.kind == "LEFT":
            self.up = left
            self.promises = (*self.promises, (_own(self.right), (*right, *self.on)))
        else:
            self.up = ()
            self.promises = ()

    def descend(self, environment: Environment) -> None:
        if self.kind == "INNER":  # what is above has taken up `on` already
            _descend((self.left, self.right), environment)
            _descend(self.inside, environment)
            return
        nullable = environment.strict()
        if self.kind == "LEFT":
            _descend((self.left,), environment)
            matched = settled((*_up(self.left), *_up(self.right), *self.on), self.promises)
            _descend((self.right,), nullable.plus(matched))
        else:
            _descend((self.left,), nullable.plus(_up(self.left)))
            _descend((self.right,), nullable.plus(_up(self.right)))
        _descend(self.inside, Environment())


@dataclass(slots=True)
class Block:
    """One SELECT: FROM, the conditions of WHERE, and the queries within its expressions."""

    sources: Sequence[Part]
    where: Sequence[Condition] = ()
    inside: Sequence[Part] = ()
    constants: Sequence[Condition] = ()  # outputs that are constants
    groups_all: bool = False  # it gives a row even where WHERE lets nothing through
    open: bool = True  # a condition on its output may be put on its input
    up: Sequence[Condition] = field(init=False)
    own: frozenset[int] = frozenset()
    promises: Sequence[Promise] = ()

    def __post_init__(self) -> None:
        self.up = (*self.constants,) if self.groups_all else (*self._known(()), *self.constants)

    def _known(self, above: Sequence[Condition]) -> Sequence[Condition]:
        below = [one for part in self.sources for one in part.up]
        promises = [one for part in self.sources for one in part.promises]
        return settled((*above, *below, *self.where), promises)

    def descend(self, environment: Environment) -> None:
        all_of_it = Environment(self._known(environment.conditions))
        _descend(self.sources, all_of_it)
        _descend(self.inside, all_of_it)


@dataclass(slots=True)
class Combination:
    """UNION, INTERSECT or EXCEPT of two queries; `links` say which outputs are those of the whole."""

    operator: str
    left: Derived
    right: Derived
    open: bool = True
    groups_all: bool = False
    up: Sequence[Condition] = field(init=False)
    own: frozenset[int] = frozenset()
    promises: Sequence[Promise] = ()

    def __post_init__(self) -> None:
        if self.operator == "UNION":
            self.up = either((self.left.up, self.right.up))
        elif self.operator == "INTERSECT":
            self.up = (*self.left.up, *self.right.up)
        else:
            self.up = self.left.up

    def descend(self, environment: Environment) -> None:
        _descend((self.left, self.right), environment)


@dataclass(slots=True)
class Derived:
    """A query as seen from outside: its outputs are variables of their own, linked to what they come from."""

    query: Block | Combination
    outputs: frozenset[int]
    links: Sequence[Condition]
    columns: Sequence[int | None] = ()  # the outputs by place
    up: Sequence[Condition] = field(init=False)
    promises: Sequence[Promise] = ()

    def __post_init__(self) -> None:
        self.up = (*self.query.up, *self.links)

    @property
    def own(self) -> frozenset[int]:
        return self.outputs

    def descend(self, environment: Environment) -> None:
        if self.query.open:
            self.query.descend(environment.plus(self.links))
        else:
            self.query.descend(environment.without(self.outputs))


@dataclass(slots=True)
class Reference:
    """A use of what was bound elsewhere and runs once: it gives rows, and nothing is assumed of them."""

    up: Sequence[Condition]
    own: frozenset[int] = frozenset()
    promises: Sequence[Promise] = ()

    def descend(self, environment: Environment) -> None:
        return


@dataclass(slots=True)
class Apart:
    """What runs by itself: nothing is assumed of its rows, whatever is done with what it gives."""

    part: Part
    up: Sequence[Condition] = ()
    own: frozenset[int] = frozenset()
    promises: Sequence[Promise] = ()

    def descend(self, environment: Environment) -> None:
        self.part.descend(Environment())


def linked(outer: int | None, inner: int | None) -> list[Condition]:
    return [Same(outer, inner, by_definition=True)] if outer is not None and inner is not None else []


def settled(conditions: Sequence[Condition], promises: Sequence[Promise]) -> Sequence[Condition]:
    """The conditions, and what is promised where their columns are not NULL; one promise may keep another."""
    known, left = list(conditions), list(promises)
    while left:
        mentioned = _not_null(known)
        kept = [promise for promise in left if promise[0] & mentioned]
        if not kept:
            break
        known += [one for _, promised in kept for one in promised]
        left = [promise for promise in left if promise not in kept]
    return known


def _not_null(conditions: Sequence[Condition]) -> set[int]:
    """Variables that cannot be NULL where the conditions hold."""
    found: set[int] = set()
    definitions = []
    for condition in conditions:
        if isinstance(condition, Same) and condition.by_definition:
            definitions.append((condition.left, condition.right))
        elif not isinstance(condition, IsNull | Either):
            found |= variables_of(condition)
    grows = True
    while grows:
        grows = False
        for left, right in definitions:
            if (left in found) != (right in found):
                found |= {left, right}
                grows = True
    return found


def _own(part: Part | None) -> frozenset[int]:
    return part.own if part is not None else frozenset()


def _promises(part: Part | None) -> Sequence[Promise]:
    return part.promises if part is not None else ()


def _up(part: Part | None) -> Sequence[Condition]:
    return part.up if part is not None else ()


def _descend(parts: Sequence[Part | None], environment: Environment) -> None:
    for part in parts:
        if part is not None:
            part.descend(environment)
