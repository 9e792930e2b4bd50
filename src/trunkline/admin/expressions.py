"""Expressions of the console's SELECT: a parse tree becomes functions in Python, each with the type of what it gives.

What is not in the tables here is refused (0A000): nothing is evaluated that nobody has thought of. NULL is None, and
what PostgreSQL says of it holds: comparisons with it are NULL, AND and OR have three values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from trunkline.admin.columns import Columns
from trunkline.admin.patterns import like
from trunkline.admin.probes import VERSION
from trunkline.admin.result import ConsoleError, Row, Value
from trunkline.admin.types import CASTS, NAMES, NUMBERS, UNKNOWN, cast, common, from_text
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ
from trunkline.routing.sql import Node, only

MAX_DEPTH: Final = 40
MAX_PARAMETERS: Final = 100


@dataclass(slots=True)
class Scope:
    """What an expression is evaluated on: a row, and for aggregates all rows of its group."""

    row: Row
    rows: Sequence[Row] = ()
    parameters: Sequence[Value] = ()
    user: str = ""


Evaluate = Callable[[Scope], Any]


@dataclass(slots=True)
class Expression:
    oid: int
    evaluate: Evaluate
    name: str = "?column?"
    literal: str | None = None  # the text of one that is UNKNOWN
    parameter: int = 0
    column: int | None = None  # if it is nothing but this column


def refused(what: str) -> ConsoleError:
    hint = "SHOW is not SQL: SELECT reads one relation, with WHERE, GROUP BY, ORDER BY, LIMIT and OFFSET."
    return ConsoleError("0A000", f"the console does not understand {what}", hint=hint)


@dataclass(slots=True)
class Reader:
    """Reads the expressions of one statement about one relation."""

    relation: str
    columns: Columns
    parameters: dict[int, int] = field(default_factory=dict)  # number -> type
    bare: set[int] = field(default_factory=set)  # columns that stand outside of aggregates
    aggregates: bool = False
    _inside: bool = False  # of an aggregate
    _depth: int = 0

    def read(self, node: Node) -> Expression:
        kind, value = only(node)
        reader = _READERS.get(kind)
        if reader is None:
            raise refused(kind)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConsoleError("54001", "the expression is nested too deeply")
        try:
            return reader(self, value)
        finally:
            self._depth -= 1

    def boolean(self, node: Node) -> Expression:
        found = self.settled(self.read(node), BOOL)
        if found.oid != BOOL:
            raise ConsoleError("42804", f"argument must be type boolean, not type {NAMES[found.oid]}")
        return found

    # --- types --------------------------------------------------------------------------------------------------

    def settled(self, found: Expression, oid: int) -> Expression:
        """The same, of this type if it was of none; what is of another one is left so."""
        if found.oid != UNKNOWN:
            return found
        if found.parameter:
            known = self.parameters[found.parameter]
            if known != UNKNOWN and known != oid:
                raise ConsoleError("42P08", f"inconsistent types deduced for parameter ${found.parameter}")
            self.parameters[found.parameter] = oid
            return Expression(oid, found.evaluate, found.name, parameter=found.parameter)
        value = None if found.literal is None else from_text(found.literal, oid)
        return Expression(oid, lambda _: value, found.name)

    def paired(self, left: Expression, right: Expression, sign: str) -> tuple[Expression, Expression, int]:
        """Both as one type, or an error in PostgreSQL's words."""
        oid = common(left.oid, right.oid)
        if oid is None:
            words = f"operator does not exist: {NAMES[left.oid]} {sign} {NAMES[right.oid]}"
            raise ConsoleError("42883", words)
        oid = TEXT if oid == UNKNOWN else oid
        return self.settled(left, oid), self.settled(right, oid), oid

    # --- leaves -------------------------------------------------------------------------------------------------

    def column(self, value: Node) -> Expression:
        parts = [one["String"].get("sval", "") if "String" in one else "*" for one in value["fields"]]
        if len(parts) > 2 or "*" in parts or (len(parts) == 2 and parts[0] != self.relation):
            raise ConsoleError("42703", f"column {'.'.join(parts)} does not exist")
        return self.column_named(parts[-1])

    def column_named(self, name: str) -> Expression:
        index = next((index for index, (known, _) in enumerate(self.columns) if known == name), None)
        if index is None:
            raise ConsoleError("42703", f'column "{name}" does not exist')
        if not self._inside:
            self.bare.add(index)
        return Expression(self.columns[index][1], lambda scope: scope.row[index], name, column=index)

    def constant(self, value: Node) -> Expression:
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

    def parameter(self, value: Node) -> Expression:
        number = value.get("number", 0)
        if not 1 <= number <= MAX_PARAMETERS:
            raise ConsoleError("42P02", f"there is no parameter ${number}")
        oid = self.parameters.setdefault(number, UNKNOWN)
        return Expression(oid, lambda scope: scope.parameters[number - 1], parameter=number)

    def value_function(self, value: Node) -> Expression:
        operation = value["op"]
        if operation == "SVFOP_USER" and any(name == "user" for name, _ in self.columns):
            return self.column_named("user")  # the relations' own word goes before SQL's
        if operation in ("SVFOP_USER", "SVFOP_CURRENT_USER", "SVFOP_SESSION_USER"):
            return Expression(TEXT, lambda scope: scope.user, operation.removeprefix("SVFOP_").lower())
        if operation == "SVFOP_CURRENT_TIMESTAMP":
            return Expression(TIMESTAMPTZ, _now, "current_timestamp")
        raise refused(operation.removeprefix("SVFOP_"))

    # --- operators ----------------------------------------------------------------------------------------------

    def operation(self, value: Node) -> Expression:
        reader = _OPERATIONS.get(value["kind"])
        if reader is None:
            raise refused(value["kind"].removeprefix("AEXPR_"))
        return reader(self, value)

    def simple(self, value: Node) -> Expression:
        sign = value["name"][-1]["String"]["sval"]
        if "lexpr" not in value or sign not in {**_COMPARISONS, **_ARITHMETIC}:
            raise refused(f"the operator {sign}")
        left, right, oid = self.paired(self.read(value["lexpr"]), self.read(value["rexpr"]), sign)
        if sign in _COMPARISONS:
            return Expression(BOOL, _strict(_COMPARISONS[sign], left.evaluate, right.evaluate))
        if oid not in NUMBERS:
            raise ConsoleError("42883", f"operator does not exist: {NAMES[oid]} {sign} {NAMES[oid]}")
        given = NUMERIC if oid == NUMERIC else INT8
        calculate = _ARITHMETIC[sign]
        return Expression(given, _strict(lambda a, b: cast(calculate(a, b), given), left.evaluate, right.evaluate))

    def among(self, value: Node) -> Expression:
        """IN and NOT IN: NULL, if it is not found but one of them is NULL."""
        tested = self.read(value["lexpr"])
        found = [self.paired(tested, self.read(one), "=") for one in value["rexpr"]["List"]["items"]]
        equal = [_strict(operator.eq, left.evaluate, right.evaluate) for left, right, _ in found]
        return self._negated(_any(equal), value["name"][-1]["String"]["sval"] == "<>")

    def between(self, value: Node) -> Expression:
        low, high = value["rexpr"]["List"]["items"]
        tested = self.read(value["lexpr"])
        below, least, _ = self.paired(tested, self.read(low), ">=")
        above, most, _ = self.paired(tested, self.read(high), "<=")
        inside = _all([
            _strict(operator.ge, below.evaluate, least.evaluate), _strict(operator.le, above.evaluate, most.evaluate)
        ])  # fmt: skip
        return self._negated(inside, value["kind"] == "AEXPR_NOT_BETWEEN")

    def matching(self, value: Node) -> Expression:
        """LIKE and ILIKE, and NOT of both."""
        sign = value["name"][-1]["String"]["sval"]
        left, right = (self.settled(self.read(value[side]), TEXT) for side in ("lexpr", "rexpr"))
        if (left.oid, right.oid) != (TEXT, TEXT):
            raise ConsoleError("42883", f"operator does not exist: {NAMES[left.oid]} {sign} {NAMES[right.oid]}")
        fold = sign.endswith("*")
        matches = _strict(lambda text, pattern: like(text, pattern, fold=fold), left.evaluate, right.evaluate)
        return self._negated(matches, sign.startswith("!"))

    @staticmethod
    def _negated(evaluate: Evaluate, negated: bool) -> Expression:
        return Expression(BOOL, _strict(operator.not_, evaluate) if negated else evaluate)

    def logic(self, value: Node) -> Expression:
        parts = [self.boolean(one).evaluate for one in value["args"]]
        operation = value["boolop"]
        if operation == "NOT_EXPR":
            return self._negated(parts[0], True)
        return Expression(BOOL, _all(parts) if operation == "AND_EXPR" else _any(parts))

    def null_test(self, value: Node) -> Expression:
        tested, wanted = self.settled(self.read(value["arg"]), TEXT).evaluate, value["nulltesttype"] == "IS_NULL"
        return Expression(BOOL, lambda scope: (tested(scope) is None) == wanted)

    def type_cast(self, value: Node) -> Expression:
        written = value["typeName"]
        name = written["names"][-1]["String"]["sval"]
        oid = None if "arrayBounds" in written or "typmods" in written else CASTS.get(name)
        if oid is None:
            raise refused(f"the type {name}")
        found = self.read(value["arg"])
        called = name if found.name == "?column?" else found.name
        if found.oid == UNKNOWN:
            settled = self.settled(found, oid)
            return Expression(oid, settled.evaluate, called, parameter=settled.parameter)
        return Expression(oid, _strict(lambda one: cast(one, oid), found.evaluate), called)

    def coalesce(self, value: Node) -> Expression:
        found = [self.read(one) for one in value["args"]]
        oid = UNKNOWN
        for one in found:
            shared = common(oid, one.oid)
            if shared is None:
                raise ConsoleError("42804", f"COALESCE types {NAMES[oid]} and {NAMES[one.oid]} cannot be matched")
            oid = shared
        oid = TEXT if oid == UNKNOWN else oid
        parts = [self.settled(one, oid).evaluate for one in found]
        return Expression(oid, lambda scope: next((v for p in parts if (v := p(scope)) is not None), None), "coalesce")

    # --- functions ----------------------------------------------------------------------------------------------

    def call(self, value: Node) -> Expression:
        *schema, name = (one["String"]["sval"] for one in value["funcname"])
        if schema not in ([], ["pg_catalog"]):
            raise ConsoleError("42883", f"function {'.'.join(schema)}.{name} does not exist")
        if any(key in value for key in ("over", "agg_filter", "agg_order", "agg_within_group", "agg_distinct")):
            raise refused("DISTINCT, FILTER, ORDER BY and OVER in a call")
        arguments = value.get("args", [])
        if name in _AGGREGATES:
            return self._aggregate(name, arguments, star=bool(value.get("agg_star")))
        known = _FUNCTIONS.get((name, len(arguments)))
        if known is None:
            raise ConsoleError(
                "42883", f"function {name} with {len(arguments)} arguments does not exist in the console"
            )
        oid, function = known
        parts = [self.settled(self.read(one), TEXT) for one in arguments]
        if any(part.oid != TEXT for part in parts):
            raise ConsoleError("42883", f"function {name}({', '.join(NAMES[one.oid] for one in parts)}) does not exist")
        return Expression(oid, _strict(function, *(part.evaluate for part in parts)), name)

    def _aggregate(self, name: str, arguments: Sequence[Node], *, star: bool) -> Expression:
        if self._inside:
            raise ConsoleError("42803", "aggregate function calls cannot be nested")
        self.aggregates = True
        if star and name == "count":
            return Expression(INT8, lambda scope: len(scope.rows), name)
        if star or len(arguments) != 1:
            raise ConsoleError("42883", f"function {name} takes one argument")
        self._inside = True
        try:
            found = self.settled(self.read(arguments[0]), TEXT)
        finally:
            self._inside = False
        if name in ("sum", "avg") and found.oid not in NUMBERS:
            raise ConsoleError("42883", f"function {name}({NAMES[found.oid]}) does not exist")
        oid = {"count": INT8, "sum": INT8 if found.oid == INT4 else NUMERIC, "avg": NUMERIC}.get(name, found.oid)
        return Expression(oid, _over_rows(_AGGREGATES[name], found.evaluate), name)


