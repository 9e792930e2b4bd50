"""From an expression in WHERE or ON to the conditions that hold where it is true.

AND gives what each part gives; OR gives a condition where every branch gives one; NOT, and every expression that is
not in the tables below, gives nothing. Only operators of PostgreSQL's own are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.conditions import Condition, Element, IsNull, Member, Same, Within, either
from trunkline.routing.planning.constants import ANY_FAMILY, alike, family_of, fits, read_as, type_name
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.planning.tree import Derived
from trunkline.routing.plans.plan import Constant, Literal, Source
from trunkline.routing.sql import Node, only

Bound = Mapping[int, Derived]  # id of a SubLink's node -> its query
MAX_DEPTH = 50  # of AND and OR in each other


class Reader:
    """Reads expressions of one scope. `bound` are the queries in them."""

    __slots__ = ("_bound", "_families", "_scope", "_text", "_trusts", "constant")

    def __init__(self, analysis: Analysis, scope: Scope, bound: Bound) -> None:
        self.constant = analysis.constant
        self._text = analysis.text
        self._families = analysis.facts.variables.families
        self._trusts = analysis.trusts_names
        self._scope = scope
        self._bound = bound

    def read(self, wrapped: Node | None, depth: int = MAX_DEPTH) -> list[Condition]:
        """The conditions that hold where this expression is true."""
        if not wrapped or not depth:
            return []
        name, node = only(wrapped)
        if name == "BoolExpr":
            return self._bool(node, depth)
        reader = _READERS.get(name)
        return reader(self, node) if reader is not None else []

    def _bool(self, node: Node, depth: int) -> list[Condition]:
        if node["boolop"] == "AND_EXPR":
            return [one for part in node["args"] for one in self.read(part, depth - 1)]
        if node["boolop"] == "OR_EXPR":
            return either([self.read(part, depth - 1) for part in node["args"]])
        return []

    # --- operands

    def column(self, wrapped: Node) -> int | None:
        """The variable that an expression is, if it is one: a column, or a cast of it that keeps it equal."""
        name, node = only(wrapped)
        if name == "ColumnRef":
            return self._scope.resolve(node["fields"])
        if name == "TypeCast":
            inner, type = self.column(node["arg"]), type_name(node["typeName"])
            if inner is not None and type is not None and family_of(type) == self._families[inner]:
                return inner
        return None

    def value_for(self, variable: int | None, wrapped: Node) -> Source | None:
        """The constant that an expression is, if the column is compared with it in its own type."""
        if variable is None:
            return None
        source = self.constant(wrapped)
        family = self._families[variable]
        return read_as(family, source, self._text) if source is not None and fits(family, source) else None

    # --- operators

    def expression(self, node: Node) -> list[Condition]:
        names = [part["String"].get("sval", "") for part in node["name"]]
        if len(names) > 1 and names[0] != "pg_catalog":
            return []
        if not self._trusts and len(names) == 1:
            return []
        reader = _KINDS.get((node.get("kind", ""), names[-1]))
        return reader(self, node) if reader is not None and "lexpr" in node else []

    def equal(self, left: Node, right: Node) -> list[Condition]:
        """What `left = right` says."""
        if "RowExpr" in left and "RowExpr" in right:
            pairs = zip(left["RowExpr"].get("args", ()), right["RowExpr"].get("args", ()), strict=False)
            return [one for a, b in pairs for one in self.equal(a, b)]
        a, b = self.column(left), self.column(right)
        if a is not None and b is not None:
            return self.same(a, b)
        if a is None and b is None:
            return []
        variable, other = (a, right) if a is not None else (b, left)
        if variable is not None and "SubLink" in other:
            return self.one_of(variable, other["SubLink"], "EXPR_SUBLINK")
        source = self.value_for(variable, other)
        return [Member((variable,), ((source,),))] if variable is not None and source is not None else []

    def assigned(self, variable: int, value: Node) -> list[Condition]:
        """What is known of a column that has been given this value."""
        column = self.column(value)
        if column is not None:
            return self.same(variable, column)
        source = self.value_for(variable, value)
        return [Member((variable,), ((source,),), by_definition=True)] if source is not None else []

    def same(self, left: int, right: int) -> list[Condition]:
        a, b = self._families[left], self._families[right]
        if a is None or b is None or not (alike(a, b) or ANY_FAMILY in (a, b)):
            return []
        return [Same(left, right)]

    def one_of(self, variable: int, node: Node, form: str) -> list[Condition]:
        """A column that is equal to the one row of a query, or to one of the array that is made of them."""
        if node["subLinkType"] != form or id(node) not in self._bound:
            return []
        derived = self._bound[id(node)]
        if derived.query.groups_all or len(derived.columns) != 1 or derived.columns[0] is None:
            return []
        link = self.same(variable, derived.columns[0])
        return [*link, *derived.up] if link else []

    def among(self, left: Node, items: list[Node]) -> list[Condition]:
        """`left IN (items)`."""
        if "RowExpr" in left:
            return self._rows_among(left["RowExpr"].get("args", []), items)
        variable = self.column(left)
        if variable is None:
            return []
        rows = []
        for item in items:
            source = self.value_for(variable, item)
            if source is None:
                return either([self.equal(left, one) for one in items])
            rows.append((source,))
        return [Member((variable,), tuple(rows))]

    def _rows_among(self, left: list[Node], items: list[Node]) -> list[Condition]:
        """Those columns of the row for which every item has a constant."""
        rows = [item["RowExpr"].get("args", []) if "RowExpr" in item else [] for item in items]
        if any(len(row) != len(left) for row in rows):
            return []
        variables: list[int] = []
        columns: list[list[Source]] = []
        for place, part in enumerate(left):
            variable = self.column(part)
            values = [self.value_for(variable, row[place]) for row in rows]
            known = [value for value in values if value is not None]
            if variable is not None and len(known) == len(rows):
                variables.append(variable)
                columns.append(known)
        return [Member(tuple(variables), tuple(zip(*columns, strict=True)))] if variables else []


def _operator_equal(reader: Reader, node: Node) -> list[Condition]:
    return reader.equal(node["lexpr"], node["rexpr"])


def _operator_in(reader: Reader, node: Node) -> list[Condition]:
    return reader.among(node["lexpr"], node["rexpr"].get("List", {}).get("items", []))


def _operator_any(reader: Reader, node: Node) -> list[Condition]:
    array = node["rexpr"]
    if "A_ArrayExpr" in array:
        return reader.among(node["lexpr"], array["A_ArrayExpr"].get("elements", []))
    if "TypeCast" in array and "A_ArrayExpr" in array["TypeCast"]["arg"]:
        return _cast_array(reader, node["lexpr"], array["TypeCast"])
    variable = reader.column(node["lexpr"])
    if variable is not None and "SubLink" in array:
        return reader.one_of(variable, array["SubLink"], "ARRAY_SUBLINK")
    source = reader.constant(array)
    if variable is None or source is None or not fits(reader._families[variable], source):
        return []
    if source.type and not source.type.endswith("[]"):
        return []
    if isinstance(source, Constant):  # = ANY (NULL)
        return [Member((variable,), ((source,),))] if source.text is None else []
    return [Element(variable, source)]


def _cast_array(reader: Reader, left: Node, cast: Node) -> list[Condition]:
    """`= ANY (ARRAY[...]::type[])`, if the type is the column's own."""
    variable, type = reader.column(left), type_name(cast["typeName"])
    if variable is None or type is None or family_of(type.removesuffix("[]")) != reader._families[variable]:
        return []
    return reader.among(left, cast["arg"]["A_ArrayExpr"].get("elements", []))


