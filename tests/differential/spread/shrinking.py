"""A wrong statement made small: parts of its parse tree are left out as long as it stays wrong in the same way.

What gives an order to something that needs one is left alone, so that the smaller statement too has one answer only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pglast
from pglast import ast
from pglast.stream import RawStream

from tests.differential.spread.saying import Statement
from tests.differential.spread.world import Finding, World

ATTEMPTS = 400
# Lists and clauses of which something can be left out.
LISTS = ("targetList", "fromClause", "groupClause", "args", "ctes", "valuesLists", "returningList")
CLAUSES = ("whereClause", "havingClause", "agg_filter", "limitOffset", "withClause", "onConflictClause")
INSTEAD = ("lexpr", "rexpr", "arg", "larg", "rarg")


async def shrink(world: World, finding: Finding) -> Finding:
    """The smallest found; the finding itself if it is not a single statement."""
    if len(finding.unit) > 1:
        return finding
    kind = finding.what.partition(":")[0]
    smallest = finding
    plain = finding.unit[0].with_literals()
    again = await _wrong(world, plain, kind)
    if again is None:
        return finding
    smallest = replace(finding, unit=(plain,), what=again)
    tried = 0
    while True:
        for candidate in _smaller(smallest.unit[0].sql):
            tried += 1
            said = replace(plain, sql=candidate, order=None if "order" not in kind else plain.order)
            again = await _wrong(world, said, kind)
            if again is not None:
                smallest = replace(finding, unit=(said,), what=again)
                break
        else:
            return smallest
        if tried > ATTEMPTS:
            return smallest


async def _wrong(world: World, statement: Statement, kind: str) -> str | None:
    """What is wrong with it, if it is of this kind; leaves no trace in the world's tally."""
    kept, world.tally = world.tally, type(world.tally)()
    try:
        wrong = await world.say([statement])
        if statement.is_write and not wrong:
            await world.start_again()
    finally:
        world.tally = kept
    return wrong if wrong.startswith(kind) else None


def _smaller(sql: str) -> Iterator[str]:
    """Texts with one part less, the largest parts first."""
    try:
        (tree,) = pglast.parse_sql(sql)
    except (pglast.parser.ParseError, ValueError):
        return
    paths = sorted(_places(tree.stmt, ()), key=lambda path: len(path[0]))
    for path, change in paths:
        changed = copy.deepcopy(tree.stmt)
        try:
            _apply(changed, path, change)
            text = RawStream()(changed)
        except Exception:
            continue
        if len(text) < len(sql) or change == "drop":
            yield text


Path = tuple[Any, ...]


def _places(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, tuple):
        for number, item in enumerate(node):
            if len(node) > 1 and path[-1] in LISTS:
                yield (*path, number), "drop"
            yield from _places(item, (*path, number))
    elif isinstance(node, ast.Node):
        for name in node:
            value = getattr(node, name)
            if value is None:
                continue
            if name in CLAUSES or (name == "sortClause" and getattr(node, "limitCount", None) is None):
                yield (*path, name), "drop"
            if name in INSTEAD and isinstance(value, ast.Node) and path and not isinstance(node, ast.SelectStmt):
                yield path, name
            yield from _places(value, (*path, name))


def _apply(root: Any, path: Path, change: str) -> None:
    owner = root
    chain = [root]
    for step in path[:-1]:
        owner = owner[step] if isinstance(step, int) else getattr(owner, step)
        chain.append(owner)
    last = path[-1]
    if change != "drop":
        value = getattr(owner[last] if isinstance(last, int) else getattr(owner, last), change)
        _replace(chain, path, value)
    elif isinstance(last, int):
        _replace(chain[:-1], path[:-1], tuple(item for number, item in enumerate(owner) if number != last))
    else:
        setattr(owner, last, None)


def _replace(chain: list[Any], path: Path, value: Any) -> None:
    """Put a value in its place; tuples on the way are made anew."""
    owner, last = chain[-1], path[-1]
    if isinstance(owner, tuple):
        changed = tuple(value if number == last else item for number, item in enumerate(owner))
        _replace(chain[:-1], path[:-1], changed)
    else:
        setattr(owner, last, value)
