"""Queries bound as pieces: FROM, WHERE, the queries in expressions, and whether each shard may do the whole by itself.

A query is `local` to what is around it if its rows are on the shard of the row that it is asked for, because its WHERE
makes keys equal to keys of that row; then it may do anything. A query that stands for itself is a piece only while
rows that it puts together (GROUP BY, DISTINCT, PARTITION BY, UNION) have a key in common. What every shard has all of
must give the same on each: nothing in it may depend on the order in which a shard happens to have its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.conditions import Condition
from trunkline.routing.planning.deduction import Knowledge
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.scopes import Cte, Item, Scope
from trunkline.routing.schema.catalog import Column, Function
from trunkline.routing.spreading.bound import Bound, Output
from trunkline.routing.spreading.expressions import Expressions, has
from trunkline.routing.spreading.naming import name_of
from trunkline.routing.spreading.pieces import (
    EVERYWHERE,
    Inner,
    Key,
    Outer,
    Piece,
    Tree,
    contains_key,
    equalities,
    settle,
)
from trunkline.routing.spreading.returned_rows import CHANGES, returned
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, only

_STEADY = frozenset(("bit_and", "bit_or", "bool_and", "bool_or", "count", "every", "max", "min"))


Source = Callable[["Binder", Node, Scope, "Piece | None"], tuple[Tree, list[Item]]]


class Binder:
    """Binds the queries of one text; views are bound by another."""

    def __init__(self, analysis: Analysis, source: Source, *, may_write: bool = False) -> None:
        """`may_write`: what a query in WITH writes, each shard does its part of."""
        self.analysis = analysis
        self._may_write = may_write
        self._source = source
        self._columns: dict[tuple[int, str], Column] = {}
        self._items: list[Item] = []  # kept, so that their ids are theirs

    def of_text(self, text: str) -> Binder:
        """For a text from the catalog."""
        return Binder(self.analysis.inside(text, self.analysis.search_path), self._source)

    def remember(self, item: Item, names: Iterable[str], found: Found) -> None:
        """The columns of a table that is an item, by the names that they have there."""
        self._items.append(item)
        columns = found.relation.columns if found.relation is not None else ()
        self._columns.update(((id(item), name), column) for name, column in zip(names, columns, strict=False))

    def column_of(self, scope: Scope, names: Sequence[str]) -> Column | None:
        """The column of a table that a name means; None if it is anything else."""
        items = [item for item in scope.items if has(item, names)]
        return self._columns.get((id(items[0]), names[-1])) if len(items) == 1 else None

    def query(self, node: Node, scope: Scope, around: Piece | None) -> tuple[Piece, list[Output]]:
        """A query within another. `around`: what is known of the rows that it is asked for."""
        self.analysis.facts.count()
        self.ctes(node, scope)
        if node.get("op", "SETOP_NONE") != "SETOP_NONE":
            return self.combination(node, scope, around)
        if "valuesLists" in node:
            return self._values(node, scope, around)
        bound = self.block(node, scope, around)
        if not bound.piece.spread:
            self._steady(bound)
            return EVERYWHERE, bound.outputs
        if around is not None:
            return EVERYWHERE, bound.outputs
        self._whole(bound)
        return replace(bound.piece, known=()) if CHANGES in node else bound.piece, bound.outputs

    def ctes(self, node: Node, scope: Scope) -> None:
        """Put those of a statement into its scope."""
        clause = node.get("withClause")
        if clause is None:
            return
        if clause.get("recursive"):
            raise Unsure("WITH RECURSIVE")
        ctes = dict(scope.ctes)
        for wrapped in clause["ctes"]:
            cte = wrapped["CommonTableExpr"]
            kind, query = only(cte["ctequery"])
            if kind != "SelectStmt":
                if not self._may_write:
                    raise Unsure("a query of WITH writes")
                query = returned(kind, query)
            columns = [one["String"].get("sval", "") for one in cte.get("aliascolnames", ())]
            ctes[cte["ctename"]] = Cte(cte["ctename"], query, Scope(scope.parent, ctes=dict(ctes)), columns)
        scope.ctes = ctes

    def block(self, node: Node, scope: Scope, around: Piece | None) -> Bound:
        """One SELECT. Its piece is that of its rows before they are grouped."""
        if "lockingClause" in node or "intoClause" in node:
            raise Unsure("it locks rows, or makes a table")
        parts: list[Tree] = []
        for wrapped in node.get("fromClause", ()):
            part, items = self._source(self, wrapped, scope, context_of(parts, around))
            parts.append(part)
            scope.items.extend(items)
        where = node.get("whereClause")
        conditions = equalities(Reader(self.analysis, scope, {}).read(where))
        context = [around] if around is not None else []
        semi, equal, done = self._semi_joins(where, scope) if _keys_of([*parts, *context]) else ([], [], set())
        everything = settle(Inner((*parts, *semi, *context), (*conditions, *equal)))
        spread = any(_is_spread(part) for part in (*parts, *semi))
        piece = everything if spread else Piece(False, (), everything.known)
        bound = Bound(node, piece, self.outputs(node, scope), scope, self.analysis)
        within = everything if everything.spread else None
        self._check(bound, within, done)
        return bound

    def _check(self, bound: Bound, within: Piece | None, done: set[int]) -> None:
        def on_sublink(node: Node) -> None:
            if id(node) in done:
                return
            piece, _ = self.query(node["subselect"]["SelectStmt"], Scope(bound.scope), within)
            if piece.spread:
                raise Unsure("a subquery concerns rows on more than one shard")

        def on_call(node: Node, function: Function) -> None:
            if "over" in node:
                bound.windows.append(node)
            else:
                self._own_level(node, bound.scope)
                bound.aggregates.append((node, function))

        reader = Expressions(self.analysis, bound.scope, on_sublink, on_call)
        node = bound.node
        where = node.get("whereClause")
        if where is not None:
            reader.check([where])
        reader.check([one.node for one in bound.outputs if one.node is not None])
        for name in ("havingClause", "windowClause"):
            if name in node:
                reader.check(node[name] if isinstance(node[name], list) else [node[name]])
        for name in ("groupClause", "sortClause", "distinctClause"):
            for wrapped in node.get(name, ()):
                inner = wrapped["SortBy"]["node"] if "SortBy" in wrapped else wrapped
                if inner and bound.output_of(inner, input_first=name == "groupClause") is None:
                    reader.check([inner])

    def _own_level(self, node: Node, scope: Scope) -> None:
        """An aggregate belongs to the innermost query whose columns it has: of an outer one's, it is the outer's."""
        if scope.parent is None:
            return
        levels: list[int] = []
        reader = Expressions(self.analysis, scope, lambda one: levels.append(0), lambda one, function: None)
        todo = [node.get("args", []), node.get("agg_filter", {}), node.get("agg_order", [])]
        while todo:
            current = todo.pop()
            if isinstance(current, list):
                todo += current
            elif isinstance(current, dict):
                if "ColumnRef" in current:
                    levels.append(reader.level(current["ColumnRef"]["fields"]))
                todo += [value for value in current.values() if isinstance(value, (dict, list))]
        if levels and min(levels) > 0:
            raise Unsure("an aggregate is an outer query's")

    def _semi_joins(self, where: Node | None, scope: Scope) -> tuple[list[Tree], list[Condition], set[int]]:
        """Queries of `column IN (SELECT ...)` that WHERE demands: rows of them that are not equal do not matter."""
        pieces: list[Tree] = []
        conditions: list[Condition] = []
        done: set[int] = set()
        for wrapped in _demanded(where):
            kind, node = only(wrapped)
            if kind != "SubLink" or node["subLinkType"] != "ANY_SUBLINK" or "operName" in node:
                continue
            reader = Reader(self.analysis, scope, {})
            variable = reader.column(node["testexpr"])
            try:
                piece, outputs = self.query(node["subselect"]["SelectStmt"], Scope(scope), None)
            except Unsure:
                continue
            if piece.spread and variable is not None and len(outputs) == 1 and outputs[0].variable is not None:
                pieces.append(piece)
                conditions += reader.same(variable, outputs[0].variable)
                done.add(id(node))
        return pieces, conditions, done

    # --- what a query is as a whole

    def _whole(self, bound: Bound) -> None:
        if "limitCount" in bound.node or "limitOffset" in bound.node:
            raise Unsure("a query within another has a limit")
        if bound.is_grouped and not bound.whole_groups():
            raise Unsure("a query within another puts rows of several shards into one group")
        if not bound.whole_windows():
            raise Unsure("a window has rows of several shards")
        if not bound.whole_distinct():
            raise Unsure("DISTINCT has rows of several shards")

    def _steady(self, bound: Bound) -> None:
        """Unsure if what every shard has might give something else on each."""
        node = bound.node
        if not node.get("fromClause"):
            return
        picks = "limitCount" in node or "limitOffset" in node or bound.windows
        if picks or node.get("distinctClause", [{}]) != [{}]:
            raise Unsure("which rows a query has may differ from shard to shard")
        if any(function.name not in _STEADY for _, function in bound.aggregates):
            raise Unsure("an aggregate may depend on the order of its rows")

    def _values(self, node: Node, scope: Scope, around: Piece | None) -> tuple[Piece, list[Output]]:
        rows = [wrapped["List"].get("items", []) for wrapped in node["valuesLists"]]
        if "sortClause" in node or "limitCount" in node or "limitOffset" in node:
            raise Unsure("VALUES with ORDER BY or LIMIT")
        self._check(
            Bound({}, EVERYWHERE, [Output("", None, one) for row in rows for one in row], scope, self.analysis),
            around,
            set(),
        )
        return EVERYWHERE, [Output(f"column{place + 1}", None) for place in range(len(rows[0]))]

    def combination(self, node: Node, scope: Scope, around: Piece | None) -> tuple[Piece, list[Output]]:
        """UNION, INTERSECT, EXCEPT of two queries; ORDER BY and LIMIT of the whole are not looked at here."""
        if "limitCount" in node or "limitOffset" in node or "lockingClause" in node:
            raise Unsure("a set operation with a limit")
        left, left_outputs = self.query(node["larg"], Scope(scope), around)
        right, right_outputs = self.query(node["rarg"], Scope(scope), around)
        if len(left_outputs) != len(right_outputs):
            raise Unsure("a set operation of different widths")
        keeps_all = node["op"] == "SETOP_UNION" and bool(node.get("all"))
        if not left.spread and not right.spread:
            return EVERYWHERE, [Output(one.name, None) for one in left_outputs]
        if left.spread != right.spread:
            raise Unsure("a set operation of what is spread and what is not")
        variables = self.analysis.facts.variables
        keys, outputs = [], [Output(one.name, None) for one in left_outputs]
        for place, (a, b) in enumerate(zip(left_outputs, right_outputs, strict=True)):
            if a.variable is None or b.variable is None:
                continue
            family = variables.families[a.variable]
            if family != variables.families[b.variable]:
                continue
            ours, theirs = _single_keys(left, a.variable), _single_keys(right, b.variable)
            if ours.keys() & theirs.keys():
                outer = variables.new(family)
                outputs[place] = Output(a.name, outer)
                keys += [Key(group, (outer,), ours[group] and theirs[group]) for group in ours.keys() & theirs.keys()]
        if not keeps_all and not any(key.firm for key in keys):
            raise Unsure("a set operation compares rows of several shards")
        return Piece(True, tuple(keys)), outputs

    # --- outputs

    def outputs(self, node: Node, scope: Scope) -> list[Output]:
        """What the target list gives, stars written out."""
        found: list[Output] = []
        reader = Reader(self.analysis, scope, {})
        for text, wrapped in enumerate(node.get("targetList", ())):
            target = wrapped["ResTarget"]
            kind, value = only(target["val"])
            if kind == "ColumnRef" and "A_Star" in value["fields"][-1]:
                found += _star(scope, value["fields"], text)
            else:
                found.append(Output(name_of(target), reader.column(target["val"]), target["val"], text))
        return found


def context_of(parts: Sequence[Tree], around: Piece | None) -> Piece | None:
    """What a LATERAL query may rely on: it is asked for rows of what stands left of it, which are on one shard."""
    keys = _keys_of([*parts, *([around] if around is not None else [])])
    return Piece(True, keys) if keys else None


def _keys_of(trees: Sequence[Tree]) -> tuple[Key, ...]:
    found: list[Key] = []
    for tree in trees:
        if isinstance(tree, Piece):
            found += tree.keys
        elif isinstance(tree, Inner):
            found += _keys_of(tree.parts)
        elif isinstance(tree, Outer):
            found += _keys_of((tree.left, tree.right))
    return tuple(found)


def _is_spread(tree: Tree) -> bool:
    if isinstance(tree, Piece):
        return tree.spread
    return any(map(_is_spread, tree.parts if isinstance(tree, Inner) else (tree.left, tree.right)))


def _single_keys(piece: Piece, variable: int) -> dict[str, bool]:
    """The groups of which a column is the whole key, and whether firmly."""
    knowledge = Knowledge(piece.known)
    root = knowledge.root(variable)
    found: dict[str, bool] = {}
    for key in piece.keys:
        if len(key.columns) == 1 and knowledge.root(key.columns[0]) == root:
            found[key.group] = found.get(key.group, False) or contains_key(replace(piece, keys=(key,)), [variable])
    return found


def _demanded(where: Node | None) -> list[Node]:
    """What WHERE demands: itself, or the parts of its AND."""
    if where is None:
        return []
    kind, node = only(where)
    if kind == "BoolExpr" and node["boolop"] == "AND_EXPR":
        return [one for part in node["args"] for one in _demanded(part)]
    return [where]


def _star(scope: Scope, fields: Sequence[Node], text: int) -> list[Output]:
    if len(fields) == 1:
        items = scope.items
    else:
        alias = fields[-2].get("String", {}).get("sval", "")
        items = [item for item in scope.items if item.alias == alias]
        if len(fields) > 2 or len(items) != 1:
            raise Unsure("a star whose table is not certain")
    if not items or not all(item.complete for item in items):
        raise Unsure("a star whose columns are not known")
    return [
        Output(name, item.variable(name), None, text, (item.alias, name))
        for item in items
        for name in (item.visible() if len(fields) == 1 else item.families)
    ]
