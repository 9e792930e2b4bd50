"""How a write over several shards is done: which program writes it, or why none does."""

from __future__ import annotations

from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading import (
    writing_alone,
    writing_carried,
    writing_claimed,
    writing_copies,
    writing_copy,
    writing_everywhere,
    writing_insert,
    writing_moved,
)
from trunkline.routing.spreading.gathering_names import is_view
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.shard_jobs import ShardJobs
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_carried import Carried
from trunkline.routing.spreading.writing_claimed import ClaimedWrite
from trunkline.routing.spreading.writing_copies import CopyToAll
from trunkline.routing.spreading.writing_copy import CopyAll, CopyRows
from trunkline.routing.spreading.writing_everywhere import Everywhere
from trunkline.routing.spreading.writing_insert import Rows
from trunkline.routing.spreading.writing_moved import Moved
from trunkline.routing.spreading.writing_reading import Written, hidden_in, read

Write = Alone | Carried | ClaimedWrite | CopyAll | CopyRows | CopyToAll | Everywhere | Moved | Rows | ShardJobs

_KINDS = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"))

_NOT_ALONE = Refusal("Its rows belong to other shards than they come from.")


def plan(request: Request) -> Write | Refusal:
    """The program of a statement that writes, over several shards."""
    found = _by_shards(request)
    if not isinstance(found, Refusal) or request.plan.refusal is not None:
        return found
    claimed = writing_claimed.plan(request, _by_shards)
    if claimed is not None:
        return claimed
    if _is_through_view(request):
        return found
    ways = (way(request) for way in (writing_moved.plan, writing_carried.plan))
    tried = [way for way in ways if way is not None]
    return next((way for way in tried if not isinstance(way, Refusal)), tried[0] if tried else found)


def _by_shards(request: Request) -> Write | Refusal:
    """Where each shard does its part by itself, each row is given, or all do the same."""
    refusal = request.plan.refusal or request.plan.unless_single
    if request.plan.refusal is None and request.kind == "CopyStmt" and request.plan.verdict is Verdict.EVERY:
        return writing_copies.plan(request)
    if request.plan.refusal is None and writing_everywhere.concerns(request):
        return writing_everywhere.plan(request)
    if request.kind == "CopyStmt" and _is_to_client(request) and request.plan.verdict is Verdict.ROUTED:
        return writing_copy.plan_out(request)
    known = request.kind in _KINDS and (request.kind != "CopyStmt" or _is_from_client(request))
    if not known or request.plan.verdict is not Verdict.ROUTED:
        return refusal or Refusal("It is not done on several shards.", "Name the key of every sharded table.")
    written = read(request)
    if isinstance(written, Refusal) or (request.plan.moves and not writing_insert.concerns(written)):
        return written if isinstance(written, Refusal) else refusal or _NOT_ALONE
    return hidden_in(written) or _planned(written)


def _is_through_view(request: Request) -> bool:
    relation = request.node.get("relation")
    return relation is not None and is_view(request.analysis().find(relation.get("schemaname"), relation["relname"]))


def concerns(request: Request) -> bool:
    """Whether a statement over several shards is a write."""
    return request.kind in _KINDS or writing_everywhere.concerns(request)


def _is_from_client(request: Request) -> bool:
    return bool(request.node.get("is_from")) and not {"filename", "is_program"} & set(request.node)


def _is_to_client(request: Request) -> bool:
    return not {"is_from", "filename", "is_program", "query"} & set(request.node)


def _planned(written: Written) -> Write | Refusal:
    if written.kind == "CopyStmt":
        return writing_copy.plan(written)
    if written.kind != "InsertStmt":
        return writing_alone.plan(written)
    return writing_insert.plan(written) if writing_insert.concerns(written) else writing_alone.plan(written)
