"""Expressions of the console's SELECT: a parse tree becomes functions in Python, each with the type of what it gives.

What is not in the tables here is refused (0A000): nothing is evaluated that nobody has thought of. NULL is None, and
what PostgreSQL says of it holds: comparisons with it are NULL, AND and OR have three values.
"""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import Any, Final

from trunkline.admin.arrays import ARRAY_OF, ELEMENT
from trunkline.admin.functions import ARITHMETIC, COMPARISONS, EXPANDED, RECORD, TEXTS, matches
from trunkline.admin.patterns import like
from trunkline.admin.reader import Read, Reader, reads
from trunkline.admin.result import ConsoleError
from trunkline.admin.scopes import Evaluate, Expression, Scope, compared, decided, refused, strict
from trunkline.admin.types import CASTS, NAMES, NUMBERS, UNKNOWN, cast, from_text, shown
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ
from trunkline.routing.sql import Node

MAX_PARAMETERS: Final = 100
_MATCHES: Final = ("~", "~*", "!~", "!~*")


# --- leaves -------------------------------------------------------------------------------------------------


@reads("ColumnRef")
def _column(reader: Reader, value: Node) -> Expression:
    parts = [one["String"].get("sval", "") if "String" in one else "*" for one in value["fields"]]
    if len(parts) > 2 or "*" in parts:
        raise ConsoleError("42703", f"column {'.'.join(parts)} does not exist")
    found = reader.resolved(parts[-1], parts[0] if len(parts) > 1 else None)
    if found is None:
        name = ".".join(parts) if len(parts) > 1 else f'"{parts[0]}"'
        raise ConsoleError("42703", f"column {name} does not exist")
    return found


@reads("A_Const")
def _constant(reader: Reader, value: Node) -> Expression:
    if value.get("isnull"):
        return Expression(UNKNOWN, lambda _: None)
    if "ival" in value:
        return _fixed(INT4, value["ival"].get("ival", 0))
    if "boolval" in value:
        return _fixed(BOOL, value["boolval"].get("boolval", False))
    if "fval" in value:
        text = value["fval"]["fval"]
        oid = INT8 if text.isdecimal() and len(text) < 20 and int(text) < 1 << 63 else NUMERIC
        return _fixed(oid, from_text(text, oid))
    if "sval" in value:
        text = value["sval"].get("sval", "")
        return Expression(UNKNOWN, lambda _: text, literal=text)
    raise refused("a bit string")


@reads("ParamRef")
def _parameter(reader: Reader, value: Node) -> Expression:
    number = value.get("number", 0)
    if not 1 <= number <= MAX_PARAMETERS:
        raise ConsoleError("42P02", f"there is no parameter ${number}")
    oid = reader.parameters.setdefault(number, UNKNOWN)
    return Expression(oid, lambda scope: scope.run.parameters[number - 1], parameter=number)


@reads("SQLValueFunction")
def _value_function(reader: Reader, value: Node) -> Expression:
    operation = value["op"]
    if operation == "SVFOP_USER":  # the relations' own word goes before SQL's
        found = reader.resolved("user", None)
        if found is not None:
            return found
    if operation in ("SVFOP_USER", "SVFOP_CURRENT_USER", "SVFOP_SESSION_USER", "SVFOP_CURRENT_ROLE"):
        return Expression(TEXT, lambda scope: scope.run.user, operation.removeprefix("SVFOP_").lower())
    if operation == "SVFOP_CURRENT_CATALOG":
        return Expression(TEXT, lambda scope: scope.run.database, "current_catalog")
    if operation == "SVFOP_CURRENT_SCHEMA":
        return Expression(TEXT, lambda _: "public", "current_schema")
    if operation == "SVFOP_CURRENT_TIMESTAMP":
        return Expression(TIMESTAMPTZ, lambda _: datetime.now(UTC), "current_timestamp")
    raise refused(operation.removeprefix("SVFOP_"))


def _fixed(oid: int, value: Any) -> Expression:
    return Expression(oid, lambda _: value, name="bool" if oid == BOOL else "?column?")


