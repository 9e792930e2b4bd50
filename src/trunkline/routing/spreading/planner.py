"""Which program answers a statement over several shards: merged, gathered, written; or why there is none.

Law: a program gives exactly what one PostgreSQL with all rows would give, or there is none.
"""

from __future__ import annotations

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import gathering, merging, writing
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Limits, Merging
from trunkline.routing.spreading.request import Concatenation, Request

Program = Concatenation | Gather | Merging | writing.Write

_SEVERAL = Refusal("It concerns several shards.", "Name the key of every sharded table.")


def program_of(request: Request) -> Program | Refusal:
    """How a statement whose mask may have several bits is answered then."""
    merge = merging.plan(request)
    if merge is None:
        return _without_merge(request)
    if not merge.hidden and merge.unique is None and merge.limits == Limits():
        otherwise = gathering.plan(request) if request.kind == "SelectStmt" else None
        return Concatenation(merge.sql, otherwise if isinstance(otherwise, Gather) else None)
    return Merging(merge, _without_merge(request))


def _without_merge(request: Request) -> Program | Refusal:
    if request.kind == "SelectStmt":
        return gathering.plan(request)
    if writing.concerns(request):
        return writing.plan(request)
    return request.plan.unless_single or request.plan.refusal or _SEVERAL
