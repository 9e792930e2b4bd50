"""SELECT over what SHOW shows: `SELECT database, cl_waiting FROM pools WHERE cl_waiting > 0 ORDER BY 2 DESC LIMIT 5`.

The statement is parsed by PostgreSQL's grammar, and its tree evaluated here. An embedded SQL engine would run more,
but it does not know the types of what it gives (a RowDescription has to say them before the first row), and it would
have to be kept from files, from its own settings and from long computations. What is not understood is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from trunkline.admin.commands import COMMANDS, Answer, Command, Request
from trunkline.admin.expressions import Evaluate, Expression, Reader, Scope, refused
from trunkline.admin.result import ConsoleError, Row
from trunkline.admin.types import UNKNOWN, parameter_type
from trunkline.protocol.messages import INT4, INT8, TEXT
from trunkline.routing.sql import Node, NotUtf8, SyntaxProblem, Unparsed, only, parse_any

_From = TypeVar("_From")
_Made = TypeVar("_Made")

TURN_ROWS: Final = 200  # between two turns of the event loop
MAX_BYTES: Final = 16384
_UNDERSTOOD = {
    "targetList", "fromClause", "whereClause", "groupClause", "havingClause", "sortClause", "limitCount",
    "limitOffset", "limitOption", "op",
}  # fmt: skip
_NO_RELATION = Command((), lambda request: _one_row(), "SELECT", ())


async def _one_row() -> Answer:
    return Answer([()])


@dataclass(slots=True)
class _Key:
    """One of ORDER BY."""

    evaluate: Evaluate
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class _Select:
    """What a statement wants, read and typed."""

    source: Command
    where: Evaluate | None
    groups: list[Evaluate] | None  # None: rows are not grouped
    having: Evaluate | None
    targets: list[Evaluate]
    keys: list[_Key]
    limit: Evaluate | None
    offset: Evaluate | None

    async def run(self, request: Request) -> Answer:
        answer = await self.source.run(request)
        user, parameters = request.identity.user, request.parameters
        scopes = await _in_turns(lambda row: Scope(row, (), parameters, user), answer.rows)
        if self.where is not None:
            where = self.where
            found = await _in_turns(lambda scope: scope if where(scope) is True else None, scopes)
            scopes = [scope for scope in found if scope is not None]
        if self.groups is not None:
            scopes = self._grouped(scopes, parameters, user)
        for key in reversed(self.keys):
            _sort(scopes, key)
        first, last = self._bounds(Scope((), (), parameters, user))
        chosen = islice(scopes, first, last)
        return Answer(await _in_turns(lambda scope: tuple([one(scope) for one in self.targets]), chosen))

    def _grouped(self, scopes: Iterable[Scope], parameters: Sequence[Any], user: str) -> list[Scope]:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for scope in scopes:
            groups.setdefault(tuple(one(scope) for one in self.groups or ()), []).append(scope.row)
        if not self.groups and not groups:
            groups[()] = []
        found = [Scope(rows[0] if rows else (), rows, parameters, user) for rows in groups.values()]
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


async def _in_turns(make: Callable[[_From], _Made], rows: Iterable[_From]) -> list[_Made]:
    """What is made of each row; others have their turn in between."""
    made = []
    for number, row in enumerate(rows, 1):
        made.append(make(row))
        if number % TURN_ROWS == 0:
            await asyncio.sleep(0)
    return made


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
    node = _parse(text)
    relation, name = _relation(node)
    columns = relation.columns or ()
    known = {number: parameter_type(oid) for number, oid in enumerate(declared, 1)}
    reader = Reader(name, columns, known)
    select, outputs = _read(node, relation, reader)
    last = max(reader.parameters, default=0)
    types = tuple(TEXT if (oid := reader.parameters.get(n, UNKNOWN)) == UNKNOWN else oid for n in range(1, last + 1))
    shown = tuple((one.name, one.oid) for one in outputs)
    return Command(("SELECT",), select.run, "SELECT", shown, admin=relation.admin, listed=False), types


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
    node = statements[0][1]
    for key in node.keys() - _UNDERSTOOD:
        raise refused(key.removesuffix("Clause").removesuffix("Lists").upper())
    if node["op"] != "SETOP_NONE" or node.get("limitOption") == "LIMIT_OPTION_WITH_TIES":
        raise refused("UNION, INTERSECT, EXCEPT and WITH TIES")
    return node


def _relation(node: Node) -> tuple[Command, str]:
    """The SHOW command that is read, and the name by which its columns are called."""
    tables = node.get("fromClause", [])
    if not tables:
        return _NO_RELATION, ""
    kind, table = only(tables[0])
    if len(tables) > 1 or kind != "RangeVar" or "colnames" in table.get("alias", {}):
        raise refused("anything but one relation, and a name for it, in FROM")
    name, schema = table["relname"], table.get("schemaname", "public")
    command = COMMANDS.get(("SHOW", name.upper()))
    if command is None or not command.columns or not command.listed or schema != "public":
        written = f"{table['schemaname']}.{name}" if "schemaname" in table else name
        names = sorted(c.words[1].lower() for c in relations())
        raise ConsoleError("42P01", f'relation "{written}" does not exist', hint=f"There are: {', '.join(names)}.")
    return command, table.get("alias", {}).get("aliasname", name)


def relations() -> Iterator[Command]:
    """What can be read."""
    return (c for c in COMMANDS.values() if c.words[0] == "SHOW" and c.columns and c.listed)


def _read(node: Node, relation: Command, reader: Reader) -> tuple[_Select, list[Expression]]:
    where = reader.boolean(node["whereClause"]).evaluate if "whereClause" in node else None
    if reader.aggregates:
        raise ConsoleError("42803", "aggregate functions are not allowed in WHERE")
    reader.bare.clear()
    outputs = list(_targets(node.get("targetList", []), reader))
    having = reader.boolean(node["havingClause"]).evaluate if "havingClause" in node else None
    keys = [_key(one["SortBy"], outputs, reader) for one in node.get("sortClause", [])]
    bare = set(reader.bare)
    groups = [_group(one, outputs, reader) for one in node.get("groupClause", [])]
    grouped = bool(reader.aggregates or groups or having)
    if grouped:
        for index in sorted(bare - {one.column for one in groups}):
            name = reader.columns[index][0]
            words = f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function'
            raise ConsoleError("42803", words)
    by = [one.evaluate for one in groups] if grouped else None
    limit, offset = (_count(node[key], reader) if key in node else None for key in ("limitCount", "limitOffset"))
    return _Select(relation, where, by, having, [one.evaluate for one in outputs], keys, limit, offset), outputs


def _targets(targets: Sequence[Node], reader: Reader) -> Iterator[Expression]:
    for one in targets:
        target = one["ResTarget"]
        kind, value = only(target["val"])
        if kind == "ColumnRef" and "A_Star" in value["fields"][-1]:
            if not reader.columns:
                raise ConsoleError("42601", "SELECT * with no tables specified is not valid")
            if len(value["fields"]) > 1 and value["fields"][-2].get("String", {}).get("sval") != reader.relation:
                raise ConsoleError("42P01", "missing FROM-clause entry")
            yield from (reader.column_named(name) for name, _ in reader.columns)
            continue
        found = reader.settled(reader.read(target["val"]), TEXT)
        found.name = target.get("name", found.name)
        yield found


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