def _operator_not_distinct(reader: Reader, node: Node) -> list[Condition]:
    """Like `=`, but for NULL: so only where the constant cannot be NULL, or is."""
    for a, b in ((node["lexpr"], node["rexpr"]), (node["rexpr"], node["lexpr"])):
        variable, source = reader.column(a), reader.constant(b)
        if variable is not None and source is not None:
            if isinstance(source, Literal):
                return reader.equal(a, b)
            return [IsNull(variable)] if source == Constant(None) else []
    return []


def _bounds(reader: Reader, low: Node | None, column: Node, high: Node | None) -> list[Condition]:
    variable = reader.column(column)
    if variable is None or reader._families[variable] in ("text", "bpchar"):  # their order is the collation's
        return []
    values = [reader.value_for(variable, one) if one is not None else None for one in (low, high)]
    return [Within(variable, values[0], values[1])] if any(value is not None for value in values) else []


def _less(reader: Reader, node: Node) -> list[Condition]:
    left, right = node["lexpr"], node["rexpr"]
    return _bounds(reader, None, left, right) or _bounds(reader, left, right, None)


def _greater(reader: Reader, node: Node) -> list[Condition]:
    left, right = node["lexpr"], node["rexpr"]
    return _bounds(reader, right, left, None) or _bounds(reader, None, right, left)


def _between(reader: Reader, node: Node) -> list[Condition]:
    low, high = node["rexpr"]["List"]["items"]
    return _bounds(reader, low, node["lexpr"], high)


_KINDS: dict[tuple[str, str], Callable[[Reader, Node], list[Condition]]] = {
    ("AEXPR_OP", "="): _operator_equal,
    ("AEXPR_OP", "<"): _less,
    ("AEXPR_OP", "<="): _less,
    ("AEXPR_OP", ">"): _greater,
    ("AEXPR_OP", ">="): _greater,
    ("AEXPR_IN", "="): _operator_in,
    ("AEXPR_OP_ANY", "="): _operator_any,
    ("AEXPR_NOT_DISTINCT", "="): _operator_not_distinct,
    ("AEXPR_BETWEEN", "BETWEEN"): _between,
}


def _null_test(reader: Reader, node: Node) -> list[Condition]:
    variable = reader.column(node["arg"]) if node["nulltesttype"] == "IS_NULL" else None
    return [IsNull(variable)] if variable is not None else []


def _sublink(reader: Reader, node: Node) -> list[Condition]:
    """EXISTS and IN: there is a row of the query, and what holds for its rows holds for that one."""
    derived = reader._bound.get(id(node))
    if derived is None or derived.query.groups_all:
        return []
    if node["subLinkType"] == "EXISTS_SUBLINK":
        return list(derived.up)
    if node["subLinkType"] != "ANY_SUBLINK" or not _is_in(reader, node):
        return []
    test = node["testexpr"]
    left = test["RowExpr"].get("args", []) if "RowExpr" in test else [test]
    links: list[Condition] = []
    for part, output in zip(left, derived.columns, strict=False):
        variable = reader.column(part)
        if output is not None and variable is not None:
            links += reader.same(variable, output)
        elif output is not None and (source := reader.value_for(output, part)) is not None:
            links.append(Member((output,), ((source,),)))
    return [*links, *derived.up]


def _is_in(reader: Reader, node: Node) -> bool:
    """IN, or = ANY; IN names no operator, and is never anything but `=`."""
    names = [part["String"].get("sval", "") for part in node.get("operName", ())]
    return reader._trusts and (not names or names in (["="], ["pg_catalog", "="]))


_READERS: dict[str, Callable[[Reader, Node], list[Condition]]] = {
    "A_Expr": Reader.expression,
    "NullTest": _null_test,
    "SubLink": _sublink,
}
