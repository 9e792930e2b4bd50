"""From a SELECT over several shards to a Merge, or to None where it is not certain that one would be right.

First it is proved that each shard, asked by itself, gives its piece of the one answer (blocks, pieces). Then the shape
says what the proxy has to do: nothing but to put the pieces one behind the other, to merge them in order, to take
equal rows for one (DISTINCT), or to put parts of aggregates together (GROUP BY). What the shards are asked is the
client's own text with hidden columns behind its own, and is compared with the client's as a tree before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from trunkline.routing.planning.facts import TooComplex
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.plans.plan import Verdict
from trunkline.routing.spreading.aggregates import Aggregated
from trunkline.routing.spreading.blocks import Binder
from trunkline.routing.spreading.bound import Bound
from trunkline.routing.spreading.clauses import cut, same_tree, text_of_call, tokenize
from trunkline.routing.spreading.having import comparisons
from trunkline.routing.spreading.limiting import limits_of
from trunkline.routing.spreading.locking import locked, unlocked
from trunkline.routing.spreading.merge import Combine, Having, Merge, SortKey
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.sorting import Asked, KeyColumn, of_output, order_of, quoted, sort_key, to_tell_apart
from trunkline.routing.spreading.tables import source
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, Unparsed, parse_any

Check = Callable[[Request, Node], None]


def plan(request: Request, must_write_alone: Check | None = None) -> Merge | None:
    """How the answers of the shards become one; None: not in a way that is certain to be right.

    `must_write_alone` raises Unsure unless each shard does its part of what a query in WITH writes.
    """
    try:
        return plan_or_reason(request, must_write_alone)
    except (Unsure, RecursionError, TooComplex, Unparsed):
        return None
    except (LookupError, StopIteration):  # a tree that has not the form that is known of it
        return None


def plan_or_reason(request: Request, must_write_alone: Check | None = None) -> Merge:
    """The same; Unsure says why not."""
    route = request.plan
    if request.kind != "SelectStmt" or route.verdict is not Verdict.ROUTED or route.refusal:
        raise Unsure("it is no query of sharded tables")
    node = _only_select(request.sql)
    if route.writes:
        if must_write_alone is None or "lockingClause" in node:
            raise Unsure("it writes")
        must_write_alone(request, node)
    if "lockingClause" in node:
        bare, locks = unlocked(request, node)
        return locked(plan_or_reason(bare), locks)
    analysis = request.analysis()
    if not analysis.trusts_names:
        raise Unsure("names of PostgreSQL's own may mean something else")
    binder = Binder(analysis, source, may_write=route.writes)
    if node.get("op", "SETOP_NONE") != "SETOP_NONE":
        return replace(_combination(request.sql, node, binder), locks=route.writes)
    if "valuesLists" in node:
        raise Unsure("VALUES")
    scope = Scope()
    binder.ctes(node, scope)
    bound = binder.block(node, scope, None)
    if not bound.piece.spread:
        raise Unsure("nothing of it is spread")
    return replace(Shape(request.sql, bound, binder).merge(), locks=route.writes)


def _only_select(sql: bytes) -> Node:
    statements = parse_any(sql)
    if len(statements) != 1 or statements[0][0] != "SelectStmt":
        raise Unsure("it is not one SELECT")
    return statements[0][1]


class Shape:
    """One SELECT whose rows are pieces, and what is to be done with them."""

    def __init__(self, sql: bytes, bound: Bound, binder: Binder) -> None:
        self._sql = sql
        self._bound = bound
        self._binder = binder
        self._clauses = cut(sql)
        self._limits = limits_of(bound.node)
        if len(self._clauses.targets) != len(bound.node["targetList"]) or not bound.outputs:
            raise Unsure("the text of its outputs is not understood")

    def merge(self) -> Merge:
        bound = self._bound
        if not bound.whole_windows():
            raise Unsure("a window has rows of several shards")
        if bound.is_grouped and not (bound.groups and bound.whole_groups()):
            return self._grouped()
        if not bound.whole_distinct():
            return self._distinct()
        return self._rows()

    @property
    def targets(self) -> tuple[bytes, ...]:
        """The texts of its outputs."""
        return self._clauses.targets

    def placed(self, place: Asked) -> Merge:
        """All rows of all shards, in order if one is asked for, and behind the keys of each where it lies."""
        if self._bound.is_grouped or self._bound.windows or "distinctClause" in self._bound.node:
            raise Unsure("its rows are not those of a table")
        return self._made(order_of(self._clauses, self._bound, self._binder), (place,), None, ())

    def _rows(self) -> Merge:
        """All rows of all shards, in order if one is asked for."""
        keys = order_of(self._clauses, self._bound, self._binder)
        if not keys:
            return self._made([], (), None, ())
        return self._made(keys, (), None, (), own_order=bool(self._clauses.distinct))

    def _distinct(self) -> Merge:
        clause = self._bound.node["distinctClause"]
        order = order_of(self._clauses, self._bound, self._binder)
        if clause != [{}]:
            return self._distinct_on(clause, order)
        if self._bound.is_grouped:
            raise Unsure("DISTINCT of groups")
        keys = list(order)
        for output in self._bound.outputs:
            asked = of_output(self._clauses, self._bound, output)
            if not any(same_tree(asked.node, one.asked.node) for one in order):
                keys.append(to_tell_apart(asked, self._bound, self._binder))
        return self._made(keys, (), len(keys), ())

    def _distinct_on(self, clause: Sequence[Node], order: list[KeyColumn]) -> Merge:
        """The first row of each: ORDER BY begins with what DISTINCT ON names, in whatever order."""
        named: list[Asked] = []
        for wrapped in clause:
            output = self._bound.output_of(wrapped)
            found = Asked(b"", wrapped) if output is None else of_output(self._clauses, self._bound, output)
            if not _among(found, named):
                named.append(found)
        leading = [one.asked for one in order[: len(named)]]
        if len(leading) < len(named) or not all(_among(one, leading) for one in named):
            raise Unsure("DISTINCT ON is not what ORDER BY begins with")
        return self._made(order, (), len(named), (), own_order=True)

    def _grouped(self) -> Merge:
        bound = self._bound
        for name in ("distinctClause", "groupDistinct"):
            if name in bound.node:
                raise Unsure(f"{name} of groups that are on several shards")
        if bound.windows:
            raise Unsure("windows over groups that are on several shards")
        groups = [self._group(place, wrapped) for place, wrapped in enumerate(bound.groups)]
        order = order_of(self._clauses, bound, self._binder)
        compared, filters = comparisons(bound.node.get("havingClause"))
        aggregated = Aggregated(bound, [call for call, _ in bound.aggregates])
        outputs = [of_output(self._clauses, bound, output) for output in bound.outputs]
        final = any(aggregated.call_of(one.asked.node) is not None for one in order)
        computed = [one.asked for one in order] if final else []
        computed += [Asked(text_of_call(self._sql, call), {"FuncCall": call}) for call in compared]
        for one in order:
            if aggregated.call_of(one.asked.node) is None and not _among(one.asked, groups):
                raise Unsure("ORDER BY of groups by something that is not in GROUP BY")
        leading = [] if final else order
        rest = [one for one in groups if not _among(one, [other.asked for other in leading])]
        keys = [*leading, *(to_tell_apart(one, bound, self._binder) for one in rest)]
        parts, combines = aggregated.parts([*outputs, *computed], len(keys))
        having = tuple(Having(len(computed) - len(compared) + place, *asked) for place, asked in enumerate(filters))
        made = self._made(keys, parts, len(keys), combines, computed=computed)
        final_order = tuple(one.key for one in order) if final else ()
        return replace(made, computed=len(computed), final_order=final_order, having=having)

    def _group(self, place: int, wrapped: Node) -> Asked:
        if len(self._clauses.group) != len(self._bound.groups):
            raise Unsure("the text of GROUP BY is not understood")
        output = self._bound.output_of(wrapped, input_first=True)
        if output is not None:
            return of_output(self._clauses, self._bound, output)
        return Asked(self._clauses.group[place], wrapped)

    # --- the text

    def _made(
        self,
        keys: Sequence[KeyColumn],
        parts: Sequence[Asked],
        unique: int | None,
        combines: Sequence[Combine],
        *,
        own_order: bool = False,
        computed: Sequence[Asked] = (),
    ) -> Merge:
        """The Merge with these hidden columns. `own_order`: ORDER BY stays as the client has written it."""
        hidden = [*computed, *(one.asked for one in keys), *parts]
        sort_keys = tuple(one.key for one in keys)
        visible = len(self._bound.outputs)
        order = b", ".join(self._clauses.order) if own_order else ordinals(visible + len(computed), sort_keys)
        clauses = self._clauses
        names_matter = own_order or clauses.group or self._bound.node.get("distinctClause", [{}]) != [{}]
        added = [as_target(one, f"?{place}?" if names_matter else "") for place, one in enumerate(hidden, 1)]
        sql = b" ".join(
            part
            for part in (
                clauses.before,
                clauses.distinct,
                b", ".join((*clauses.targets, *(one.text for one in added))),
                clauses.middle,
                b"GROUP BY " + b", ".join(clauses.group) if clauses.group else b"",
                clauses.having if unique is None else b"",
                clauses.window,
                b"ORDER BY " + order if order else b"",
            )
            if part
        )
        if self._limits.ties and unique is not None:
            raise Unsure("WITH TIES of rows that are put together")
        self._verify(sql, added, grouped=unique is not None)
        return Merge(sql, visible, len(hidden) - len(computed), sort_keys, unique, tuple(combines), self._limits)

    def _verify(self, sql: bytes, added: Sequence[Asked], *, grouped: bool) -> None:
        """The text has to mean what it was made for. HAVING is not the shards' where groups are put together."""
        node, mine = dict(_only_select(sql)), dict(self._bound.node)
        targets = node["targetList"]
        expected = [*mine["targetList"], *(one.node for one in added)]
        ours = ("targetList", "sortClause", "limitCount", "limitOffset", "limitOption")
        for name in (*ours, "havingClause") if grouped else ours:
            node.pop(name, None)
            mine.pop(name, None)
        if not same_tree(targets, expected) or not same_tree(node, mine):
            raise Unsure("the text for the shards does not say what it is meant to")