# --- operators ----------------------------------------------------------------------------------------------


@reads("A_Expr")
def _operation(reader: Reader, value: Node) -> Expression:
    read = _OPERATIONS.get(value["kind"])
    if read is None:
        raise refused(value["kind"].removeprefix("AEXPR_"))
    return read(reader, value)


def _simple(reader: Reader, value: Node) -> Expression:
    sign = value["name"][-1]["String"]["sval"]
    if sign in _MATCHES:
        return _matching(reader, value)
    if "lexpr" not in value or sign not in {**COMPARISONS, **ARITHMETIC, "||": None}:
        raise refused(f"the operator {sign}")
    if sign == "||":
        return _concatenated(*(reader.settled(reader.read(value[side]), TEXT) for side in ("lexpr", "rexpr")))
    left, right, oid = reader.paired(reader.read(value["lexpr"]), reader.read(value["rexpr"]), sign)
    if sign in COMPARISONS:
        return Expression(BOOL, strict(COMPARISONS[sign], left.evaluate, right.evaluate))
    if oid not in NUMBERS:
        raise ConsoleError("42883", f"operator does not exist: {NAMES[oid]} {sign} {NAMES[oid]}")
    given = NUMERIC if oid == NUMERIC else INT8
    calculate = ARITHMETIC[sign]
    return Expression(given, strict(lambda a, b: cast(calculate(a, b), given), left.evaluate, right.evaluate))


def _any_of_array(reader: Reader, value: Node) -> Expression:
    """`= ANY (array)` and ALL."""
    sign, decisive = value["name"][-1]["String"]["sval"], value["kind"] == "AEXPR_OP_ANY"
    if sign not in COMPARISONS:
        raise refused(f"the operator {sign}")
    left, right = reader.read(value["lexpr"]), reader.read(value["rexpr"])
    if right.oid == UNKNOWN:
        right = reader.settled(right, ARRAY_OF.get(left.oid, TEXTS))
    if right.oid not in ELEMENT:
        raise ConsoleError("42809", "op ANY/ALL (array) requires array on right side")
    left, _, _ = reader.paired(left, Expression(ELEMENT[right.oid], right.evaluate), sign)
    tested, others, compare = left.evaluate, right.evaluate, COMPARISONS[sign]

    def evaluate(scope: Scope) -> bool | None:
        array = others(scope)
        return None if array is None else compared(compare, tested(scope), array, decisive)

    return Expression(BOOL, evaluate)


def _null_if(reader: Reader, value: Node) -> Expression:
    left, right, _ = reader.paired(reader.read(value["lexpr"]), reader.read(value["rexpr"]), "=")
    first, second = left.evaluate, right.evaluate
    return Expression(left.oid, lambda scope: None if (one := first(scope)) == second(scope) else one, "nullif")


def _distinct_from(reader: Reader, value: Node) -> Expression:
    left, right, _ = reader.paired(reader.read(value["lexpr"]), reader.read(value["rexpr"]), "=")
    first, second, wanted = left.evaluate, right.evaluate, value["kind"] == "AEXPR_DISTINCT"
    return Expression(BOOL, lambda scope: (first(scope) != second(scope)) is wanted)


def _among(reader: Reader, value: Node) -> Expression:
    """IN and NOT IN: NULL, if it is not found but one of them is NULL."""
    tested = reader.read(value["lexpr"])
    found = [reader.paired(tested, reader.read(one), "=") for one in value["rexpr"]["List"]["items"]]
    equal = [strict(operator.eq, left.evaluate, right.evaluate) for left, right, _ in found]
    return _negated(decided(equal, True), value["name"][-1]["String"]["sval"] == "<>")


def _between(reader: Reader, value: Node) -> Expression:
    low, high = value["rexpr"]["List"]["items"]
    tested = reader.read(value["lexpr"])
    below, least, _ = reader.paired(tested, reader.read(low), ">=")
    above, most, _ = reader.paired(tested, reader.read(high), "<=")
    inside = decided([
        strict(operator.ge, below.evaluate, least.evaluate), strict(operator.le, above.evaluate, most.evaluate)
    ], False)  # fmt: skip
    return _negated(inside, value["kind"] == "AEXPR_NOT_BETWEEN")


