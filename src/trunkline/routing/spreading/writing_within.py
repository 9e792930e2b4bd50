"""SELECT over what a query in WITH writes: `WITH d AS (DELETE ... RETURNING ...) SELECT count(*) FROM d`.

Each shard runs the whole text by itself, as it would the write alone; so its SELECT sees what it would have seen of one
PostgreSQL, the rows as they were before. What RETURNING gives lies as the rows do that are written.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading import writing_alone
from trunkline.routing.spreading.clauses import same_tree, tokenize
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.spreading.writing_reading import hidden_in, read
from trunkline.routing.sql import Node, Unparsed, only, parse_any


def must_be_alone(request: Request, node: Node) -> None:
    """Unsure unless just one query in the WITH of a SELECT writes, and each shard does its part of that by itself."""
    ctes = [one["CommonTableExpr"] for one in node.get("withClause", {}).get("ctes", ())]
    written = [one["ctequery"] for one in ctes if only(one["ctequery"])[0] != "SelectStmt"]
    if len(written) != 1 or request.plan.keeps is not None or request.plan.ids:
        raise Unsure("it writes in more than one query of WITH, or what the home shard keeps")
    inner = _by_itself(request, *only(written[0]))
    if inner.plan.verdict is not Verdict.ROUTED or inner.plan.refusal is not None or inner.plan.moves:
        raise Unsure("what it writes is not each shard's own")
    found = read(inner)
    refusal = found if isinstance(found, Refusal) else hidden_in(found)
    alone = refusal or (writing_alone.plan(found) if not isinstance(found, Refusal) else found)
    if isinstance(alone, Refusal) or alone.asks_time:
        raise Unsure("what it writes may differ from shard to shard")


def _by_itself(request: Request, kind: str, node: Node) -> Request:
    """The query that writes, as a statement of its own: it stands in parentheses."""
    tokens = [one for one in tokenize(request.sql) if one.depth == 0 and one.text in (b"(", b")")]
    for opening, closing in zip(tokens[::2], tokens[1::2], strict=False):
        text = request.sql[opening.end : closing.start]
        try:
            found = parse_any(text)
        except Unparsed:
            continue
        if len(found) == 1 and found[0][0] == kind and same_tree(found[0][1], node):
            plan = make_plan(text, request.catalog, request.sharding, request.search_path)
            return replace(request, sql=text, kind=kind, node=found[0][1], plan=plan)
    raise Unsure("the text of what writes is not found")
