"""UPDATE, DELETE and MERGE that need rows of other shards: those rows are carried to every shard that writes.

Each table that is read, but for reference tables, stands in the text as an array of its rows: the same at every shard,
so each shard changes its own rows as one PostgreSQL would change them. Which rows and columns are needed is found as
for a gathered SELECT. Of the source of a MERGE that inserts, each shard is given its own rows (writing_unmatched). What
picks rows by an order that nobody has said picks the same ones from the same array, unless something else that is read
beside it lies at each shard in another order: then it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.hidden import trigger_functions
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading import writing_unmatched
from trunkline.routing.spreading.gathering import Gathered, tables_of, why_not_gathered
from trunkline.routing.spreading.gathering_limits import why_not_policies
from trunkline.routing.spreading.gathering_names import Named, Text, is_view, texts_of
from trunkline.routing.spreading.moments import Moment, hidden_time, places_of
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.table_free import why_not_free
from trunkline.routing.spreading.writing_reading import (
    Written,
    bound,
    default_time,
    has_volatile_default,
    per_statement,
)
from trunkline.routing.spreading.writing_unmatched import Unmatched
from trunkline.routing.sql import Node, walk
from trunkline.routing.text.tokens import tokens_of

_KINDS = frozenset(("UpdateStmt", "DeleteStmt", "MergeStmt"))
_WRITABLE = frozenset("rp")
_ORDERED = frozenset(("limitCount", "limitOffset", "distinctClause", "windowClause"))  # may depend on the order of rows
_UNORDERED = frozenset(
    ("avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "count", "every", "max", "min", "sum")
)
_END = ("", 0, 0)  # a token behind the last one
_FIRST = "Select what it needs first, and give it as values."


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in a text the rows of a table stand: its place in `Carried.tables`."""

    place: int


@dataclass(frozen=True, slots=True)
class Own:
    """Where in a text it is said which rows of its source are a shard's own."""


Piece = bytes | Moment | Slot | Own


@dataclass(frozen=True, slots=True)
class Split:
    """The query of the keys that the source of a MERGE has, each with its text, and which rows are whose."""

    keys: tuple[Piece, ...]
    unmatched: Unmatched


@dataclass(frozen=True, slots=True)
class Carried:
    """The text at each shard that writes, with the rows of `tables` in it."""

    tables: tuple[Gathered, ...]
    text: tuple[Piece, ...]
    target: str  # as SQL
    writers: tuple[int, ...]  # the occurrences in the plan that are written; none: `every`
    every: int  # the shards that may have rows of what is written
    asks_time: bool
    copies: bool  # a reference table is written: at one shard after the other, and all have to say the same
    split: Split | None = None  # a MERGE that inserts
    alone: Refusal | None = None  # why only one shard may write


def plan(request: Request) -> Carried | Refusal | None:
    """How it is done; None if it is nothing of this kind."""
    if request.kind not in _KINDS:
        return None
    written = bound(request)
    if isinstance(written, Refusal):
        return written
    refusal = _why_not_written(written) or _why_not_target(written)
    if refusal is not None:
        return refusal
    texts = texts_of(written.analysis, request.sql, written.node)
    if isinstance(texts, str):
        return Refusal(texts)
    if any(is_view(one.found) for one in texts[0].named):
        return Refusal("It reads a view, and concerns rows of several shards.", "Name the tables of the view.")
    refusal = why_not_gathered(written.analysis, request, texts) or _why_not_read(written, texts[0])
    if refusal is not None:
        return refusal
    unmatched = writing_unmatched.plan(written, texts[0]) if writing_unmatched.inserts(written) else None
    kept = {Kind.REFERENCE} if not isinstance(unmatched, Unmatched) else set()
    kept |= {Kind.HOME} if written.found.rule.kind is Kind.HOME else set()
    tables = tuple(table for table in tables_of(request, texts) if table.kind not in kept)
    return _planned(written, texts[0], tables, unmatched)