def as_target(one: Asked, name: str) -> Asked:
    """As an element of the SELECT list: by its own name, it could be what a clause of the client's means."""
    if not name:
        return Asked(one.text, {"ResTarget": {"val": one.node}})
    return Asked(b"%s AS %s" % (one.text, quoted(name)), {"ResTarget": {"name": name, "val": one.node}})


def ordinals(visible: int, keys: Sequence[SortKey]) -> bytes:
    return b", ".join(b"%d %s" % (visible + place + 1, key.words) for place, key in enumerate(keys))


def _among(one: Asked, others: Sequence[Asked]) -> bool:
    return any(same_tree(one.node, other.node) for other in others)


# --- set operations -------------------------------------------------------------------------------------------------


def _combination(sql: bytes, node: Node, binder: Binder) -> Merge:
    """UNION, INTERSECT, EXCEPT: each shard does the whole, if that is a piece; what orders it is put around."""
    scope = Scope()
    binder.ctes(node, scope)
    bare = {name: value for name, value in node.items() if name not in ("limitCount", "limitOffset", "limitOption")}
    piece, outputs = binder.combination(bare, scope, None)
    if not piece.spread:
        raise Unsure("nothing of it is spread")
    tokens = [one for one in tokenize(sql) if one.depth == 0]
    sorts = [wrapped["SortBy"] for wrapped in node.get("sortClause", ())]
    words = [b"limit", b"offset", b"fetch", b"order", b"for"]
    end = next((one.start for one in tokens if one.text in words), tokens[-1].end)
    body = sql[:end].rstrip()
    parsed = _only_select(body)
    plain = {name: value for name, value in bare.items() if name != "sortClause"}
    if not same_tree({**parsed, "limitOption": 0}, {**plain, "limitOption": 0}):
        raise Unsure("the text of a set operation is not understood")
    limits = limits_of(node)
    if not sorts:
        return Merge(body, len(outputs), limits=limits)
    bound = Bound({"targetList": []}, piece, outputs, scope, binder.analysis)
    keys, hidden = [], []
    for sort in sorts:
        output = bound.output_of(sort["node"])
        if output is None or sort["sortby_dir"] == "SORTBY_USING":
            raise Unsure("ORDER BY of a set operation")
        keys.append(sort_key(sort, bytewise=False))
        hidden.append(b"q.c%d" % (next(at for at, one in enumerate(outputs) if one is output) + 1))
    names = b", ".join(b"c%d" % (place + 1) for place in range(len(outputs)))
    text = b"SELECT q.*, %s FROM (%s) AS q (%s) ORDER BY %s" % (
        b", ".join(hidden),
        body,
        names,
        ordinals(len(outputs), keys),
    )
    _only_select(text)
    return Merge(text, len(outputs), len(keys), tuple(keys), limits=limits)
