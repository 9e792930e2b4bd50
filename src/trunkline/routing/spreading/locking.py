"""SELECT ... FOR UPDATE and its like, of rows that every shard gives by itself.

Each shard locks the rows that it gives, which is what one PostgreSQL would do where all rows of the answer are the
shards' own: tables that are sharded, no LIMIT (each shard would lock as many), no rows that are put together. Rows of a
reference table have a copy on each shard, and two clients would lock different ones.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.routing.spreading.clauses import tokenize, without_comments
from trunkline.routing.spreading.merge import Limits, Merge
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node


def unlocked(request: Request, node: Node) -> tuple[Request, bytes]:
    """The statement without its locks, and their text; Unsure if they are not the shards' own business."""
    if "limitCount" in node or "limitOffset" in node:
        raise Unsure("each shard would lock as many rows as LIMIT says")
    _must_be_sharded(request, node)
    tokens = tokenize(request.sql)
    for at, token in enumerate(tokens[1:], 1):
        if token.text == b"for" and token.depth == 0 and tokens[at - 1].text not in (b".", b"as"):
            bare = without_comments(request.sql[: token.start])
            return replace(request, sql=bare), request.sql[token.start : tokens[-1].end]
    raise Unsure("the text of its locks is not found")


def locked(merge: Merge, locks: bytes) -> Merge:
    """The merge of the same rows, which are locked."""
    if merge.limits != Limits() or merge.unique is not None:
        raise Unsure("the rows that are locked are not the rows of the answer")
    return replace(merge, sql=merge.sql + b" " + locks, locks=True)


def _must_be_sharded(request: Request, node: Node) -> None:
    occurrences = request.plan.occurrences
    for clause in node["lockingClause"]:
        names = [one["RangeVar"]["relname"] for one in clause["LockingClause"].get("lockedRels", ())]
        found = [one for one in occurrences if not names or one.alias in names]
        if not found or any(one.kind != "sharded" for one in found):
            raise Unsure("it locks rows of which each shard has a copy")
