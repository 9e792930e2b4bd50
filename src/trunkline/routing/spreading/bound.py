"""A SELECT as it was found: what it gives, and whether what it puts together is on one shard."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.schema.catalog import Function
from trunkline.routing.spreading.pieces import Piece, contains_key
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only


@dataclass(frozen=True, slots=True)
class Output:
    """One column that a query gives. `text`: which element of the target list it comes from; `star`: by a star."""

    name: str
    variable: int | None
    node: Node | None = None
    text: int = 0
    star: tuple[str, str] | None = None  # alias and column


@dataclass(slots=True)
class Bound:
    """A SELECT as it was found: its rows before they are grouped, and what is done with them."""

    node: Node
    piece: Piece
    outputs: list[Output]
    scope: Scope
    analysis: Analysis
    aggregates: list[tuple[Node, Function]] = field(default_factory=list)
    windows: list[Node] = field(default_factory=list)

    def output_of(self, wrapped: Node, *, input_first: bool = False) -> Output | None:
        """The output that an element of ORDER BY, GROUP BY or DISTINCT ON means, if it means one."""
        kind, node = only(wrapped)
        if kind == "A_Const":
            place = int(node.get("ival", {}).get("ival", 0))
            if "ival" not in node or not 0 < place <= len(self.outputs):
                raise Unsure("a constant that is no place of an output")
            return self.outputs[place - 1]
        if kind != "ColumnRef" or len(node["fields"]) != 1:
            return None
        name = node["fields"][0].get("String", {}).get("sval", "")
        if input_first and any(name in item.families and name not in item.hidden for item in self.scope.items):
            return None
        found = [one for one in self.outputs if one.name == name]
        if len(found) > 1 and not all(_same_source(found[0], one) for one in found):
            raise Unsure(f"{name} is the name of several outputs")
        return found[0] if found else None

    def variable_of(self, wrapped: Node, *, input_first: bool = False) -> int | None:
        """The column that an element of GROUP BY, DISTINCT ON or PARTITION BY is."""
        output = self.output_of(wrapped, input_first=input_first)
        return output.variable if output is not None else Reader(self.analysis, self.scope, {}).column(wrapped)

    @property
    def groups(self) -> list[Node]:
        groups: list[Node] = self.node.get("groupClause", [])
        return groups

    @property
    def is_grouped(self) -> bool:
        return bool(self.groups or self.aggregates or "havingClause" in self.node)

    def whole_groups(self) -> bool:
        """Whether each group is on one shard."""
        if any("GroupingSet" in one for one in self.groups):
            return False
        return contains_key(self.piece, [self.variable_of(one, input_first=True) for one in self.groups])

    def whole_windows(self) -> bool:
        return all(contains_key(self.piece, self._partition(call)) for call in self.windows)

    def _partition(self, call: Node) -> list[int | None]:
        named = {one["WindowDef"]["name"]: one["WindowDef"] for one in self.node.get("windowClause", ())}
        over, columns, seen = call["over"], [], 0
        while over is not None and seen <= len(named):
            columns += over.get("partitionClause", [])
            reference = over.get("refname") or (over.get("name") if over is call["over"] else None)
            over, seen = named.get(reference), seen + 1
        reader = Reader(self.analysis, self.scope, {})
        return [reader.column(one) for one in columns]

    def whole_distinct(self) -> bool:
        """Whether rows that DISTINCT takes for one are on one shard."""
        clause = self.node.get("distinctClause")
        if not clause:
            return True
        if clause == [{}]:
            return contains_key(self.piece, [one.variable for one in self.outputs])
        return contains_key(self.piece, [self.variable_of(one) for one in clause])


def _same_source(one: Output, other: Output) -> bool:
    return one.variable is not None and one.variable == other.variable
