"""What RETURNING gives of a query in WITH that writes, as a SELECT: as far as it matters on which shards rows are."""

from __future__ import annotations

from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node

CHANGES = "changes"  # in the tree of one: its rows are not any more what WHERE says of them
_OTHERS = {"DeleteStmt": "usingClause", "UpdateStmt": "fromClause"}


def returned(kind: str, node: Node) -> Node:
    """The SELECT; Unsure of what is not understood."""
    if kind not in _OTHERS or "withClause" in node:
        raise Unsure("a query of WITH writes")
    select = {
        "targetList": node.get("returningClause", {}).get("exprs", []),
        "fromClause": [{"RangeVar": node["relation"]}, *node.get(_OTHERS[kind], ())],
        "op": "SETOP_NONE",
    }
    if kind == "UpdateStmt":
        select[CHANGES] = True
    return {**select, "whereClause": node["whereClause"]} if "whereClause" in node else select