def _matching(reader: Reader, value: Node) -> Expression:
    """LIKE, ILIKE and regular expressions, and NOT of them."""
    sign = value["name"][-1]["String"]["sval"]
    if "lexpr" not in value:
        raise refused(f"the operator {sign}")
    left, right = (reader.settled(reader.read(value[side]), TEXT) for side in ("lexpr", "rexpr"))
    if (left.oid, right.oid) != (TEXT, TEXT):
        raise ConsoleError("42883", f"operator does not exist: {NAMES[left.oid]} {sign} {NAMES[right.oid]}")
    fold = sign.endswith("*")
    match = like if "~~" in sign else matches
    found = strict(lambda text, pattern: match(text, pattern, fold=fold), left.evaluate, right.evaluate)
    return _negated(found, sign.startswith("!"))


def _negated(evaluate: Evaluate, negated: bool) -> Expression:
    return Expression(BOOL, strict(operator.not_, evaluate) if negated else evaluate)


@reads("BoolExpr")
def _logic(reader: Reader, value: Node) -> Expression:
    parts = [reader.boolean(one).evaluate for one in value["args"]]
    operation = value["boolop"]
    if operation == "NOT_EXPR":
        return _negated(parts[0], True)
    return Expression(BOOL, decided(parts, operation == "OR_EXPR"))


@reads("NullTest")
def _null_test(reader: Reader, value: Node) -> Expression:
    tested, wanted = reader.settled(reader.read(value["arg"]), TEXT).evaluate, value["nulltesttype"] == "IS_NULL"
    return Expression(BOOL, lambda scope: (tested(scope) is None) == wanted)


@reads("BooleanTest")
def _boolean_test(reader: Reader, value: Node) -> Expression:
    tested = reader.boolean(value["arg"]).evaluate
    negated = "NOT_" in value["booltesttype"]
    wanted = {"TRUE": True, "FALSE": False, "UNKNOWN": None}[value["booltesttype"].rpartition("_")[2]]
    return Expression(BOOL, lambda scope: (tested(scope) is wanted) is not negated)


@reads("CollateClause")
def _collated(reader: Reader, value: Node) -> Expression:
    """There is one collation, whatever it is called."""
    return reader.read(value["arg"])


@reads("TypeCast")
def _type_cast(reader: Reader, value: Node) -> Expression:
    written = value["typeName"]
    name = written["names"][-1]["String"]["sval"]
    oid = None if "typmods" in written else CASTS.get(name)
    found = reader.read(value["arg"])
    if "arrayBounds" in written and oid is not None:
        oid = ARRAY_OF.get(oid) if found.oid == UNKNOWN or found.oid in ELEMENT else None
    if oid is None:
        raise refused(f"the type {name}")
    called = name if found.name == "?column?" else found.name
    if found.oid == UNKNOWN:
        settled = reader.settled(found, oid)
        return Expression(oid, settled.evaluate, called, parameter=settled.parameter)
    if oid in ELEMENT or (found.oid in ELEMENT and oid != TEXT):
        element = ELEMENT.get(oid)
        if element is None or found.oid not in ELEMENT:
            raise ConsoleError("42846", f"cannot cast type {NAMES[found.oid]} to {NAMES[oid]}")
        of = strict(lambda all_: tuple(None if one is None else cast(one, element) for one in all_), found.evaluate)
        return Expression(oid, of, called)
    return Expression(oid, strict(lambda one: cast(one, oid), found.evaluate), called)


