"""From conditions to shards: what a set of conditions that hold together says of the key of one table occurrence.

Columns that are equal form classes; what is known of one column of a class is known of all. An OR is followed branch
by branch, each with all that holds besides, but never two ORs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from trunkline.routing.keys.sharding import ShardFunction
from trunkline.routing.planning.conditions import (
    Condition,
    Either,
    Element,
    IsNull,
    Member,
    Same,
    Within,
    strict,
    variables_of,
)
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


@dataclass(frozen=True, slots=True)
class Sought:
    """The key of a table. `doubtful` are parameters whose types are not certain; `nowhere` is as of `In`."""

    key: tuple[int, ...]
    function: ShardFunction
    doubtful: frozenset[int] = frozenset()
    nowhere: int = 0

    def of_rows(self, rows: tuple[tuple[Source, ...], ...], *, by_definition: bool) -> Where:
        return of_rows(self.function, rows, self.nowhere if by_definition else 0)


MAX_DEPTH = 3  # of OR within OR
MAX_ROWS = 1000  # that are made of lists for the single columns of a key

_UNORDERED = frozenset(("hash", "modulo", "md5", "sha256", "lookup"))


class Environment:
    """Conditions that hold together, and what follows from them, found when it is asked for."""

    __slots__ = ("_knowledge", "conditions")

    def __init__(self, conditions: Iterable[Condition] = ()) -> None:
        self.conditions = tuple(conditions)
        self._knowledge: Knowledge | None = None

    def plus(self, more: Sequence[Condition]) -> Environment:
        return Environment((*self.conditions, *more)) if more else self

    def strict(self) -> Environment:
        return Environment(strict(self.conditions))

    def without(self, variables: frozenset[int]) -> Environment:
        return Environment(one for one in self.conditions if not variables_of(one) & variables)

    def knowledge(self) -> Knowledge:
        if self._knowledge is None:
            self._knowledge = Knowledge(self.conditions)
        return self._knowledge


class Knowledge:
    """Classes of equal columns, and what is known of each."""

    __slots__ = ("_alternatives", "_base", "_elements", "_members", "_nulls", "_parents", "_within")

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._base = conditions
        self._parents: dict[int, int] = {}
        self._members: list[Member] = []
        self._elements: list[Element] = []
        self._within: list[Within] = []
        self._nulls: list[IsNull] = []
        self._alternatives: list[Either] = []
        for condition in conditions:
            self._learn(condition)

    def _learn(self, condition: Condition) -> None:
        if isinstance(condition, Same):
            left, right = self.root(condition.left), self.root(condition.right)
            if left != right:
                self._parents[left] = right
        elif isinstance(condition, Member):
            self._members.append(condition)
        elif isinstance(condition, Either):
            self._alternatives.append(condition)
        elif isinstance(condition, Element):
            self._elements.append(condition)
        elif isinstance(condition, Within):
            self._within.append(condition)
        else:
            self._nulls.append(condition)

    def root(self, variable: int) -> int:
        parents = self._parents
        while (parent := parents.get(variable)) is not None:
            variable = parent
        return variable

    def where(self, sought: Sought, depth: int = MAX_DEPTH) -> Where | None:
        """What is known of a key; None if nothing."""
        roots = tuple(map(self.root, sought.key))
        parts = self._whole(roots, sought)
        if len(roots) == 1:
            parts += self._single(roots[0], sought)
        elif not parts:
            parts += self._combined(roots, sought)
        if depth and not any(isinstance(part, Equals) for part in parts):
            for alternative in self._alternatives:
                parts += self._of_either(alternative, sought, depth)
        return united_parts(parts)

    def _whole(self, roots: tuple[int, ...], sought: Sought) -> list[Where]:
        """Lists that have all columns of the key."""
        parts: list[Where] = []
        for member in self._members:
            places = [self.root(variable) for variable in member.variables]
            if any(root not in places for root in roots):
                continue
            order = [places.index(root) for root in roots]
            rows = tuple(tuple(row[place] for place in order) for row in member.rows)
            if not any(_is_doubtful(source, sought.doubtful) for row in rows for source in row):
                parts.append(sought.of_rows(rows, by_definition=member.by_definition))
        return parts

    def _single(self, root: int, sought: Sought) -> list[Where]:
        function, doubtful = sought.function, sought.doubtful
        parts: list[Where] = [
            InArray(function, one.array)
            for one in self._elements
            if self.root(one.variable) == root and not _is_doubtful(one.array, doubtful)
        ]
        if function.name not in _UNORDERED:
            parts += [
                Between(function, one.low, one.high)
                for one in self._within
                if self.root(one.variable) == root
                and not _is_doubtful(one.low, doubtful)
                and not _is_doubtful(one.high, doubtful)
            ]
        if any(self.root(one.variable) == root for one in self._nulls):
            parts.append(of_null(function))
        return parts

    def _combined(self, roots: tuple[int, ...], sought: Sought) -> list[Where]:
        """A key of several columns, each of which has a list of its own."""
        lists: list[list[Source]] = []
        for root in roots:
            known = self._values(root, sought.doubtful)
            if known is None:
                return []
            lists.append(known)
        size = 1
        for one in lists:
            size *= len(one)
        by_definition = any(member.by_definition for member in self._members)
        return [sought.of_rows(tuple(product(*lists)), by_definition=by_definition)] if size <= MAX_ROWS else []

    def _values(self, root: int, doubtful: frozenset[int]) -> list[Source] | None:
        """The shortest list of values that a column is known to have."""
        found: list[list[Source]] = []
        for member in self._members:
            for place, variable in enumerate(member.variables):
                if self.root(variable) == root:
                    found.append([row[place] for row in member.rows])
        usable = [one for one in found if not any(_is_doubtful(source, doubtful) for source in one)]
        return min(usable, key=len, default=None)

    def _of_either(self, alternative: Either, sought: Sought, depth: int) -> list[Where]:
        base = [condition for condition in self._base if not isinstance(condition, Either)]
        found: list[Where] = []
        for branch in alternative.branches:
            where = Knowledge([*base, *branch]).where(sought, depth - 1)
            if where is None:
                return []
            found.append(where)
        return [any_of(found)]


def _is_doubtful(source: Source | None, doubtful: frozenset[int]) -> bool:
    return isinstance(source, Parameter) and source.number in doubtful


def united_parts(parts: Sequence[Where]) -> Where | None:
    """All of the parts, each once."""
    distinct = tuple(dict.fromkeys(parts))
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else All(distinct)


def any_of(parts: Iterable[Where]) -> Where:
    """One of the parts, each once; all fixed ones as one."""
    distinct: dict[Where, int] = {}  # and where new ones among its rows are put without a key
    mask = 0
    for part in parts:
        for one in part.parts if isinstance(part, AnyOf) else (part,):
            if isinstance(one, Fixed):
                mask |= one.mask
            elif isinstance(one, Equals | In) and one.nowhere:
                bare = replace(one, nowhere=0)
                distinct[bare] = distinct.get(bare, 0) | one.nowhere
            else:
                distinct.setdefault(one, 0)
    found = [_putting(part, nowhere) for part, nowhere in distinct.items()]
    if mask or not found:
        found.append(Fixed(mask))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _putting(part: Where, nowhere: int) -> Where:
    return replace(part, nowhere=nowhere) if nowhere and isinstance(part, Equals | In) else part


def of_rows(function: ShardFunction, rows: tuple[tuple[Source, ...], ...], nowhere: int = 0) -> Where:
    """`=` or IN, of which a row with NULL is equal to nothing; or new rows, of which such a one is put `nowhere`."""
    real = tuple(dict.fromkeys(row for row in rows if not any(_is_null(source) for source in row)))
    parts: list[Where] = [Fixed(nowhere)] if nowhere and len(real) < len(set(rows)) else []
    if not any(isinstance(source, Parameter) for row in real for source in row):
        nowhere = 0  # none of these is NULL
    if real:
        parts.append(Equals(function, real[0], nowhere) if len(real) == 1 else In(function, real, nowhere))
    return any_of(parts)


def _is_null(source: Source) -> bool:
    return isinstance(source, Constant) and source.text is None


def of_null(function: ShardFunction) -> Where:
    """Where the rows are whose key is NULL; where the rule has no place for them, others may have put them anywhere."""
    return Fixed(place_of_null(function) or function.every)


def place_of_null(function: ShardFunction) -> int:
    """The mask of the shard for a row whose key is NULL; 0: there is none."""
    try:
        return function.shards_of((None,))
    except Exception:  # the operator's map says nothing of it
        return function.every
