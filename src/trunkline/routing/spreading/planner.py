"""Which program answers a statement over several shards: merged, gathered, written; or why there is none.

Law: a program gives exactly what one PostgreSQL with all rows would give, or there is none.
"""

from __future__ import annotations

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import gathering
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.request import Concatenation, Request

Program = Concatenation | Gather

_SEVERAL = Refusal("It concerns several shards.", "Name the key of every sharded table.")
_PLAIN = {"targetList", "fromClause", "limitOption", "op"}


def program_of(request: Request) -> Program | Refusal:
    """How a statement whose mask may have several bits is answered then."""
    if request.kind == "SelectStmt" and not set(request.node) - _PLAIN and len(request.plan.occurrences) == 1:
        columns = [one["ResTarget"]["val"] for one in request.node["targetList"]]
        if all("ColumnRef" in column for column in columns):
            return Concatenation(request.sql)
    if request.kind == "SelectStmt":
        return gathering.plan(request)
    return request.plan.unless_single or request.plan.refusal or _SEVERAL