@reads("CaseExpr")
def _case(reader: Reader, value: Node) -> Expression:
    whens: list[Evaluate] = []
    for one in value["args"]:
        when = one["CaseWhen"]
        if "arg" in value:
            left, right, _ = reader.paired(reader.read(value["arg"]), reader.read(when["expr"]), "=")
            whens.append(strict(operator.eq, left.evaluate, right.evaluate))
        else:
            whens.append(reader.boolean(when["expr"]).evaluate)
    results = [reader.read(one["CaseWhen"]["result"]) for one in value["args"]]
    results.append(reader.read(value["defresult"]) if "defresult" in value else Expression(UNKNOWN, lambda _: None))
    settled, oid = reader.alike(results, "CASE")
    *thens, otherwise = settled

    def evaluate(scope: Scope) -> Any:
        for when, then in zip(whens, thens, strict=True):
            if when(scope):
                return then(scope)
        return otherwise(scope)

    return Expression(oid, evaluate, results[-1].name if results[-1].column is not None else "case")


@reads("CoalesceExpr")
def _coalesce(reader: Reader, value: Node) -> Expression:
    parts, oid = reader.alike([reader.read(one) for one in value["args"]], "COALESCE")
    return Expression(oid, lambda scope: next((v for p in parts if (v := p(scope)) is not None), None), "coalesce")


def _concatenated(left: Expression, right: Expression) -> Expression:
    """Of two arrays, or of a text and anything, for anything can be shown."""
    if left.oid == right.oid and left.oid in ELEMENT:
        return Expression(left.oid, strict(lambda a, b: a + b, left.evaluate, right.evaluate))
    if TEXT not in (left.oid, right.oid) or any(one.oid in ELEMENT for one in (left, right)):
        raise ConsoleError("42883", f"operator does not exist: {NAMES[left.oid]} || {NAMES[right.oid]}")
    return Expression(TEXT, strict(lambda a, b: shown(a) + shown(b), left.evaluate, right.evaluate))


@reads("A_ArrayExpr")
def _array(reader: Reader, value: Node) -> Expression:
    parts, oid = reader.alike([reader.read(one) for one in value.get("elements", [])], "ARRAY")
    if oid not in ARRAY_OF:
        raise refused(f"arrays of {NAMES[oid]}")
    return Expression(ARRAY_OF[oid], lambda scope: tuple([part(scope) for part in parts]), "array")


def _field(found: Expression, name: str) -> Expression:
    if name not in EXPANDED:
        raise ConsoleError("42703", f'column "{name}" not found in data type record')
    at = EXPANDED.index(name)
    return Expression(INT4, strict(lambda record: record[at], found.evaluate), name)


@reads("A_Indirection")
def _subscript(reader: Reader, value: Node) -> Expression:
    """`array[n]`."""
    found, index = reader.read(value["arg"]), value["indirection"][0]
    if found.oid == RECORD and len(value["indirection"]) == 1 and "String" in index:
        return _field(found, index["String"]["sval"])
    written = index.get("A_Indices", {})
    if len(value["indirection"]) > 1 or "uidx" not in written or written.get("is_slice"):
        raise refused("fields of a value, and slices")
    if found.oid not in ELEMENT:
        raise ConsoleError("42804", f"cannot subscript type {NAMES[found.oid]}")
    number = reader.settled(reader.read(written["uidx"]), INT4)
    if number.oid not in (INT4, INT8):
        raise ConsoleError("42804", "array subscript must have type integer")
    at = strict(lambda items, n: items[n - 1] if 0 < n <= len(items) else None, found.evaluate, number.evaluate)
    return Expression(ELEMENT[found.oid], at, found.name)


_OPERATIONS: dict[str, Read] = {
    "AEXPR_OP": _simple,
    "AEXPR_IN": _among,
    "AEXPR_LIKE": _matching,
    "AEXPR_ILIKE": _matching,
    "AEXPR_BETWEEN": _between,
    "AEXPR_NOT_BETWEEN": _between,
    "AEXPR_OP_ANY": _any_of_array,
    "AEXPR_OP_ALL": _any_of_array,
    "AEXPR_NULLIF": _null_if,
    "AEXPR_DISTINCT": _distinct_from,
    "AEXPR_NOT_DISTINCT": _distinct_from,
}
