"""Which columns of the tables that a statement names it may need: in doubt one more.

By names, not by resolving them: a column is needed if its name is said anywhere in the text. So each name means in the
gathered tables what it means in the whole ones: whatever has a column of that name there has it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.routing.spreading.gathering_names import Named, Text, is_select
from trunkline.routing.sql import Node, walk


@dataclass(slots=True)
class _Said:
    """What a text says of columns."""

    bare: set[str] = field(default_factory=set)  # names that may be any table's: columns, aliases, tables
    qualified: dict[str, set[str]] = field(default_factory=dict)
    stars: set[str] = field(default_factory=set)  # aliases before a star
    joins: set[str] = field(default_factory=set)  # aliases of joins
    everything: bool = False  # NATURAL, or a join that gives its columns new names


def columns_of(text: Text) -> list[tuple[Named, frozenset[str] | None]]:
    """For each table and view that a text names the columns that it may need; None: all of them."""
    said = _said(text.tree)
    starred = _blocks_with_a_star(text.tree)
    return [(one, _needed(one, said, id(one.block) in starred)) for one in text.named]


def _said(tree: Node) -> _Said:
    said = _Said()
    for name, value in walk(tree):
        if name == "ColumnRef":
            _note(said, value["fields"])
        elif name == "JoinExpr":
            alias = value.get("alias", {})
            said.everything |= bool(value.get("isNatural")) or bool(alias.get("colnames"))
            said.bare.update(one["String"].get("sval", "") for one in value.get("usingClause", ()))
            if "aliasname" in alias:
                said.joins.add(alias["aliasname"])
    return said


def _note(said: _Said, fields: list[Node]) -> None:
    names = [part["String"].get("sval", "") for part in fields if "String" in part]
    if len(names) < len(fields):
        said.stars.update(names[-1:])
    elif len(names) == 1:
        said.bare.add(names[0])
    else:
        said.qualified.setdefault(names[-2], set()).add(names[-1])


def _needed(one: Named, said: _Said, star: bool) -> frozenset[str] | None:
    alias = one.alias
    if star or said.everything or one.renames or alias in said.stars or alias in said.bare or said.stars & said.joins:
        return None
    names = said.bare | said.qualified.get(alias, set())
    for join in said.joins:
        names |= said.qualified.get(join, set())
    if said.joins & said.bare:
        return None
    return frozenset(names)


def _blocks_with_a_star(tree: Node) -> set[int]:
    """The SELECTs (by identity) whose target list has a bare star, and the writes whose RETURNING has one."""
    found = set()
    todo: list[object] = [tree]
    while todo:
        current = todo.pop()
        if isinstance(current, dict):
            given = current.get("targetList", ()) if is_select(current) else ()
            given = given or current.get("returningClause", {}).get("exprs", ())
            if any(_is_star(target) for target in given):
                found.add(id(current))
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)
    return found


def _is_star(target: Node) -> bool:
    fields = target.get("ResTarget", {}).get("val", {}).get("ColumnRef", {}).get("fields", ())
    return len(fields) == 1 and "A_Star" in fields[0]