def _planned(
    written: Written, text: Text, tables: tuple[Gathered, ...], unmatched: Unmatched | Refusal | None
) -> Carried | Refusal | None:
    relation, kind = written.found.relation, written.found.rule.kind
    assert relation is not None
    if not tables and not isinstance(unmatched, Unmatched):
        return None
    edits = _edits(written, text, tables)
    if isinstance(edits, Refusal):
        return edits
    if isinstance(unmatched, Unmatched) and _depends_on_order(written, text.tree):
        unmatched = Refusal("What its source picks may depend on the order of rows, which no shard keeps.", _FIRST)
    pieces = tuple(_pieces(text.sql, edits))
    split = None
    if isinstance(unmatched, Unmatched):
        start, end, alias = unmatched.start, unmatched.end, unmatched.alias.encode()
        split = Split(_keys(text.sql, edits, unmatched), unmatched)
        opened: _Edit = (start, start, (b" (SELECT " + alias + b".* FROM",))
        closed: _Edit = (end, end, (b" WHERE ", Own(), b") AS " + alias))
        pieces = tuple(_pieces(text.sql, [*edits, opened, closed]))
    occurrences = written.request.plan.occurrences
    sharding = written.request.sharding
    writers = tuple(place for place, one in enumerate(occurrences) if one.writes and one.kind == "sharded")
    return Carried(
        tables,
        pieces,
        full(relation.schema, relation.name),
        writers if split is None else (),
        1 << sharding.home if kind is Kind.HOME else sharding.every,
        any(isinstance(one, Moment) for one in pieces),
        kind is Kind.REFERENCE,
        split,
        unmatched if isinstance(unmatched, Refusal) else None,
    )


# --- what is refused --------------------------------------------------------------------------------------------------


def _why_not_written(written: Written) -> Refusal | None:
    """What the statement does besides writing one table."""
    facts = written.analysis.facts
    if facts.refusal or facts.single or facts.moving:
        return facts.refusal or facts.single or facts.moving
    places = (facts.home, facts.reference, facts.system)
    tables = {table for place in places for table, writes in place.items() if writes}
    tables |= {use.table for use in facts.uses if use.writes}
    several = sum(use.writes for use in facts.uses) > 1 and written.kind != "MergeStmt"
    if tables != {written.found.full_name} or several or facts.every:
        return Refusal("It writes more than one table, or in more than one way.", "Write it as several statements.")
    hidden = next((use.table for use in facts.uses if use.kind != "sharded"), "") or facts.unseen or facts.at_home
    if hidden:
        return Refusal(f"{hidden} may touch rows of several shards.", _FIRST)
    if facts.volatile:
        return Refusal("What it computes may differ from shard to shard.", _FIRST)
    return None


def _why_not_target(written: Written) -> Refusal | None:
    """What may happen at each shard where rows are written."""
    found, analysis = written.found, written.analysis
    if found.relation is None or found.relation.kind not in _WRITABLE:
        return Refusal(f"{found.full_name} is no table whose rows could be written on several shards.")
    if found.rule.kind is Kind.HOME:
        return why_not_policies(analysis, found.relation)
    types = (column.type for column in found.relation.columns)
    functions = trigger_functions(analysis, found)
    for function in functions:
        reason = why_not_free(analysis.catalog, analysis.search_path, function)
        if reason is not None:
            return reason
    if found.rule.kind is Kind.REFERENCE and (has_volatile_default(written) or "fromClause" in written.node):
        return Refusal(f"What it writes to {found.full_name} may differ from shard to shard.", _FIRST)
    return (
        per_statement(found)
        or hidden_time(analysis, written.node, types, functions)
        or default_time(written)
        or why_not_policies(analysis, found.relation)
    )


