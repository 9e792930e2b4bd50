"""UPDATE and DELETE of the rows that a SELECT ... LIMIT n FOR UPDATE SKIP LOCKED within them locks: a queue's workers.

`UPDATE jobs SET ... WHERE id IN (SELECT id FROM jobs ... LIMIT n FOR UPDATE SKIP LOCKED)`, the same by way of WITH or
FROM. The inner query locks its rows first (claiming). Then each shard is told the client's own statement, in which the
query only names the rows that this shard has locked, by where they lie. That is exact if the statement writes just
these rows: its table is theirs, it compares a unique key with them, and reads nothing else, which would be of another
moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import claiming
from trunkline.routing.spreading.claiming import Claim
from trunkline.routing.spreading.clauses import same_tree, tokenize
from trunkline.routing.spreading.moments import Template, filled
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_reading import bound
from trunkline.routing.sql import Node, Unparsed, parse_any, walk

_FIRST = "Select the keys FOR UPDATE first, and name them."
_MARK = b"('trunkline: rows that are locked' IS NOT NULL)"  # stands for where they lie
_EQUAL = [{"String": {"sval": "="}}]


@dataclass(frozen=True, slots=True)
class ClaimedWrite:
    """`claim` locks; each shard then has its rows in the place of the query in `text`."""

    claim: Claim
    source: Request  # the query
    text: Template
    asks_time: bool

    def said(self, places: Sequence[bytes], time: bytes) -> bytes:
        """The text for a shard that has locked the rows that lie there."""
        return filled(self.text, time).replace(_MARK, self.claim.lies(places))


def plan(request: Request, by_shards: Callable[[Request], Any]) -> ClaimedWrite | Refusal | None:
    """How it is done; None if nothing in it locks rows with a limit. `by_shards` plans what shards do by themselves."""
    if request.kind not in ("UpdateStmt", "DeleteStmt"):
        return None
    found = [value for _, value in walk(request.node) if isinstance(value, dict) and claiming.concerns(value)]
    if len(found) != 1:
        return Refusal("It locks rows with several limits.", _FIRST) if found else None
    inner = _query(request, found[0])
    if inner is None:
        return Refusal("The query that locks rows is not found again in its text.", "Write it more plainly.")
    source, start, end = inner
    claim = claiming.plan(source)
    if not isinstance(claim, Claim) or _MARK in request.sql:
        return claim if isinstance(claim, Refusal) else Refusal("Its text is not understood.", _FIRST)
    return _planned(request, source, claim, (start, end), by_shards)


def _query(request: Request, node: Node) -> tuple[Request, int, int] | None:
    """The query within the statement, and where it stands."""
    tokens = tokenize(request.sql)
    for at, (opening, first) in enumerate(pairwise(tokens)):
        if opening.text != b"(" or first.text != b"select":
            continue
        closing = next(one for one in tokens[at + 1 :] if one.text == b")" and one.depth == opening.depth)
        text = request.sql[opening.end : closing.start]
        try:
            statements = parse_any(text)
        except Unparsed:
            continue
        if len(statements) == 1 and same_tree(statements[0][1], node):
            plan = make_plan(text, request.catalog, request.sharding, request.search_path)
            found = replace(request, sql=text, kind=statements[0][0], node=statements[0][1], plan=plan)
            return found, opening.end, closing.start
    return None


def _planned(
    request: Request, source: Request, claim: Claim, span: tuple[int, int], by_shards: Callable[[Request], Any]
) -> ClaimedWrite | Refusal:
    """With the query replaced by what has no limit, each shard has to be able to do its part by itself."""
    start, end = span
    text = request.sql[:start] + b"SELECT %b FROM %b WHERE %b" % (claim.targets, claim.table, _MARK) + request.sql[end:]
    ((kind, node),) = parse_any(text)
    plan = make_plan(text, request.catalog, request.sharding, request.search_path)
    standing = replace(request, sql=text, kind=kind, node=node, plan=plan)
    alone = _why_not(request, standing, source.node) or by_shards(standing)
    if not isinstance(alone, Alone):
        return alone if isinstance(alone, Refusal) else Refusal("It does not write just what it locks.", _FIRST)
    return ClaimedWrite(claim, replace(source, node={}), alone.text, alone.asks_time)


def _why_not(request: Request, standing: Request, query: Node) -> Refusal | None:
    written = bound(standing)
    if isinstance(written, Refusal):
        return written
    facts, table = written.analysis.facts, written.found.full_name
    if len(facts.uses) != 2 or any(use.table != table for use in facts.uses):
        return Refusal(f"It reads more than the rows of {table} that it has locked.", _FIRST)
    if facts.reference or facts.home or facts.system:
        return Refusal("It reads other tables, which may have changed when the rows are locked.", _FIRST)
    relation = written.found.relation
    compared = _compared(request.node, query)
    if relation is None or not any(set(key) <= compared for key in relation.keys):
        names = " or ".join(f"({', '.join(key)})" for key in relation.keys) if relation is not None else ""
        reason = f"It may write rows of {table} that it has not locked, for it compares no unique key with them."
        return Refusal(reason, f"Compare {names} with what is selected." if names else _FIRST)
    return None


# --- which columns are those of the rows that are locked --------------------------------------------------------------


def _compared(node: Node, query: Node) -> set[str]:
    """The columns of what is written that are equal to the same columns of one row that is locked."""
    relation = node["relation"]
    own = relation.get("alias", {}).get("aliasname", "") or relation["relname"]
    sources = node.get("fromClause") or node.get("usingClause") or ()
    found: set[str] = set()
    for conjunct in _conjuncts(node.get("whereClause", {})):
        names = _of_sublink(conjunct) or (_of_join(conjunct, own) if len(sources) == 1 else [])
        found |= {name for name in names if _gives(query, name)}
    return found


def _conjuncts(wrapped: Node) -> Iterator[Node]:
    expression = wrapped.get("BoolExpr", {})
    if expression.get("boolop") != "AND_EXPR":
        yield wrapped
        return
    for one in expression["args"]:
        yield from _conjuncts(one)


def _of_sublink(wrapped: Node) -> list[str]:
    """`a IN (SELECT a ...)`, `(a, b) IN (SELECT a, b ...)`, `a = (SELECT a ... LIMIT 1)`, `a = ANY (ARRAY (...))`."""
    link: Node = wrapped.get("SubLink", {})
    left: Node | None = None
    if link.get("subLinkType") == "ANY_SUBLINK":
        left = link["testexpr"] if link.get("operName", _EQUAL) == _EQUAL else None
    else:
        expression = wrapped.get("A_Expr", {})
        link = expression.get("rexpr", {}).get("SubLink", {})
        is_array = expression.get("kind") == "AEXPR_OP_ANY" and link.get("subLinkType") == "ARRAY_SUBLINK"
        is_one = expression.get("kind") == "AEXPR_OP" and _gives_one(link)
        if expression.get("name") == _EQUAL and (is_array or is_one):
            left = expression.get("lexpr")
    if left is None:
        return []
    select = link["subselect"].get("SelectStmt", {})
    outputs = [_column(one["ResTarget"]["val"])[-1:] for one in select.get("targetList", ())]
    columns = [_column(one)[-1:] for one in left.get("RowExpr", {}).get("args", [left])]
    return [name for one in columns for name in one] if columns == outputs else []


def _gives_one(link: Node) -> bool:
    """Whether it is a query that gives one row at most, of all shards."""
    limit = link.get("subselect", {}).get("SelectStmt", {}).get("limitCount", {})
    return link.get("subLinkType") == "EXPR_SUBLINK" and limit.get("A_Const", {}).get("ival", {}).get("ival") == 1


def _of_join(wrapped: Node, own: str) -> list[str]:
    """`jobs.id = next.id`, or `id = next.id`."""
    expression = wrapped.get("A_Expr", {})
    if expression.get("kind") != "AEXPR_OP" or expression.get("name") != _EQUAL:
        return []
    sides = [_column(expression.get(name, {})) for name in ("lexpr", "rexpr")]
    if not all(sides) or sides[0][-1] != sides[1][-1]:
        return []
    is_own = [len(side) == 1 or side[-2] == own for side in sides]
    return [sides[0][-1]] if is_own[0] != is_own[1] else []


def _column(wrapped: Node) -> list[str]:
    fields = wrapped.get("ColumnRef", {}).get("fields", ())
    return [one.get("String", {}).get("sval", "*") for one in fields]


def _gives(query: Node, name: str) -> bool:
    """Whether an output of the query is this column, by its own name."""
    targets = [one["ResTarget"] for one in query["targetList"]]
    return any(_column(one["val"])[-1:] in ([name], ["*"]) and one.get("name", name) == name for one in targets)
