"""Pieces: when each shard, asked by itself, gives its part of the one answer, and the parts are disjoint.

A part of FROM is spread (its rows are parted over the shards) or everywhere (each shard has all of it). Of a spread
one, `keys` are columns that say where a row is: where they are not NULL, the row is on the shard of their value. Two
spread parts can be joined on each shard by itself only where the join makes such columns equal: then rows that belong
together are together. In an outer join the ON alone has to say so, and nothing that is everywhere may be preserved
beside what is spread: each shard would have its rows without a match.

Whatever is not proved is Unsure; a wrong piece would be a wrong answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trunkline.routing.planning.conditions import Condition, Same, variables_of
from trunkline.routing.planning.deduction import Knowledge
from trunkline.routing.spreading.unsure import Unsure


@dataclass(frozen=True, slots=True)
class Key:
    """Columns that together are a key of a group of tables. `firm`: rows where they are NULL are on one shard too."""

    group: str
    columns: tuple[int, ...]
    firm: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What is known of the rows of a part: `known` are equalities that hold for each of them."""

    spread: bool
    keys: tuple[Key, ...] = ()
    known: tuple[Condition, ...] = ()


EVERYWHERE = Piece(spread=False)


@dataclass(frozen=True, slots=True)
class Inner:
    """Parts that are joined, and what holds for the rows that remain."""

    parts: tuple[Tree, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    """`kind` is LEFT or FULL; a RIGHT JOIN is a LEFT JOIN turned round."""

    kind: str
    left: Tree
    right: Tree
    conditions: tuple[Condition, ...]


Tree = Piece | Inner | Outer


def equalities(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Those that say that two columns are equal, and neither is NULL."""
    return tuple(one for one in conditions if isinstance(one, Same) and not one.by_definition)


def settle(tree: Tree, above: tuple[Condition, ...] = ()) -> Piece:
    """What a tree is as a whole. Rows for which `above` does not hold make no difference."""
    if isinstance(tree, Piece):
        return tree
    if isinstance(tree, Inner):
        parts, conditions = _flat(tree)
        conditions = (*conditions, *above)
        return _joined([settle(part, conditions) for part in parts], conditions)
    left = settle(tree.left, above if tree.kind == "LEFT" else ())
    right = settle(tree.right, tree.conditions)
    if not right.spread and (tree.kind == "LEFT" or not left.spread):
        return left
    if not (left.spread and right.spread):
        raise Unsure("an outer join preserves rows that every shard has, beside rows that are spread")
    _joined([left, right], tree.conditions)
    kept = left.keys if tree.kind == "LEFT" else _loose(left.keys)
    return Piece(True, (*kept, *_loose(right.keys)), left.known if tree.kind == "LEFT" else ())


def _loose(keys: Iterable[Key]) -> tuple[Key, ...]:
    """Keys of rows in whose place an outer join may put NULLs."""
    return tuple(replace(key, firm=False) for key in keys)


def _flat(tree: Inner) -> tuple[list[Piece | Outer], tuple[Condition, ...]]:
    parts: list[Piece | Outer] = []
    conditions = tree.conditions
    for part in tree.parts:
        if isinstance(part, Inner):
            inner, more = _flat(part)
            parts += inner
            conditions += more
        else:
            parts.append(part)
    return parts, conditions


def _joined(parts: Sequence[Piece], conditions: tuple[Condition, ...]) -> Piece:
    known = (*conditions, *(one for part in parts for one in part.known))
    spread = [part for part in parts if part.spread]
    if not spread:
        return Piece(False, (), known)
    knowledge = Knowledge(known)
    keys, left = list(spread[0].keys), spread[1:]
    while left:
        linked = next((part for part in left if _linked(keys, part.keys, knowledge)), None)
        if linked is None:
            raise Unsure("rows that are joined may be on different shards")
        keys += linked.keys
        left.remove(linked)
    return Piece(True, tuple(keys), known)


def _linked(one: Iterable[Key], other: Iterable[Key], knowledge: Knowledge) -> bool:
    theirs = {(key.group, tuple(map(knowledge.root, key.columns))) for key in other}
    return any((key.group, tuple(map(knowledge.root, key.columns))) in theirs for key in one)


def contains_key(piece: Piece, columns: Iterable[int | None]) -> bool:
    """Whether rows that agree in these columns, be it in NULL, are on one shard."""
    knowledge = Knowledge(piece.known)
    roots = {knowledge.root(one) for one in columns if one is not None}
    filled = {one for condition in piece.known for one in variables_of(condition)}
    return any(
        all(knowledge.root(one) in roots and (key.firm or one in filled) for one in key.columns) for key in piece.keys
    )
