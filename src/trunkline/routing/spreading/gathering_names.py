"""Which tables and views a statement names, and where: each RangeVar that is no CTE's, with the SELECT that it is in.

The definitions of views are read like the statement itself. No recursion: a client chooses how deep its text is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.programs import definition
from trunkline.routing.sql import Node

_NO_CTES: Mapping[str, bool] = {}


@dataclass(slots=True)
class Named:
    """One RangeVar that names a relation. `block` is the SELECT in whose FROM it stands."""

    node: Node
    block: Node
    found: Found

    @property
    def alias(self) -> str:
        return str(self.node.get("alias", {}).get("aliasname") or self.found.name)

    @property
    def renames(self) -> bool:
        """Whether it gives new names to columns, by their place."""
        return bool(self.node.get("alias", {}).get("colnames"))


@dataclass(slots=True)
class Text:
    """The client's statement, or the definition of a view: its tree, and what it names."""

    sql: bytes
    tree: Node
    named: list[Named]
    view: Found | None = None

    @property
    def name(self) -> tuple[str, str] | None:
        return (self.view.schema, self.view.name) if self.view is not None else None


def is_view(found: Found) -> bool:
    return found.relation is not None and found.relation.kind == "v"


def texts_of(analysis: Analysis, sql: bytes, tree: Node) -> list[Text] | str:
    """The statement, and behind it each view that it reaches, each behind those that name it; else why not."""
    texts = [Text(sql, tree, list(_named(analysis, tree)))]
    views: dict[tuple[str, str], Text] = {}
    todo = list(texts)
    while todo:
        for one in todo.pop().named:
            found = one.found
            key = (found.schema, found.name)
            if not is_view(found) or key in views or analysis.is_system(found):
                continue
            text = found.relation.definition if found.relation is not None else None
            parsed = definition(text or "")
            if text is None or parsed is None or parsed[0] != "SelectStmt":
                return f"The definition of the view {found.full_name} is not understood."
            views[key] = Text(text.encode(), parsed[1], list(_named(analysis, parsed[1])), found)
            todo.append(views[key])
    return texts + _sorted(views)


def _sorted(views: Mapping[tuple[str, str], Text]) -> list[Text]:
    """Each behind those that name it."""
    found: list[Text] = []
    left = dict(views)
    while left:
        named = {(one.found.schema, one.found.name) for text in left.values() for one in text.named}
        first = [key for key in left if key not in named] or list(left)
        found += [left.pop(key) for key in first]
    return found


def _named(analysis: Analysis, tree: Node) -> Iterator[Named]:
    """In the order of the text."""
    for node, block, ctes in sorted(_range_vars(tree), key=lambda found: found[0].get("location", 0)):
        if "schemaname" in node or node["relname"] not in ctes:
            yield Named(node, block, analysis.find(node.get("schemaname"), node["relname"]))


def _range_vars(tree: Node) -> Iterator[tuple[Node, Node, Mapping[str, bool]]]:
    """Every RangeVar with the SELECT around it and the names of the CTEs that it sees."""
    todo: list[tuple[Any, Node, Mapping[str, bool]]] = [(tree, tree, _NO_CTES)]
    while todo:
        current, block, ctes = todo.pop()
        if isinstance(current, list):
            todo += [(one, block, ctes) for one in current]
            continue
        if not isinstance(current, dict):
            continue
        if is_select(current) or current is tree:
            block = current
            ctes = _behind_with(current, ctes, todo)
        for name, value in current.items():
            if name == "RangeVar":
                yield value, block, ctes
            elif name != "withClause" and isinstance(value, (dict, list)):
                todo.append((value, block, ctes))


def _behind_with(
    select: Node, ctes: Mapping[str, bool], todo: list[tuple[Any, Node, Mapping[str, bool]]]
) -> Mapping[str, bool]:
    """What a SELECT sees behind its WITH list; the queries of the list are put with what each of them sees."""
    clause = select.get("withClause")
    if clause is None:
        return ctes
    queries = [wrapped["CommonTableExpr"] for wrapped in clause.get("ctes", ())]
    after = {**ctes, **{query["ctename"]: True for query in queries}}
    before = dict(ctes)
    for query in queries:
        todo.append((query["ctequery"], select, after if clause.get("recursive") else dict(before)))
        before[query["ctename"]] = True
    return after


def is_select(node: Node) -> bool:
    """Whether these are the fields of a SelectStmt, which stand without their name where they are arms of another."""
    return "op" in node and "limitOption" in node
