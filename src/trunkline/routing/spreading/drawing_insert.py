"""Ids of an INSERT: the columns that draw by default get values, in its own text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.ids import UNKNOWN, draws_of, is_generator, names_of, sequence_of
from trunkline.routing.planning.writes import columns_of
from trunkline.routing.schema.catalog import Column
from trunkline.routing.spreading.drawing_select import places_of, width_of
from trunkline.routing.spreading.drawing_slots import Edit, Piece, Slot, Unfit, calls_in, end_of, forbid_sets
from trunkline.routing.spreading.insert_text import Span, parts_of
from trunkline.routing.sql import Node, parse_any
from trunkline.routing.text.tokens import tokens_of


class Insert:
    """An INSERT, whose columns that draw by default get values."""

    def __init__(self, analysis: Analysis, node: Node) -> None:
        target = node["relation"]
        self.analysis, self.node = analysis, node
        self.found: Found = analysis.find(target.get("schemaname"), target["relname"])
        select = node.get("selectStmt", {}).get("SelectStmt")
        self.rows = None if select is None else [one["List"].get("items", []) for one in select.get("valuesLists", ())]
        self.columns = columns_of(self.found, node) or []
        self.count = b""
        self.defaults = {column.name: drawn_default(analysis, column) for column in self._candidates()}
        self.defaults = {name: pieces for name, pieces in self.defaults.items() if pieces}

    def _candidates(self) -> list[Column]:
        """Columns that may draw by default; a home table's sequences are drawn by PostgreSQL itself."""
        relation = self.found.relation
        columns = relation.columns if relation is not None else ()
        at_home = self.found.rule.kind is Kind.HOME and self.found.shard is None
        return [one for one in columns if one.default and not (at_home and "nextval(" in one.default)]

    def edits(self) -> list[Edit]:
        if not self.defaults:
            return []
        if self.node.get("override") == "OVERRIDING_USER_VALUE":
            raise Unfit(
                "OVERRIDING USER VALUE takes ids of a sequence in the place of values.", "Leave the values out."
            )
        if self.rows is None:
            return [self._default_values()]
        if not self.rows:
            return list(self._of_query(self.node["selectStmt"]["SelectStmt"]))
        forbid_sets(self.analysis, self.node)
        width = len(self.rows[0])
        given = self.columns[:width]
        missing = [name for name in self.defaults if name not in given]
        words = [name for row in self.rows for name, value in zip(given, row, strict=False) if "SetToDefault" in value]
        if not missing and not set(words) & set(self.defaults):
            return []
        parts = parts_of(self.analysis.text, len(self.rows), has_columns="cols" in self.node)
        if parts is None or [len(row) for row in parts.rows] != [len(row) for row in self.rows]:
            raise Unfit("Its rows are not found again in its text.", "Write it more plainly.")
        edits = [
            edit for row, spans in zip(self.rows, parts.rows, strict=True) for edit in self._row(row, spans, missing)
        ]
        edits += self._head(parts.behind_columns, parts.values, given, missing)
        return edits

    def _of_query(self, select: Node) -> Iterator[Edit]:
        """Ids for as many rows as a query has."""
        sql, scratch = self.analysis.text, self.analysis.apart()
        bind_statement(scratch, "SelectStmt", select)
        width, places = width_of(select), places_of(sql, self.node)
        if width is None or places is None or scratch.facts.volatile:
            raise Unfit(f"A default of {self.found.full_name} takes ids of a sequence, one for each row of a query.")
        forbid_sets(self.analysis, select)
        given = self.columns[:width]
        missing = [name for name in self.defaults if name not in given]
        if missing:
            pieces = [piece for name in missing for piece in (b", ", *_many(self.defaults[name]))]
            yield from self._head(places.behind_columns, places.select, given, missing)
            if places.behind_targets is not None:
                yield Edit(places.behind_targets, places.behind_targets, (*pieces, b" "))
            else:
                yield Edit(places.select, places.select, (b"SELECT numbered.*", *pieces, b" FROM ("))
                yield Edit(places.end, places.end, (b") AS numbered ",))
            self.count = b"SELECT pg_catalog.count(*) FROM (" + sql[places.select : places.end] + b") AS counted"

    def _row(self, row: list[Node], spans: Sequence[Span], missing: Sequence[str]) -> Iterator[Edit]:
        for name, value, (start, end) in zip(self.columns, row, spans, strict=False):
            if "SetToDefault" in value and name in self.defaults:
                yield Edit(start, end, self.defaults[name])
        end = spans[-1][1]
        if missing:
            yield Edit(end, end, tuple(piece for name in missing for piece in (b", ", *self.defaults[name])))

    def _head(self, behind: int | None, values: int, given: Sequence[str], missing: Sequence[str]) -> Iterator[Edit]:
        names = [_quoted(name) for name in missing]
        if names and behind is not None:
            yield Edit(behind, behind, (b", " + b", ".join(names),))
        elif names:
            yield Edit(values, values, (b"(" + b", ".join([*map(_quoted, given), *names]) + b") ",))
        overriding = self._overriding(given, missing)
        if overriding:
            yield Edit(values, values, (overriding,))

    def _overriding(self, given: Sequence[str], missing: Sequence[str]) -> bytes:
        """What lets a GENERATED ALWAYS column have a value, if it is one that we give."""
        relation = self.found.relation
        assert relation is not None
        always = [one.name for one in relation.columns if one.generated and one.name in self.defaults]
        said = self.node.get("override", "OVERRIDING_NOT_SET")
        if not always or said == "OVERRIDING_SYSTEM_VALUE":
            return b""
        if self.rows == [] and set(always) & set(given):
            return b""  # PostgreSQL says what is wrong with it
        for row in self.rows or ():
            for name, value in zip(given, row, strict=False):
                if name in always and "SetToDefault" not in value:
                    return b""  # PostgreSQL says what is wrong with it
        return b"OVERRIDING SYSTEM VALUE " if set(always) & {*given, *missing} else b""

    def _default_values(self) -> Edit:
        """INSERT INTO t DEFAULT VALUES."""
        sql = self.analysis.text
        tokens = [(sql[start:end].lower(), start, end) for kind, start, end in tokens_of(sql) if kind == "word"]
        pairs = ((one, other) for one, other in pairwise(tokens) if (one[0], other[0]) == (b"default", b"values"))
        found = next(pairs, None)
        if found is None:
            raise Unfit("Its rows are not found again in its text.", "Write it more plainly.")
        names = b", ".join(map(_quoted, self.defaults))
        pieces: list[Piece] = [b"(" + names + b") " + self._overriding((), list(self.defaults)) + b"VALUES ("]
        for index, default in enumerate(self.defaults.values()):
            pieces += [*([b", "] if index else []), *default]
        return Edit(found[0][1], found[1][2], (*pieces, b")"))


