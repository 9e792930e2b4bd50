"""Calls of functions, aggregates and subqueries in the console's SELECT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trunkline.admin.arrays import ARRAY_OF, OID
from trunkline.admin.functions import AGGREGATES, ANYTHING, COMPARISONS, FUNCTIONS, over_rows
from trunkline.admin.reader import Query, Reader, reads
from trunkline.admin.result import ConsoleError, Row
from trunkline.admin.scopes import Expression, Scope, compared, refused, strict
from trunkline.admin.types import NAMES, NUMBERS, common
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT
from trunkline.routing.sql import Node

# --- subqueries ---------------------------------------------------------------------------------------------


@reads("SubLink")
def _subquery(reader: Reader, value: Node) -> Expression:
    kind = value["subLinkType"]
    query = reader.statement.read(value["subselect"]["SelectStmt"], reader, reader.statement)
    if kind == "EXISTS_SUBLINK":
        return Expression(BOOL, lambda scope: next(_rows(query, scope), None) is not None, "exists")
    if len(query.columns) != 1:
        raise ConsoleError("42601", "subquery must return only one column")
    name, oid = query.columns[0]
    if kind == "EXPR_SUBLINK":
        return Expression(oid, lambda scope: _one(query, scope), name)
    if kind == "ARRAY_SUBLINK" and oid in ARRAY_OF:
        return Expression(ARRAY_OF[oid], lambda scope: tuple(row[0] for row in _rows(query, scope)), "array")
    if kind not in ("ANY_SUBLINK", "ALL_SUBLINK"):
        raise refused(kind.removesuffix("_SUBLINK"))
    sign = value["operName"][-1]["String"]["sval"] if "operName" in value else "="
    if sign not in COMPARISONS:
        raise refused(f"the operator {sign}")
    left, _, _ = reader.paired(reader.read(value["testexpr"]), Expression(oid, lambda _: None), sign)
    tested, compare, decisive = left.evaluate, COMPARISONS[sign], kind == "ANY_SUBLINK"
    return Expression(
        BOOL,
        lambda scope: compared(compare, tested(scope), [row[0] for row in _rows(query, scope)], decisive),
    )


# --- functions ----------------------------------------------------------------------------------------------


@reads("FuncCall")
def _call(reader: Reader, value: Node) -> Expression:
    *schema, name = (one["String"]["sval"] for one in value["funcname"])
    if schema not in ([], ["pg_catalog"]) and (schema, name) != (["information_schema"], "_pg_expandarray"):
        raise ConsoleError("42883", f"function {'.'.join(schema)}.{name} does not exist")
    if name == "row_number" and "over" in value and not value.get("args"):
        return _row_number(reader, value["over"])
    if any(key in value for key in ("over", "agg_filter", "agg_order", "agg_within_group", "agg_distinct")):
        raise refused("DISTINCT, FILTER, ORDER BY and OVER in a call")
    arguments = value.get("args", [])
    if name in AGGREGATES or name in ("string_agg", "array_agg"):
        return _aggregate(reader, name, arguments, star=bool(value.get("agg_star")))
    if name == "current_database" and not arguments:
        return Expression(TEXT, lambda scope: scope.run.database, name)
    known = FUNCTIONS.get((name, len(arguments)))
    if known is None:
        raise ConsoleError("42883", f"function {name} with {len(arguments)} arguments does not exist in the console")
    parts = [reader.settled(reader.read(one), oid or TEXT) for one, oid in zip(arguments, known.takes, strict=True)]
    for part, oid in zip(parts, known.takes, strict=True):
        if oid != ANYTHING and part.oid != oid and (OID not in (oid, part.oid) or common(part.oid, oid) is None):
            called = ", ".join(NAMES[one.oid] for one in parts)
            raise ConsoleError("42883", f"function {name}({called}) does not exist")
    evaluates = [part.evaluate for part in parts]
    if known.strict:
        return Expression(known.gives, strict(known.call, *evaluates), name)
    return Expression(known.gives, lambda scope: known.call(*[one(scope) for one in evaluates]), name)


def _row_number(reader: Reader, over: Node) -> Expression:
    if reader.outer is not None and reader.inside:
        raise refused("OVER in an aggregate")
    place = len(reader.columns) + len(reader.windows)
    reader.windows.append(over)
    return Expression(INT8, lambda scope: scope.row[place], "row_number")


def _aggregate(reader: Reader, name: str, arguments: Sequence[Node], *, star: bool) -> Expression:
    if reader.inside:
        raise ConsoleError("42803", "aggregate function calls cannot be nested")
    reader.aggregates = True
    if star and name == "count":
        return Expression(INT8, lambda scope: len(scope.rows), name)
    if star or len(arguments) != (2 if name == "string_agg" else 1):
        raise ConsoleError("42883", f"function {name} does not take {len(arguments)} arguments")
    reader.inside = True
    try:
        found, *further = (reader.settled(reader.read(one), TEXT) for one in arguments)
    finally:
        reader.inside = False
    if name in _COLLECTING:
        return _COLLECTING[name](found, *further)
    wanted = {"sum": NUMBERS, "avg": NUMBERS, "bool_or": (BOOL,), "bool_and": (BOOL,)}.get(name, (found.oid,))
    if found.oid not in wanted:
        raise ConsoleError("42883", f"function {name}({NAMES[found.oid]}) does not exist")
    oid = {"count": INT8, "sum": INT8 if found.oid == INT4 else NUMERIC, "avg": NUMERIC}.get(name, found.oid)
    return Expression(oid, over_rows(AGGREGATES[name], found.evaluate), name)


def _string_agg(found: Expression, separator: Expression) -> Expression:
    if (found.oid, separator.oid) != (TEXT, TEXT) or separator.literal is not None or separator.column is not None:
        raise ConsoleError("42883", f"function string_agg({NAMES[found.oid]}, {NAMES[separator.oid]}) does not exist")
    collect = over_rows(lambda values: values, found.evaluate)

    def evaluate(scope: Scope) -> str | None:
        values = collect(scope)
        return (separator.evaluate(scope) or "").join(values) if values else None

    return Expression(TEXT, evaluate, "string_agg")


def _array_agg(found: Expression) -> Expression:
    if found.oid not in ARRAY_OF:
        raise refused(f"arrays of {NAMES[found.oid]}")
    return Expression(
        ARRAY_OF[found.oid], over_rows(lambda values: tuple(values) or None, found.evaluate, nulls=True), "array_agg"
    )


def _rows(query: Query, scope: Scope) -> Iterator[Row]:
    """Of a subquery, on the row around it."""
    for row in query.rows(scope.run, scope):
        scope.run.spend()
        if row is not None:
            yield row


def _one(query: Query, scope: Scope) -> Any:
    rows = list(_rows(query, scope))
    if len(rows) > 1:
        raise ConsoleError("21000", "more than one row returned by a subquery used as an expression")
    return rows[0][0] if rows else None


_COLLECTING: dict[str, Callable[..., Expression]] = {"string_agg": _string_agg, "array_agg": _array_agg}
