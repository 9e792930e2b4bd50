"""Ids of a COPY FROM STDIN: columns that draw by default, and are not in the data, come in front of those that are.

In front, so that a row with too few or too many fields fails for the same column as without them. The rows get their
ids as they come (execution/spread/copy_numbered.py).
"""

from __future__ import annotations

import re
from dataclasses import replace

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.writes import bind_write
from trunkline.routing.schema.catalog import Column
from trunkline.routing.spreading.drawing_again import edited
from trunkline.routing.spreading.drawing_insert import drawn_default
from trunkline.routing.spreading.drawing_slots import CopyIds, Drawing, Edit, Slot, Unfit
from trunkline.routing.spreading.quoting import identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_copy import MARKER_IS_DATA, is_true, text_of
from trunkline.routing.sql import Node
from trunkline.routing.text.tokens import tokens_of

_AN_ID = re.compile(r"[-0-9a-f]+")
_MARKS = frozenset("-0123456789abcdef")
_GIVE = "Copy the column of the ids as well."


def plan(request: Request) -> Drawing:
    """A COPY of which `RoutePlan.draws` speaks; Unfit if its rows are not numbered."""
    node = request.node
    analysis = Analysis(
        request.sql, request.catalog, request.sharding, request.search_path, bind_select, bind_write, bind_statement
    )
    bind_statement(analysis, request.kind, node)
    if "attlist" not in node or not node.get("is_from") or {"filename", "is_program"} & set(node):
        raise Unfit("COPY has no place for ids that are drawn before it.", _GIVE)
    if any(kind not in ("default", "generated") for kind, _ in analysis.facts.draws):
        raise Unfit("It takes ids of a sequence in another place than a column of its table.", _GIVE)
    relation = analysis.find(node["relation"].get("schemaname"), node["relation"]["relname"]).relation
    given = {one["String"].get("sval", "") for one in node["attlist"]}
    columns, slots = [], []
    for column in relation.columns if relation is not None else ():
        slot = _slot(analysis, column)
        if slot is not None and column.name not in given:
            columns.append(column)
            slots.append(slot)
    copied = _copied(analysis, node, columns, slots)
    place = _behind_parenthesis(request.sql, node["relation"].get("location", 0))
    names = b"".join(identifier(one.name).encode() + b", " for one in columns)
    return replace(edited(request.sql, [Edit(place, place, (names,))], 0), copied=copied)


def _slot(analysis: Analysis, column: Column) -> Slot | None:
    pieces = drawn_default(analysis, column) if column.default else ()
    if not pieces:
        return None
    if len(pieces) > 1 or not isinstance(pieces[0], Slot):
        raise Unfit(f"The default of {column.name} computes something of an id, for each row.", _GIVE)
    return pieces[0]


def _copied(analysis: Analysis, node: Node, columns: list[Column], slots: list[Slot]) -> CopyIds:
    options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in node.get("options", ())}
    form = text_of(options.get("format"), "text")
    is_csv = form == "csv"
    quote = text_of(options.get("quote"), '"')
    delimiter = text_of(options.get("delimiter"), "," if is_csv else "\t")
    marks = [delimiter, quote, text_of(options.get("escape"), quote)]
    header = options.get("header")
    if "default" in options or (header is not None and text_of(header, "").lower() == "match"):
        raise Unfit("COPY with DEFAULT, or HEADER MATCH, has its ids in the data.", _GIVE)
    null = text_of(options.get("null"), "" if is_csv else "\\N")
    if _AN_ID.fullmatch(null) or any(one in _MARKS for one in marks):
        raise Unfit("An id might be taken for what separates or marks its data.", "Use other marks.")
    return CopyIds(
        tuple(slots),
        tuple(one.type for one in columns),
        form,
        header is not None and is_true(header),
        delimiter.encode(),
        quote.encode(),
        marks[2].encode(),
        int(analysis.catalog.server.get("version", "0")) < MARKER_IS_DATA,
    )


def _behind_parenthesis(sql: bytes, relation: int) -> int:
    """Behind the one that opens the list of columns, which is the first behind the table."""
    for kind, start, end in tokens_of(sql):
        if kind == "other" and start > relation and sql[start:end] == b"(":
            return end
    raise Unfit("Its columns are not found again in its text.", "Write it more plainly.")
