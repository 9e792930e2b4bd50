"""SELECT over what SHOW shows: `SELECT database, cl_waiting FROM pools WHERE cl_waiting > 0 ORDER BY 2 DESC LIMIT 5`.

The statement is parsed by PostgreSQL's grammar, and its tree evaluated here. An embedded SQL engine would run more,
but it does not know the types of what it gives (a RowDescription has to say them before the first row), and it would
have to be kept from files, from its own settings and from long computations. What is not understood is refused.
Browsers and drivers ask PostgreSQL's catalog with joins and subqueries before they show a table: so there is as much of
both as they need, carried out in the plainest way, with a limit on the rows that are looked at (scopes.MAX_WORK).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from trunkline.admin import calls, expressions  # noqa: F401 - they enter themselves into the readers
from trunkline.admin.commands import Answer, Command, Request
from trunkline.admin.reader import Reader, Statement
from trunkline.admin.result import ConsoleError, Row, Value
from trunkline.admin.scopes import Evaluate, Expression, Run, Scope, refused
from trunkline.admin.sources import Steps, keep_conjuncts, read_from
from trunkline.admin.types import UNKNOWN, parameter_type
from trunkline.protocol.messages import INT4, INT8, TEXT
from trunkline.routing.sql import Node, NotUtf8, SyntaxProblem, Unparsed, only, parse_any

TURN_ROWS: Final = 200  # between two turns of the event loop
MAX_BYTES: Final = 16384
_UNDERSTOOD = {
    "targetList", "fromClause", "whereClause", "groupClause", "havingClause", "sortClause", "limitCount",
    "limitOffset", "limitOption", "op", "distinctClause",
}  # fmt: skip


@dataclass(slots=True)
class _Key:
    """One of ORDER BY."""

    evaluate: Evaluate
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class _Window:
    """A row_number(): its values stand behind the columns of the rows."""

    partition: list[Evaluate]
    keys: list[_Key]


@dataclass(slots=True)
class _Select:
    """What a SELECT wants, read and typed."""

    columns: tuple[tuple[str, int], ...]
    source: Steps
    windows: list[_Window]
    groups: list[Evaluate] | None  # None: rows are not grouped
    having: Evaluate | None
    targets: list[Evaluate]
    distinct: bool
    keys: list[_Key] = field(default_factory=list)
    limit: Evaluate | None = None
    offset: Evaluate | None = None

    def rows(self, run: Run, outer: Scope | None) -> Iterator[tuple[Value, ...] | None]:
        """The rows, and a None for each row that was looked at on the way."""
        scopes: list[Scope] = []
        for row in self.source.rows(Scope((), (), run, outer)):
            yield None
            if row is not None:
                scopes.append(Scope(row, (), run, outer))
        for window in self.windows:
            _number(scopes, window)
        if self.groups is not None:
            scopes = self._grouped(scopes, run, outer)
        for key in reversed(self.keys):
            _sort(scopes, key)
        first, last = self._bounds(Scope((), (), run, outer))
        made: Iterable[tuple[Value, ...]] = (tuple([one(scope) for one in self.targets]) for scope in scopes)
        yield from islice(dict.fromkeys(made) if self.distinct else made, first, last)

    def _grouped(self, scopes: Iterable[Scope], run: Run, outer: Scope | None) -> list[Scope]:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for scope in scopes:
            groups.setdefault(tuple(one(scope) for one in self.groups or ()), []).append(scope.row)
        if not self.groups and not groups:
            groups[()] = []
        found = [Scope(rows[0] if rows else (), rows, run, outer) for rows in groups.values()]
        return found if self.having is None else [scope for scope in found if self.having(scope) is True]

    def _bounds(self, scope: Scope) -> tuple[int, int | None]:
        offset = self.offset(scope) if self.offset is not None else None
        limit = self.limit(scope) if self.limit is not None else None
        if limit is not None and limit < 0:
            raise ConsoleError("2201W", "LIMIT must not be negative")
        if offset is not None and offset < 0:
            raise ConsoleError("2201X", "OFFSET must not be negative")
        first = offset or 0
        return min(first, 1 << 40), None if limit is None else min(first + limit, 1 << 40)


def _number(scopes: list[Scope], window: _Window) -> None:
    ordered = list(scopes)
    for key in reversed(window.keys):
        _sort(ordered, key)
    counts: dict[tuple[Any, ...], int] = {}
    for scope in ordered:
        part = tuple(one(scope) for one in window.partition)
        counts[part] = counts.get(part, 0) + 1
        scope.row = (*scope.row, counts[part])


def _sort(scopes: list[Scope], key: _Key) -> None:
    """Stable, so that sorting by the last key first sorts by all."""

    def rank(scope: Scope) -> tuple[bool, Any]:
        value = key.evaluate(scope)
        null = value is None
        return null != (key.nulls_first != key.descending), 0 if null else value

    scopes.sort(key=rank, reverse=key.descending)


# --- reading ------------------------------------------------------------------------------------------------------


def read_select(text: str, declared: Sequence[int] = ()) -> tuple[Command, tuple[int, ...]]:
    """A command that carries the statement out, and the types of its parameters."""
    known = {number: parameter_type(oid) for number, oid in enumerate(declared, 1)}
    statement = Statement(_read, known)
    select = _read(_parse(text), None, statement)
    last = max(known, default=0)
    types = tuple(TEXT if (oid := known.get(n, UNKNOWN)) == UNKNOWN else oid for n in range(1, last + 1))
    admin = any(command.admin for command in statement.commands.values())

    async def run(request: Request) -> Answer:
        return Answer(await _answer(select, statement, request))

    return Command(("SELECT",), run, "SELECT", select.columns, admin=admin, listed=False), types


async def _answer(select: _Select, statement: Statement, request: Request) -> list[tuple[Value, ...]]:
    """All rows; others have their turn in between."""
    tables = {}
    for name, command in statement.commands.items():
        answer = await command.run(request)
        tables[name] = await _in_turns(tuple(row) for row in answer.rows)
    identity = request.identity
    run = Run(identity.user, identity.database, request.parameters, tables)
    return await _in_turns(select.rows(run, None))


async def _in_turns(rows: Iterable[tuple[Value, ...] | None]) -> list[tuple[Value, ...]]:
    made = []
    for number, row in enumerate(rows, 1):
        if row is not None:
            made.append(row)
        if number % TURN_ROWS == 0:
            await asyncio.sleep(0)
    return made


def _parse(text: str) -> Node:
    if len(text) > MAX_BYTES:
        raise ConsoleError("54000", f"a statement of the console has no more than {MAX_BYTES} characters")
    try:
        statements = parse_any(text.encode(errors="replace"))
    except SyntaxProblem as problem:
        error = ConsoleError("42601", str(problem), hint="SHOW HELP lists the commands.")
        error.position = problem.position
        raise error from None
    except NotUtf8:
        raise ConsoleError("22021", 'invalid byte sequence for encoding "UTF8"') from None
    except Unparsed:
        raise ConsoleError("54001", "the statement is too complex") from None
    if len(statements) != 1 or statements[0][0] != "SelectStmt":
        raise refused("anything but SELECT")
    return statements[0][1]


def _checked(node: Node) -> Node:
    for key in node.keys() - _UNDERSTOOD:
        raise refused(key.removesuffix("Clause").removesuffix("Lists").upper())
    if node["op"] != "SETOP_NONE" or node.get("limitOption") == "LIMIT_OPTION_WITH_TIES":
        raise refused("UNION, INTERSECT, EXCEPT and WITH TIES")
    return node


def _read(node: Node, outer: Reader | None, statement: Statement) -> _Select:
    node, reader = _checked(node), Reader(statement, outer=outer)
    source = read_from(node.get("fromClause", []), reader)
    if "whereClause" in node:
        keep_conjuncts(node["whereClause"], reader, source)
    reader.bare.clear()
    outputs = list(_targets(node.get("targetList", []), reader))
    having = reader.boolean(node["havingClause"]).evaluate if "havingClause" in node else None
    distinct = _is_distinct(node)
    keys = [_key(one["SortBy"], outputs, reader) for one in node.get("sortClause", [])]
    bare = set(reader.bare)
    groups = [_group(one, outputs, reader) for one in node.get("groupClause", [])]
    grouped = bool(reader.aggregates or groups or having)
    _check_grouped(grouped, bare - {one.column for one in groups if one.column is not None}, reader)
    by = [one.evaluate for one in groups] if grouped else None
    windows = [_window(one, reader) for one in reader.windows]
    select = _Select(_shown(outputs), source, windows, by, having, [one.evaluate for one in outputs], distinct, keys)
    select.limit, select.offset = (
        _count(node[key], reader) if key in node else None for key in ("limitCount", "limitOffset")
    )
    return select


def _shown(outputs: Sequence[Expression]) -> tuple[tuple[str, int], ...]:
    return tuple((one.name, one.oid) for one in outputs)


def _is_distinct(node: Node) -> bool:
    if any(node.get("distinctClause", [])):
        raise refused("DISTINCT ON")
    if "distinctClause" in node and any(
        "A_Const" not in key["SortBy"]["node"] and "ColumnRef" not in key["SortBy"]["node"]
        for key in node.get("sortClause", [])
    ):
        raise refused("DISTINCT with ORDER BY of anything but its columns")
    return "distinctClause" in node


def _check_grouped(grouped: bool, bare: set[int], reader: Reader) -> None:
    if not grouped:
        return
    if reader.windows:
        raise refused("row_number() over groups")
    for index in sorted(bare):
        name = reader.columns[index].name
        words = f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function'
        raise ConsoleError("42803", words)


def _window(over: Node, reader: Reader) -> _Window:
    if "name" in over or "refname" in over:
        raise refused("WINDOW")
    partition = [reader.settled(reader.read(one), TEXT).evaluate for one in over.get("partitionClause", [])]
    return _Window(partition, [_key(one["SortBy"], (), reader) for one in over.get("orderClause", [])])


def _targets(targets: Sequence[Node], reader: Reader) -> Iterator[Expression]:
    for one in targets:
        target = one["ResTarget"]
        kind, value = only(target["val"])
        if kind == "ColumnRef" and "A_Star" in value["fields"][-1]:
            yield from _all_columns(value["fields"], reader)
            continue
        found = reader.settled(reader.read(target["val"]), TEXT)
        found.name = target.get("name", found.name)
        yield found


def _all_columns(fields: Sequence[Node], reader: Reader) -> Iterator[Expression]:
    if not reader.columns:
        raise ConsoleError("42601", "SELECT * with no tables specified is not valid")
    relation = fields[-2].get("String", {}).get("sval") if len(fields) > 1 else None
    if relation is not None and all(one.relation != relation for one in reader.columns):
        raise ConsoleError("42P01", "missing FROM-clause entry")
    for index, one in enumerate(reader.columns):
        if (not one.merged) if relation is None else one.relation == relation:
            yield reader.column_at(index)


def _key(sort: Node, outputs: Sequence[Expression], reader: Reader) -> _Key:
    descending = sort["sortby_dir"] == "SORTBY_DESC"
    if sort["sortby_dir"] == "SORTBY_USING":
        raise refused("USING")
    nulls = {"SORTBY_NULLS_FIRST": True, "SORTBY_NULLS_LAST": False}.get(sort["sortby_nulls"], descending)
    found = _output(sort["node"], outputs) or reader.settled(reader.read(sort["node"]), TEXT)
    return _Key(found.evaluate, descending, nulls)


def _group(node: Node, outputs: Sequence[Expression], reader: Reader) -> Expression:
    found = _output(node, outputs) if "A_Const" in node else None
    found = found or reader.read(node)
    if found.column is None:
        raise refused("GROUP BY of anything but columns")
    return found


def _output(node: Node, outputs: Sequence[Expression]) -> Expression | None:
    """What ORDER BY names by its position or by its name in the output."""
    kind, value = only(node)
    if kind == "A_Const" and "ival" in value:
        number: int = value["ival"].get("ival", 0)
        if not 1 <= number <= len(outputs):
            raise ConsoleError("42P10", f"ORDER BY position {number} is not in select list")
        return outputs[number - 1]
    if kind == "ColumnRef" and len(value["fields"]) == 1 and "String" in value["fields"][0]:
        name: str = value["fields"][0]["String"].get("sval", "")
        return next((one for one in outputs if one.name == name), None)
    return None


def _count(node: Node, reader: Reader) -> Evaluate | None:
    found = reader.settled(reader.read(node), INT8)
    if found.column is not None or found.oid not in (INT4, INT8):
        raise refused("LIMIT and OFFSET but by a whole number")
    return found.evaluate