def _why_not_read(written: Written, text: Text) -> Refusal | None:
    """What cannot be read from an array of rows."""
    facts, home = written.analysis.facts, written.found.rule.kind is Kind.HOME
    named = {one.found.full_name: one.found.rule.kind for one in text.named}
    read = {use.table for use in facts.uses if not use.writes} | {
        name for name, writes in facts.home.items() if not writes
    }
    if not read <= set(named):
        return Refusal(f"{min(read - set(named))} is read where it is not seen.", _FIRST)
    beside = Kind.REFERENCE in named.values() or (home and Kind.HOME in named.values())
    if beside and _depends_on_order(written, text.tree):
        return Refusal("What it picks may depend on the order of rows, which no shard keeps.", _FIRST)
    return None


def _depends_on_order(written: Written, tree: Node) -> bool:
    for name, value in walk(tree):
        if name in _ORDERED and value not in (None, [{}]):
            return True
        if name == "FuncCall":
            analysis, called = written.analysis, value["funcname"][-1]["String"].get("sval", "")
            found = analysis.catalog.find_functions(None, called, analysis.search_path)
            if "over" in value or (called not in _UNORDERED and any(one.kind in "aw" for one in found)):
                return True
    return False


# --- the text ---------------------------------------------------------------------------------------------------------


_Edit = tuple[int, int, tuple[Piece, ...]]  # from where to where something else stands


def _edits(written: Written, text: Text, tables: tuple[Gathered, ...]) -> list[_Edit] | Refusal:
    """Slots where these tables are named, and moments where the time is asked for."""
    sql, numbers = text.sql, {table.name: place for place, table in enumerate(tables)}
    moments = places_of(written.analysis, sql, written.node)
    if isinstance(moments, Refusal):
        return moments
    edits: list[_Edit] = [(place.start, place.end, (place.moment,)) for place in moments]
    if _is_qualified(text.tree, numbers):
        return Refusal("It names a column with its schema, and its table lies on other shards.", "Use an alias.")
    tokens = tokens_of(sql)
    places = {start: place for place, (_, start, _) in enumerate(tokens)}
    for one in text.named:
        number = numbers.get((one.found.schema, one.found.name))
        if number is not None:
            first = places[one.node.get("location", 0)]
            last = first + 2 * (("schemaname" in one.node) + ("catalogname" in one.node))
            before, behind = (
                sql[start:end].lower() for _, start, end in (tokens[first - 1], (*tokens, _END)[last + 1])
            )
            if not one.node.get("inh") or before == b"table" or behind == b"*":
                return Refusal(f"It names {one.found.full_name} in a way in which no array of rows can stand.", _FIRST)
            edits.append((tokens[first][1], tokens[last][2], (Slot(number), *_alias(one))))
    return edits


def _alias(one: Named) -> tuple[bytes, ...]:
    return () if "alias" in one.node else (b" AS " + identifier(one.found.name).encode(),)


def _keys(sql: bytes, edits: list[_Edit], unmatched: Unmatched) -> tuple[Piece, ...]:
    """WITH, if there is one, and the source in a query of its own."""
    before = _pieces(sql[: unmatched.begin], [edit for edit in edits if edit[1] <= unmatched.begin])
    inside = [
        (start - unmatched.start, end - unmatched.start, said)
        for start, end, said in edits
        if unmatched.start <= start < unmatched.end
    ]
    return (*before, unmatched.keys(), *_pieces(sql[unmatched.start : unmatched.end], inside))


def _pieces(sql: bytes, edits: list[_Edit]) -> Iterator[Piece]:
    at = 0
    for start, end, said in sorted(edits, key=lambda edit: edit[:2]):
        yield sql[at:start]
        yield from said
        at = end
    yield sql[at:]


def _is_qualified(tree: Node, tables: dict[tuple[str, str], int]) -> bool:
    for name, value in walk(tree):
        if name == "ColumnRef" and len(value["fields"]) > 2:
            names = [part.get("String", {}).get("sval", "") for part in value["fields"]]
            if (names[-3], names[-2]) in tables:
                return True
    return False
