"""INSERT of rows that are written out: each row goes to the shard of its key, in one statement for each shard.

Rules:
1. A row's text is the client's own. What one PostgreSQL evaluates once for all rows (the time) is written out.
2. RETURNING keeps the order of VALUES: rows that come from a shard are its rows in order. Where a row may be left out
   (ON CONFLICT DO NOTHING), neighbours that lie on one shard are one statement, and one runs after another.
3. What decides about a conflict has to contain the key: equal rows are on one shard then.
4. A key that is computed of values alone is computed first, by one server; what gives another value the next time is
   not.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, ShardFunction, Value
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.writes import columns_of, key_value, of_null_key
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.masks import mask_of
from trunkline.routing.plans.plan import AnyOf, Equals, Fixed, Refusal, RoutePlan, Source, Values, Verdict, Where
from trunkline.routing.spreading.insert_text import Parts, Span, parts_of
from trunkline.routing.spreading.moments import Place, Template, asks_time, cut, places_of
from trunkline.routing.spreading.writing_reading import Written, conflicts, default_of
from trunkline.routing.sql import Node, parse_any
from trunkline.routing.text.fingerprint import Fingerprint

_GIVE_VALUES = "Give the key of each row as a literal or a parameter."


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and the sources of its key; of one that is to be computed its text."""

    text: Template
    key: tuple[Source, ...]
    computed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """INSERT of rows at their shards."""

    head: Template
    rows: tuple[Row, ...]
    tail: Template
    function: ShardFunction
    ready: ReadyPlan  # finds the literals of the keys in the text
    nowhere: Where  # where a row is put whose key is NULL
    home: int  # the mask of the home shard: where PostgreSQL says what is wrong with a value
    returns: bool
    in_turn: bool  # a row may be left out: one statement after another
    asks_time: bool

    def shards(self, call: Call) -> list[int]:
        """The mask of each row, of one shard, 0 if its key is to be computed; raises what the shard function raises."""
        self.ready.mask_of(call, Fixed(0))  # from now on the call finds literals by their places
        return [self._shard(row, call) if row.computed is None else 0 for row in self.rows]

    @property
    def keys(self) -> bytes | None:
        """What asks for the keys that are to be computed."""
        computed = [row.computed for row in self.rows if row.computed is not None]
        return b"SELECT " + b", ".join(computed) if computed else None

    def _shard(self, row: Row, values: Values) -> int:
        try:
            key: list[Value | None] = [
                values.value(source, type) for source, type in zip(row.key, self.function.types, strict=True)
            ]
        except NotCoercible:
            return self.home
        if None in key:
            return mask_of(self.nowhere, values)
        mask = self.function.shards_of(tuple(key))
        if not mask or mask & (mask - 1):
            raise KeyUnknown("of a row that belongs to no one shard")
        return mask


@dataclass(frozen=True, slots=True)
class Texts:
    """The parts of the text, with the time where it is asked for."""

    head: Template
    rows: tuple[Template, ...]
    tail: Template


def concerns(written: Written) -> bool:
    """Whether rows are inserted that are written out."""
    select = written.node.get("selectStmt", {}).get("SelectStmt", {})
    return written.kind == "InsertStmt" and "valuesLists" in select


def texts(written: Written) -> Texts | Refusal:
    """What stands before the rows, each of them, and what stands behind them."""
    node, sql = written.node, written.analysis.text
    places = places_of(written.analysis, sql, node)
    if isinstance(places, Refusal):
        return places
    columns, lists = columns_of(written.found, node) or [], _lists(node)
    parts = parts_of(sql, len(lists), has_columns="cols" in node)
    if parts is None or [len(row) for row in parts.rows] != [len(row) for row in lists]:
        return Refusal("Its rows are not found again in its text.", "Write it more plainly.")
    added = _added(written, columns[: len(lists[0])])
    if isinstance(added, Refusal):
        return added
    rows: list[Template] = []
    for row, spans in zip(lists, parts.rows, strict=True):
        text = _row(written, columns, row, spans, places, added)
        if isinstance(text, Refusal):
            return text
        rows.append(text)
    head, tail = _around(sql, parts, places, columns[: len(lists[0])], [name for name, _ in added])
    return Texts(head, tuple(rows), tail)


def _lists(node: Node) -> list[list[Node]]:
    return [one["List"].get("items", []) for one in node["selectStmt"]["SelectStmt"]["valuesLists"]]


def plan(written: Written) -> Rows | Refusal:
    """An INSERT ... VALUES."""
    node, found, analysis = written.node, written.found, written.analysis
    refusal = conflicts(written) or _order_unknown(written) or _elsewhere(written)
    parts = refusal or texts(written)
    if isinstance(parts, Refusal):
        return parts
    columns, rule = columns_of(found, node) or [], written.use.rule
    assert rule.function is not None
    rows = []
    for place, (row, text) in enumerate(zip(_lists(node), parts.rows, strict=True)):
        key = [key_value(analysis, found, name, columns, row) for name in rule.columns]
        computed = _computed(written, columns, place) if None in key else None
        if isinstance(computed, Refusal):
            return computed
        rows.append(Row(text, tuple(source for source in key if source is not None), computed))
    return Rows(
        parts.head,
        tuple(rows),
        parts.tail,
        rule.function,
        _ready(analysis.text, rule.function, rows),
        of_null_key(analysis, found, written.use),
        1 << analysis.sharding.home,
        "returningClause" in node,
        "returningClause" in node and _may_leave_out(written),
        asks_time([parts.head, parts.tail, *parts.rows]),
    )


