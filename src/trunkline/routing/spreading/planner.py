"""Which program answers a statement over several shards: merged, gathered, written; or why there is none.

Law: a program gives exactly what one PostgreSQL with all rows would give, or there is none.
"""

from __future__ import annotations

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import (
    claiming,
    copied,
    creating,
    cursors,
    declaring,
    drawing,
    explained,
    gathering,
    indexing,
    merging,
    writing,
    writing_selected,
)
from trunkline.routing.spreading.claiming import Claim
from trunkline.routing.spreading.copied import CopyQuery
from trunkline.routing.spreading.creating import CreateAs
from trunkline.routing.spreading.cursors import Declared
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.spreading.explained import Explained
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Limits, Merging
from trunkline.routing.spreading.request import Concatenation, Request
from trunkline.routing.spreading.writing_within import must_be_alone

Program = (
    Claim
    | Concatenation
    | CopyQuery
    | CreateAs
    | Declared
    | Explained
    | Gather
    | Merging
    | declaring.Placing
    | indexing.Indexing
    | writing.Write
    | writing_selected.Selected
)

_DRAWS = Refusal("Its ids would have to be drawn before it.", "Give them as values.")
_WRITES = Refusal(
    "It has a query that writes in WITH, and concerns several shards.", "Write in a statement of its own."
)
_SEVERAL = Refusal("It concerns several shards.", "Name the key of every sharded table.")


def program_of(request: Request) -> Program | Drawing | Refusal:
    """How a statement whose mask may have several bits is answered then."""
    if request.plan.draws is not None:
        return drawing.plan(request)
    if request.kind == "ExplainStmt":
        return explained.plan(request, _within)
    if request.kind == "DeclareCursorStmt":
        return cursors.plan(request, _within)
    if request.kind == "CopyStmt" and "query" in request.node:
        return copied.plan(request, _within)
    if creating.concerns(request):
        return creating.plan(request, _within)
    if declaring.concerns(request):
        return declaring.plan(request)
    if indexing.concerns(request):
        return indexing.plan(request)
    merge = merging.plan(request, must_be_alone)
    if merge is None:
        return _without_merge(request)
    if not merge.hidden and merge.unique is None and merge.limits == Limits():
        otherwise = gathering.plan(request) if request.kind == "SelectStmt" else None
        return Concatenation(merge.sql, otherwise if isinstance(otherwise, Gather) else None, merge.locks)
    return Merging(merge, _without_merge(request))


def _within(request: Request) -> Program | Refusal:
    """The same of a query within another statement."""
    found = program_of(request)
    if request.plan.writes and isinstance(found, Concatenation | Merging):
        return _WRITES
    return _DRAWS if isinstance(found, Drawing) else found


def _without_merge(request: Request) -> Program | Refusal:
    if request.kind == "SelectStmt":
        return claiming.plan(request) or gathering.plan(request)
    if writing.concerns(request):
        found = writing.plan(request)
        selected = writing_selected.plan(request, _within) if isinstance(found, Refusal) else None
        return found if selected is None else selected
    return request.plan.unless_single or request.plan.refusal or _SEVERAL
