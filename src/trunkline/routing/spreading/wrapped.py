"""Statements about a query that stands within them: EXPLAIN, COPY (...) TO, DECLARE.

The query's text is cut out of the statement's, is planned and gets a program like one that is said by itself. What was
cut out is compared with what the statement means, as a tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.spreading.clauses import same_tree
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Unparsed, only, parse_any


@dataclass(frozen=True, slots=True)
class Wrapped:
    """`inner` is the query, `program` how that is answered over several shards."""

    inner: Request
    program: Any


def inner_of(request: Request, spans: Iterable[tuple[int, int]]) -> Request | None:
    """The query within a statement: the first of these parts of its text that means what stands there."""
    wanted = only(request.node["query"])
    for start, end in spans:
        text = request.sql[start:end]
        found = _statements(text)
        if len(found) == 1 and found[0][0] == wanted[0] and same_tree(found[0][1], wanted[1]):
            kind, node = found[0]
            plan = make_plan(text, request.catalog, request.sharding, request.search_path)
            return replace(request, sql=text, kind=kind, node=node, plan=plan)
    return None


def planned(inner: Request) -> Request:
    """The query once it has a program: its tree, which is large, has done its work."""
    return replace(inner, node={})


def _statements(text: bytes) -> Sequence[tuple[str, Any]]:
    try:
        return parse_any(text)
    except Unparsed:
        return ()
