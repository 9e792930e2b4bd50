"""ORDER BY, GROUP BY and DISTINCT as keys of a merge: which expression, in which direction, and of which collation."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.routing.schema.catalog import Catalog, Column
from trunkline.routing.spreading.blocks import Binder
from trunkline.routing.spreading.bound import Bound, Output
from trunkline.routing.spreading.clauses import Clauses, expression_of_sort, expression_of_target
from trunkline.routing.spreading.merge import SortKey
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only

BYTEWISE = frozenset(("C", "POSIX", "ucs_basic"))
_TEXTS = frozenset(("bpchar", "text", "varchar"))


@dataclass(frozen=True, slots=True)
class Asked:
    """An expression that becomes a hidden column: its text, and the tree that PostgreSQL has to see in it."""

    text: bytes
    node: Node


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A hidden column with its order."""

    asked: Asked
    key: SortKey


def quoted(name: str) -> bytes:
    return b'"%s"' % name.replace('"', '""').encode()


def of_output(clauses: Clauses, bound: Bound, output: Output) -> Asked:
    """The expression of an output, to be asked for once more."""
    if output.star is not None:
        names = [name for name in output.star if name]
        fields = [{"String": {"sval": name}} for name in names]
        return Asked(b".".join(map(quoted, names)), {"ColumnRef": {"fields": fields}})
    target = bound.node["targetList"][output.text]["ResTarget"]
    return Asked(expression_of_target(clauses.targets[output.text], target), target["val"])


def order_of(clauses: Clauses, bound: Bound, binder: Binder) -> list[KeyColumn]:
    """The elements of ORDER BY, found as PostgreSQL finds them."""
    sorts = [wrapped["SortBy"] for wrapped in bound.node.get("sortClause", ())]
    if len(sorts) != len(clauses.order):
        raise Unsure("the text of ORDER BY is not understood")
    found = []
    for text, sort in zip(clauses.order, sorts, strict=True):
        if sort["sortby_dir"] == "SORTBY_USING":
            raise Unsure("ORDER BY ... USING")
        output = bound.output_of(sort["node"])
        asked = of_output(clauses, bound, output) if output else Asked(expression_of_sort(text, sort), sort["node"])
        found.append(KeyColumn(asked, sort_key(sort, bytewise=is_bytewise(asked.node, bound, binder))))
    return found


def sort_key(sort: Node, *, bytewise: bool) -> SortKey:
    descending = sort["sortby_dir"] == "SORTBY_DESC"
    nulls = sort["sortby_nulls"]
    nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
    return SortKey(descending, nulls_first, bytewise)


def is_bytewise(node: Node, bound: Bound, binder: Binder) -> bool:
    """Whether an expression, if it is a text, is in the order of its bytes."""
    kind, value = only(node)
    if kind == "CollateClause":
        names = [one["String"].get("sval", "") for one in value["collname"]]
        return names[-1] in BYTEWISE and (len(names) == 1 or names[0] == "pg_catalog")
    column = column_of(node, bound, binder)
    return column is not None and is_bytewise_column(column, binder.analysis.catalog)


def is_bytewise_column(column: Column, catalog: Catalog) -> bool:
    if column.collation == "default":
        return catalog.server.get("collation") in BYTEWISE
    return column.collation in BYTEWISE


def column_of(node: Node, bound: Bound, binder: Binder) -> Column | None:
    """The column of a table that an expression is."""
    kind, value = only(node)
    if kind != "ColumnRef":
        return None
    return binder.column_of(bound.scope, [one.get("String", {}).get("sval", "") for one in value["fields"]])


def to_tell_apart(asked: Asked, bound: Bound, binder: Binder) -> KeyColumn:
    """An order by which equal values come together: any, so of a text that of its bytes.

    That needs a collation by which nothing is equal but the same bytes.
    """
    column = column_of(asked.node, bound, binder)
    if column is None or column.type not in _TEXTS or is_bytewise(asked.node, bound, binder):
        return KeyColumn(asked, SortKey(bytewise=is_bytewise(asked.node, bound, binder)))
    if not column.deterministic:
        raise Unsure("a collation finds equal what is not the same")
    names = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "C"}}]
    node = {"CollateClause": {"arg": asked.node, "collname": names}}
    return KeyColumn(Asked(b'(%s) COLLATE pg_catalog."C"' % asked.text, node), SortKey(bytewise=True))