def _fixed(oid: int, value: Value) -> Expression:
    return Expression(oid, lambda _: value, name="bool" if oid == BOOL else "?column?")


def _strict(function: Callable[..., Any], *parts: Evaluate) -> Evaluate:
    """NULL, if any of its arguments is."""

    def evaluate(scope: Scope) -> Any:
        values = [part(scope) for part in parts]
        return None if any(value is None for value in values) else function(*values)

    return evaluate


def _decided(parts: Sequence[Evaluate], decisive: bool) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        unknown = False
        for part in parts:
            value = part(scope)
            if value is decisive:
                return decisive
            unknown = unknown or value is None
        return None if unknown else not decisive

    return evaluate


def _any(parts: Sequence[Evaluate]) -> Evaluate:
    return _decided(parts, True)


def _all(parts: Sequence[Evaluate]) -> Evaluate:
    return _decided(parts, False)


def _over_rows(function: Callable[[list[Any]], Any], evaluate: Evaluate) -> Evaluate:
    """An aggregate over what is not NULL in the rows of a group."""

    def aggregate(scope: Scope) -> Any:
        inner = (Scope(row, (), scope.parameters, scope.user) for row in scope.rows)
        return function([value for one in inner if (value := evaluate(one)) is not None])

    return aggregate


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        raise ConsoleError("22012", "division by zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return Decimal(left) / Decimal(right)


def _average(values: list[Any]) -> Decimal | None:
    return Decimal(sum(values)) / len(values) if values else None


def _total(values: Iterable[Any]) -> Any:
    values = list(values)
    return sum(values) if values else None


def _now(scope: Scope) -> datetime:
    return datetime.now(UTC)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divide
}  # fmt: skip
_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "sum": _total,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "avg": _average,
}
_FUNCTIONS: dict[tuple[str, int], tuple[int, Callable[..., Any]]] = {
    ("lower", 1): (TEXT, str.lower),
    ("upper", 1): (TEXT, str.upper),
    ("length", 1): (INT4, len),
    ("now", 0): (TIMESTAMPTZ, lambda: datetime.now(UTC)),
    ("version", 0): (TEXT, lambda: VERSION),
    ("current_database", 0): (TEXT, lambda: "trunkline"),
    ("current_schema", 0): (TEXT, lambda: None),
}

_Read = Callable[[Reader, Node], Expression]
_OPERATIONS: dict[str, _Read] = {
    "AEXPR_OP": Reader.simple,
    "AEXPR_IN": Reader.among,
    "AEXPR_LIKE": Reader.matching,
    "AEXPR_ILIKE": Reader.matching,
    "AEXPR_BETWEEN": Reader.between,
    "AEXPR_NOT_BETWEEN": Reader.between,
}
_READERS: dict[str, _Read] = {
    "ColumnRef": Reader.column,
    "A_Const": Reader.constant,
    "ParamRef": Reader.parameter,
    "SQLValueFunction": Reader.value_function,
    "A_Expr": Reader.operation,
    "BoolExpr": Reader.logic,
    "NullTest": Reader.null_test,
    "TypeCast": Reader.type_cast,
    "CoalesceExpr": Reader.coalesce,
    "FuncCall": Reader.call,
}
