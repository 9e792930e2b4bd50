"""Views through which PostgreSQL writes the one table below them, as it does by itself (rewriteHandler.c).

That is followed where a view is a plain selection: one table or such a view in FROM, perhaps a WHERE; no rule, no
trigger INSTEAD OF, no default of its own. What PostgreSQL refuses besides (aggregates among its columns) it refuses
when it is asked.
"""

from __future__ import annotations

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.hidden import on_write
from trunkline.routing.planning.programs import definition
from trunkline.routing.planning.scopes import Scope

_PICKING = frozenset(
    (
        "distinctClause",
        "groupClause",
        "havingClause",
        "limitCount",
        "limitOffset",
        "lockingClause",
        "valuesLists",
        "windowClause",
        "withClause",
    )
)


def base_of(analysis: Analysis, found: Found) -> Found | None:
    """The table whose rows are those of a view; a table is its own. None: there is no such table."""
    relation = found.relation
    if relation is None or relation.kind != "v":
        return found if relation is not None else None
    if relation.triggers or relation.rules or any(column.default is not None for column in relation.columns):
        return None
    parsed = definition(relation.definition or "")
    if parsed is None or parsed[0] != "SelectStmt":
        return None
    node = parsed[1]
    sources = node.get("fromClause", ())
    if node.get("op", "SETOP_NONE") != "SETOP_NONE" or _PICKING & set(node) or len(sources) != 1:
        return None
    if "RangeVar" not in sources[0]:
        return None
    table = sources[0]["RangeVar"]
    return base_of(analysis, analysis.find(table.get("schemaname"), table["relname"]))


def on_write_below(analysis: Analysis, found: Found, event: str, scope: Scope) -> None:
    """What runs at the table below a view when its rows are written."""
    base = base_of(analysis, found)
    if base is not None and base is not found and base.relation is not None:
        on_write(analysis, base, event, [column.name for column in base.relation.columns], scope)
