"""PostgreSQL's own grammar: the only door to pglast, which is loaded when the first statement needs it.

A tree is the JSON of libpg_query (its protobuf schema names the nodes), as dicts: eight times cheaper than pglast's
objects. A text that does not parse has no tree: the server will say so in its own words.

libpg_query checks its own stack: 100,000 parentheses are a syntax error to it as they are to the server ("memory
exhausted"), and deeper trees than it has stack for are `TooDeep`, as are those deeper than orjson reads (1024 levels).
Trees are larger than their texts, up to a hundred times: there is a limit to that too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from trunkline.routing.plans.plan import Literal

Node = dict[str, Any]

MAX_BYTES = 65536  # of a text that is parsed while others wait
MAX_NODES = 500_000  # of a tree, which then takes some 150 MB


class Unparsed(Exception):
    """A text without a tree."""


class SyntaxProblem(Unparsed):
    """The server would not take it either; `position` is where, as it would say: in characters, from 1."""

    def __init__(self, said: str, position: int) -> None:
        super().__init__(said)
        self.position = position


class TooDeep(Unparsed):
    """The server might take it: nothing is known of what it means."""


class TooLarge(Unparsed):
    """The server might take it: its tree would have more than MAX_NODES."""


class NotUtf8(Unparsed):
    """The text is in another encoding, or damaged."""


def parse(sql: bytes) -> list[tuple[str, Node]] | None:
    """The statements of a text as (node name, node); None if it does not parse, or is too long to be parsed here."""
    if len(sql) > MAX_BYTES:
        return None
    try:
        return parse_any(sql)
    except Unparsed:
        return None


def parse_any(sql: bytes) -> list[tuple[str, Node]]:
    """The same for a text of any length; raises the kind of Unparsed that it is."""
    from pglast.parser import ParseError, parse_sql_json

    try:
        text = parse_sql_json(sql.decode())
    except UnicodeDecodeError as problem:
        raise NotUtf8 from problem
    except ParseError as problem:
        said = str(problem.args[0])
        if "stack depth" in said:
            raise TooDeep from problem
        raise SyntaxProblem(said, _position(sql.decode())) from problem
    if text.count("{") > MAX_NODES:
        raise TooLarge
    tree = _read(text) if len(sql) <= MAX_BYTES else _read_slowly(text)
    if '"MultiAssignRef"' in text:
        _say_once(tree)
    return [only(statement["stmt"]) for statement in tree.get("stmts", ()) if "stmt" in statement]


def _say_once(tree: Node) -> None:
    """In SET (a, b) = (SELECT ...), libpg_query has the query once for each column: the first one's stays."""
    for name, value in walk(tree):
        if name == "MultiAssignRef" and value.get("colno", 0) > 1:
            del value["source"]


def _position(sql: str) -> int:
    """Of the error in a text: pglast counts right where all characters are ASCII."""
    from pglast.parser import ParseError, parse_sql_json

    try:
        parse_sql_json(_NOT_ASCII.sub("z", sql))  # which is part of a name as well
    except ParseError as problem:
        return int(problem.args[1] if problem.args[1] is not None else len(sql)) + 1
    raise AssertionError("a letter is a letter")


def _read(tree: str) -> Any:
    import orjson

    try:
        return orjson.loads(tree)
    except orjson.JSONDecodeError as problem:
        raise TooDeep from problem


def _read_slowly(tree: str) -> Any:
    """The same in a thread of its own: a function in Python, called at each node, lets other threads have a turn."""
    try:
        return json.loads(tree, object_hook=lambda node: node)
    except RecursionError as problem:
        raise TooDeep from problem


def pieces(sql: bytes) -> list[bytes]:
    """The texts of the statements in a text, in order; of one that does not parse, itself."""
    from pglast.parser import ParseError, parse_sql_json

    try:
        tree = _read(parse_sql_json(sql.decode()))
    except (ParseError, UnicodeDecodeError, TooDeep):
        return [sql]
    found: list[bytes] = []
    end = 0
    for statement in tree.get("stmts", ()):
        start, size = statement.get("stmt_location", 0), statement.get("stmt_len", 0)
        begun, end = end, start + size if size else len(sql)
        found.append(sql[begun:end].removeprefix(b";"))  # with the comments before it, which may say where it goes
    return found


def parse_plpgsql(create_function: str) -> Any | None:
    """The tree of a PL/pgSQL function, from its CREATE FUNCTION; None if it does not parse."""
    import orjson
    from pglast.parser import ParseError, parse_plpgsql_json

    try:
        return orjson.loads(parse_plpgsql_json(create_function))
    except (ParseError, orjson.JSONDecodeError, UnicodeError):
        return None


def keywords() -> Iterator[tuple[str, str]]:
    """PostgreSQL's keywords with their categories, as pg_get_keywords() has them."""
    from pglast import keywords as known

    for category, words in (
        ("U", known.UNRESERVED_KEYWORDS),
        ("C", known.COL_NAME_KEYWORDS),
        ("T", known.TYPE_FUNC_NAME_KEYWORDS),
        ("R", known.RESERVED_KEYWORDS),
    ):
        yield from ((word, category) for word in sorted(words))


def only(node: Node) -> tuple[str, Node]:
    """The name and the content of a node that is wrapped in its name."""
    return next(iter(node.items()))


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Every (name, value) below a node, whatever its depth; without recursion, since a client chooses the depth."""
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, dict):
            yield from current.items()
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_TOKEN = re.compile(r"'(?:[^']|'')*'|[0-9.][0-9A-Za-z_.]*(?:(?<=[eE])[+-][0-9]+)?")


def token_at(text: bytes, literal: Literal) -> str:
    """A literal as it stands in the text; of a plain string what is between its quotes."""
    rest = text[literal.location :].decode(errors="replace").lstrip("- ")
    match = _TOKEN.match(rest)
    found = match[0] if match is not None else rest[:20].split(" ", 1)[0]
    if found.startswith("'"):
        found = found[1:-1].replace("''", "'")
    return "-" + found if literal.negative else found