def _computed(written: Written, columns: list[str], row: int) -> bytes | Refusal:
    """The text of a key that each server computes alike."""
    analysis, sql, node = written.analysis, written.analysis.text, written.node
    parts = parts_of(sql, len(_lists(node)), has_columns="cols" in node)
    if parts is None or len(written.use.rule.columns) > 1 or not analysis.trusts_names:
        return Refusal("The key of a row is computed, and of several columns or by operators of users.", _GIVE_VALUES)
    start, end = parts.rows[row][columns.index(written.use.rule.columns[0])]
    text = b"SELECT " + sql[start:end]
    ((kind, alone),) = parse_any(text)
    scratch = analysis.apart()
    bind_statement(scratch.inside(text.decode(), analysis.search_path), kind, alone)
    facts = scratch.facts
    reads = facts.uses or facts.tables or facts.home or facts.reference or facts.system or facts.unseen or facts.at_home
    if reads or facts.differs or facts.volatile or facts.draws or facts.refusal is not None:
        return Refusal("The key of a row is computed of more than constants.", _GIVE_VALUES)
    return sql[start:end]


def _ready(sql: bytes, function: ShardFunction, rows: list[Row]) -> ReadyPlan:
    where = AnyOf(tuple(Equals(function, row.key) for row in rows if row.computed is None))
    return ReadyPlan(RoutePlan(Verdict.ROUTED, where), Fingerprint(sql), sql)


# --- what else is asked of it ----------------------------------------------------------------------------------------


def _order_unknown(written: Written) -> Refusal | None:
    clause = written.node.get("onConflictClause", {})
    if clause.get("action") != "ONCONFLICT_UPDATE" or "returningClause" not in written.node:
        return None
    relation = written.found.relation
    if "whereClause" not in clause and not (relation is not None and relation.triggers):
        return None
    return Refusal(
        "Which rows are left out by the WHERE of DO UPDATE, or by a trigger, is not known, so neither is the order of"
        " RETURNING.",
        "Leave out RETURNING, or insert the rows of one key at a time.",
    )


def _may_leave_out(written: Written) -> bool:
    nothing = written.node.get("onConflictClause", {}).get("action") == "ONCONFLICT_NOTHING"
    return nothing or bool(written.found.relation is not None and written.found.relation.triggers)


def _elsewhere(written: Written) -> Refusal | None:
    if written.others:
        return Refusal(
            f"What it inserts is computed from rows of {written.others[0].table}, which may be on other shards.",
            "Select them first and give them as values.",
        )
    return None


# --- defaults ---------------------------------------------------------------------------------------------------------


def _added(written: Written, given: list[str]) -> list[tuple[str, Template]] | Refusal:
    """Columns that get no value, and whose default is the time: it is to be one for all rows."""
    relation = written.found.relation
    added = []
    for column in relation.columns if relation is not None else ():
        if column.name not in given:
            default = default_of(written, column)
            if isinstance(default, Refusal):
                return default
            if default is not None:
                added.append((column.name, default))
    return added


def _row(
    written: Written,
    columns: list[str],
    row: list[Node],
    spans: tuple[Span, ...],
    places: list[Place],
    added: list[tuple[str, Template]],
) -> Template | Refusal:
    sql = written.analysis.text
    relation = written.found.relation
    parts: list[Template] = []
    for name, value, (start, end) in zip(columns, row, spans, strict=False):
        column = relation.column(name) if relation is not None else None
        default = None
        if "SetToDefault" in value and column is not None:
            default = default_of(written, column)
        if isinstance(default, Refusal):
            return default
        parts.append(default if default is not None else cut(sql, start, end, places))
    parts += [default for _, default in added]
    return (b"(", *[piece for index, part in enumerate(parts) for piece in (*((b", ",) if index else ()), *part)], b")")


def _around(
    sql: bytes, parts: Parts, places: list[Place], columns: list[str], added: list[str]
) -> tuple[Template, Template]:
    """What stands before the rows, with the columns that are added, and what stands behind them."""
    names = ", ".join(_quoted(name) for name in added).encode()
    tail = cut(sql, parts.end, len(sql), places)
    if not added:
        return cut(sql, 0, parts.first, places), tail
    if parts.behind_columns is not None:
        at, between = parts.behind_columns, b", " + names
    else:
        all_names = ", ".join(_quoted(name) for name in columns).encode()
        at, between = parts.values, b" (" + all_names + b", " + names + b") "
    return (*cut(sql, 0, at, places), between, *cut(sql, at, parts.first, places)), tail


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
