"""FROM of the console's SELECT: relations, subqueries, functions and joins of them, as one nested loop.

A FROM is a list of steps: each step has a source, whose rows are put behind those of the steps before it. A condition
is looked at by the first step behind which all its columns are known. Between two rows that fit there may be a None for
each one that does not, so that who takes the rows can let others have their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trunkline.admin.arrays import ELEMENT
from trunkline.admin.catalog import find, shown_relations
from trunkline.admin.reader import Known, Query, Reader
from trunkline.admin.result import ConsoleError, Value
from trunkline.admin.scopes import Evaluate, Expression, Scope, refused
from trunkline.protocol.messages import INT4, INT8, TEXT
from trunkline.routing.sql import Node, keywords, only

Tuple = tuple[Value, ...]
RowsOf = Callable[[Scope], Iterator[Tuple | None]]  # behind the rows so far
MAX_STEPS: Final = 30
MAX_SERIES: Final = 10_000
_KEYWORDS: Final = (("word", TEXT), ("catcode", TEXT))


@dataclass(slots=True)
class Step:
    """One source, and how it is joined to those before it."""

    rows: RowsOf
    width: int
    left: bool = False  # LEFT JOIN: a row of NULLs if none fits
    on: list[Evaluate] = field(default_factory=list)  # decides whether it fits
    kept: list[Evaluate] = field(default_factory=list)  # decides whether what was joined stays
    table: str = ""  # if it is a relation


@dataclass(slots=True)
class Steps:
    """A FROM."""

    steps: list[Step] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # how many columns there are behind each step

    def rows(self, scope: Scope, at: int = 0) -> Iterator[Tuple | None]:
        """All rows that begin with this one."""
        if at == len(self.steps):
            yield tuple(scope.row)
            return
        if at == 0 and any(step.table and not step.left and not scope.run.tables[step.table] for step in self.steps):
            return  # most of the catalog is empty, and what JDBC asks of it joins eleven relations
        step, found = self.steps[at], False
        for own in step.rows(scope):
            if own is None:
                yield None
                continue
            if at:
                scope.run.spend()
            joined = Scope((*scope.row, *own), (), scope.run, scope.outer)
            fits = all(condition(joined) is True for condition in step.on)
            found = found or fits
            if fits and all(condition(joined) is True for condition in step.kept):
                yield from self.rows(joined, at + 1)
            else:
                yield None
        if step.left and not found:
            joined = Scope((*scope.row, *(None,) * step.width), (), scope.run, scope.outer)
            if all(condition(joined) is True for condition in step.kept):
                yield from self.rows(joined, at + 1)

    def add(self, step: Step, end: int) -> None:
        if len(self.steps) >= MAX_STEPS:
            raise ConsoleError("54001", f"no more than {MAX_STEPS} relations in FROM")
        self.steps.append(step)
        self.ends.append(end)

    def keep(self, condition: Evaluate, used: set[int]) -> None:
        """A condition on columns: at the first step that has them all."""
        needed = max(used, default=-1) + 1
        at = next((index for index, end in enumerate(self.ends) if end >= needed), len(self.ends) - 1)
        self.steps[at].kept.append(condition)


def read_from(items: Sequence[Node], reader: Reader) -> Steps:
    """The columns go to the reader."""
    steps = Steps()
    for item in items:
        _add(item, reader, steps)
    if not items:
        steps.add(Step(lambda _: iter([()]), 0), 0)
    return steps


def conjuncts(node: Node) -> Iterator[Node]:
    """What a condition is made of, if it is made by AND."""
    kind, value = only(node)
    if kind == "BoolExpr" and value["boolop"] == "AND_EXPR":
        for one in value["args"]:
            yield from conjuncts(one)
    else:
        yield node


def keep_conjuncts(node: Node, reader: Reader, steps: Steps) -> None:
    for one in conjuncts(node):
        reader.used = set()
        steps.keep(reader.boolean(one).evaluate, reader.used)
        if reader.aggregates or reader.windows:
            what = "aggregate" if reader.aggregates else "window"
            raise ConsoleError("42803", f"{what} functions are not allowed in WHERE")


def _add(item: Node, reader: Reader, steps: Steps) -> None:
    kind, value = only(item)
    if kind == "JoinExpr":
        _join(value, reader, steps)
        return
    start = len(reader.columns)
    rows = _source(kind, value, reader)
    steps.add(Step(rows, len(reader.columns) - start, table=_table(kind, value)), len(reader.columns))


def _source(kind: str, value: Node, reader: Reader) -> RowsOf:
    make = _SOURCES.get(kind)
    if make is None:
        raise refused(kind)
    alias = value.get("alias", {})
    name, columns, rows = make(value, reader)
    name = alias.get("aliasname", name)
    if name and any(one.relation == name for one in reader.columns):
        raise ConsoleError("42712", f'table name "{name}" specified more than once')
    renamed = [one["String"]["sval"] for one in alias.get("colnames", [])]
    if len(renamed) > len(columns):
        words = f'table "{name}" has {len(columns)} columns available but {len(renamed)} columns specified'
        raise ConsoleError("42P10", words)
    if kind == "RangeFunction" and len(columns) == 1 and not renamed:
        renamed = [name]
    names = [*renamed, *(known for known, _ in columns[len(renamed) :])]
    reader.columns += [Known(name, known, oid) for known, (_, oid) in zip(names, columns, strict=True)]
    return rows


def _join(value: Node, reader: Reader, steps: Steps) -> None:
    if value["jointype"] not in ("JOIN_INNER", "JOIN_LEFT") or value.get("isNatural") or "alias" in value:
        raise refused("joins but INNER, LEFT and CROSS JOIN")
    _add(value["larg"], reader, steps)
    start, left = len(reader.columns), value["jointype"] == "JOIN_LEFT"
    kind, right = only(value["rarg"])
    if kind == "JoinExpr":
        inner = Steps()
        _join(right, reader, inner)
        rows: RowsOf = lambda scope: (None if row is None else row[start:] for row in inner.rows(scope))  # noqa: E731
    else:
        rows = _source(kind, right, reader)
    step = Step(rows, len(reader.columns) - start, left, table=_table(kind, right))
    steps.add(step, len(reader.columns))
    conditions = [_equal(one["String"]["sval"], start, reader) for one in value.get("usingClause", [])]
    if left:
        step.on += conditions
        step.on += [reader.boolean(one).evaluate for one in conjuncts(value["quals"])] if "quals" in value else []
    else:
        step.kept += conditions
        if "quals" in value:
            keep_conjuncts(value["quals"], reader, steps)
    reader.bare.clear()


def _equal(name: str, start: int, reader: Reader) -> Evaluate:
    """USING: the column of the right side is from now on named by its relation only."""
    sides = []
    for side in (range(start), range(start, len(reader.columns))):
        found = [index for index in side if reader.columns[index].name == name and not reader.columns[index].merged]
        if len(found) != 1:
            raise ConsoleError("42703", f'column "{name}" specified in USING clause does not exist')
        sides.append(found[0])
    left, right, _ = reader.paired(reader.column_at(sides[0]), reader.column_at(sides[1]), "=")
    reader.columns[sides[1]] = reader.columns[sides[1]]._replace(merged=True)
    return lambda scope: (one := left.evaluate(scope)) is not None and one == right.evaluate(scope)


# --- sources ------------------------------------------------------------------------------------------------------

_Made = tuple[str, Sequence[tuple[str, int]], RowsOf]


def _table(kind: str, value: Node) -> str:
    """By which `Run.tables` has its rows."""
    return f"{value.get('schemaname', '')}.{value['relname']}" if kind == "RangeVar" else ""


def _relation(value: Node, reader: Reader) -> _Made:
    name, schema = value["relname"], value.get("schemaname")
    command = find(schema, name)
    if command is None or command.columns is None:
        written = f"{schema}.{name}" if schema else name
        names = sorted(c.words[1].lower() for c in shown_relations())
        raise ConsoleError("42P01", f'relation "{written}" does not exist', hint=f"There are: {', '.join(names)}.")
    key = _table("RangeVar", value)
    reader.statement.commands[key] = command
    return name, command.columns, lambda scope: iter(scope.run.tables[key])


def _subquery(value: Node, reader: Reader) -> _Made:
    if value.get("lateral"):
        raise refused("LATERAL")
    query: Query = reader.statement.read(value["subquery"]["SelectStmt"], reader.outer, reader.statement)
    kept: dict[int, list[Tuple]] = {}

    def rows(scope: Scope) -> Iterator[Tuple | None]:
        """Made once for each row around the whole SELECT."""
        key = id(scope.outer or scope.run)
        if key not in kept:
            kept.clear()
            made = []
            for row in query.rows(scope.run, scope.outer):
                scope.run.spend()
                yield None
                if row is not None:
                    made.append(tuple(row))
            kept[key] = made
        yield from kept[key]

    return "", query.columns, rows


def _function(value: Node, reader: Reader) -> _Made:
    """A function that gives rows; any other gives one. Its arguments may name what stands before it."""
    items = value["functions"][0]["List"]["items"]
    kind, call = only(items[0])
    if len(value["functions"]) > 1 or value.get("ordinality") or "coldeflist" in value:
        raise refused("ROWS FROM, WITH ORDINALITY and lists of columns")
    name = call["funcname"][-1]["String"]["sval"] if kind == "FuncCall" else ""
    if name == "pg_get_keywords":
        return name, _KEYWORDS, lambda _: iter(keywords())
    if name in _SETS:
        arguments = [reader.settled(reader.read(one), INT4) for one in call.get("args", [])]
        oid, make = _SETS[name](arguments)
        return name, ((name, oid),), lambda scope: make([one.evaluate(scope) for one in arguments])
    found = reader.settled(reader.read(items[0]), TEXT)
    return name or found.name, ((found.name, found.oid),), lambda scope: iter([(found.evaluate(scope),)])


_Set = tuple[int, Callable[[list[Any]], Iterator[Tuple]]]


def _series(arguments: Sequence[Expression]) -> _Set:
    if len(arguments) != 2 or any(one.oid not in (INT4, INT8) for one in arguments):
        raise ConsoleError("42883", "generate_series takes two whole numbers in the console")

    def make(values: list[Any]) -> Iterator[Tuple]:
        if None in values:
            return
        if values[1] - values[0] >= MAX_SERIES:
            raise ConsoleError("54000", f"generate_series gives no more than {MAX_SERIES} rows in the console")
        yield from ((number,) for number in range(values[0], values[1] + 1))

    return max(arguments[0].oid, arguments[1].oid, key=(INT4, INT8).index), make


def _unnest(arguments: Sequence[Expression]) -> _Set:
    if len(arguments) != 1 or arguments[0].oid not in ELEMENT:
        raise ConsoleError("42883", "unnest takes an array")
    return ELEMENT[arguments[0].oid], lambda values: ((one,) for one in values[0] or ())


_SETS: dict[str, Callable[[Sequence[Expression]], _Set]] = {"generate_series": _series, "unnest": _unnest}
_SOURCES: dict[str, Callable[[Node, Reader], _Made]] = {
    "RangeVar": _relation,
    "RangeSubselect": _subquery,
    "RangeFunction": _function,
}
