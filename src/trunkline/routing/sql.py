"""PostgreSQL's own grammar: the only door to pglast, which is loaded when the first statement needs it.

A tree is the JSON of libpg_query (its protobuf schema names the nodes), as dicts: eight times cheaper than pglast's
objects. A text that does not parse has no tree: the server will say so in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]

MAX_BYTES = 65536  # of a text that is parsed while others wait


def parse(sql: bytes) -> list[tuple[str, Node]] | None:
    """The statements of a text as (node name, node); None if it does not parse, or is too long to be parsed here."""
    import orjson
    from pglast.parser import ParseError, parse_sql_json

    if len(sql) > MAX_BYTES:
        return None
    try:
        tree = orjson.loads(parse_sql_json(sql.decode()))
    except (ParseError, UnicodeDecodeError, orjson.JSONDecodeError):
        return None
    return [only(statement["stmt"]) for statement in tree.get("stmts", ()) if "stmt" in statement]


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
