"""COPY FROM STDIN into a reference table: the same data at every shard, if all shards make the same rows of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.routing.planning.hidden import trigger_functions
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.moments import hidden_time
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_copy import columns_of_data, is_true
from trunkline.routing.spreading.writing_reading import Written, analysed
from trunkline.routing.sql import walk

_CONSTANT = re.compile(r"(?:-?[0-9.]+|NULL|true|false|'[^']*')(?:::[a-z ]+(?:\([0-9, ]+\))?)?")


@dataclass(frozen=True, slots=True)
class CopyToAll:
    """The client's own COPY."""

    sql: bytes


def plan(request: Request) -> CopyToAll | Refusal:
    """A COPY FROM of a reference table."""
    if {"filename", "is_program"} & set(request.node):
        return Refusal("It copies a file of one server.", "COPY ... FROM STDIN takes the client's.")
    written = analysed(request)
    if isinstance(written, Refusal):
        return written
    return _differing(written) or CopyToAll(request.sql)


def _differing(written: Written) -> Refusal | None:
    """What might not be the same on every shard."""
    relation, name = written.found.relation, written.found.full_name
    if relation is None:
        return Refusal(f"Nothing is known of {name}.", "Create it on every shard.")
    options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in written.node.get("options", ())}
    if "freeze" in options and is_true(options["freeze"]):
        return Refusal("COPY with FREEZE is not done on several shards.", "Leave it out.")
    computes = any(one in ("FuncCall", "SQLValueFunction") for one, _ in walk(written.node.get("whereClause", {})))
    if computes or written.analysis.facts.volatile:
        reason = f"It writes the reference table {name}, and what it computes may differ from shard to shard."
        return Refusal(reason, "Compute the values first, and copy them.")
    given = () if "default" in options else columns_of_data(relation, written.node)
    for column in relation.columns:
        if column.name in given or column.default is None or (column.generated and "nextval(" not in column.default):
            continue
        if not _CONSTANT.fullmatch(column.default):
            return Refusal(
                f"The default of {column.name} may differ from shard to shard.", f"Copy {column.name} as well."
            )
    types = (column.type for column in relation.columns)
    return hidden_time(written.analysis, written.node, types, trigger_functions(written.analysis, written.found))