def drawn_default(analysis: Analysis, column: Column) -> tuple[Piece, ...]:
    """A column's default with slots; nothing if it draws nothing."""
    text = f"SELECT ({column.default})".encode()
    if not draws_of(analysis, column.default).draws:
        return ()
    inner = analysis.inside(text.decode(), analysis.search_path)
    tokens = tokens_of(text)
    starts = {start: index for index, (_, start, _) in enumerate(tokens)}
    (statement,) = parse_any(text)
    pieces: list[Piece] = []
    at = len(b"SELECT ")
    calls = sorted(calls_in(*statement), key=lambda call: int(call.node.get("location", 0)))
    for call in calls:
        schema, name = names_of(call.node)
        sequence = "" if is_generator(schema, name) else sequence_of(inner, call.node)
        if not is_generator(schema, name) and (schema not in (None, "pg_catalog") or name != "nextval"):
            continue
        if not call.once or sequence in (None, UNKNOWN):
            raise Unfit(f"The default of {column.name} may draw an id, or not.", f"Give {column.name} a value.")
        start = call.node.get("location", 0)
        pieces += [text[at:start], Slot(name, sequence or "")]
        at = end_of(text, tokens, starts[start])
    if not pieces:
        raise Unfit(
            f"The default of {column.name} draws an id in a way that is not seen.", f"Give {column.name} a value."
        )
    bare = pieces[0] == b"(" and text[at:] == b")" and len(pieces) == 2  # so that a key is a parameter, and no more
    return (pieces[1],) if bare else (*pieces, text[at:])


def _many(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for one in pieces:
        yield replace(one, many=True) if isinstance(one, Slot) else one


def _quoted(name: str) -> bytes:
    return ('"' + name.replace('"', '""') + '"').encode()
