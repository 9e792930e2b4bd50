"""The SQL statements in the body of a function, a DO block, a default or a policy, as far as they can be seen."""

from __future__ import annotations

from functools import lru_cache

from trunkline.routing.planning.constants import constant
from trunkline.routing.plans.plan import Constant, Literal, Source
from trunkline.routing.sql import Node, only, parse, parse_plpgsql, token_at, walk

_EXPRESSION, _ASSIGNMENTS = 2, (3, 4, 5)  # RawParseMode
_RETURN_TYPES = ("trigger", "void", "int", "SETOF int", "record", "SETOF record")  # RETURN depends on it, nothing else


class Unseen(Exception):
    """What a body does is not in it: it runs texts, or it is not understood."""


@lru_cache(maxsize=1024)
def definition(text: str) -> tuple[str, Node] | None:
    """The one statement of a definition in the catalog."""
    statements = parse(text.encode())
    return statements[0] if statements else None


def constant_of(default: str) -> Source | None:
    """The constant that a column's default is, or None."""
    parsed = definition(f"SELECT {default}")
    if parsed is None:
        return None
    text = f"SELECT {default}".encode()
    source = constant(*only(parsed[1]["targetList"][0]["ResTarget"]["val"]), text)
    if isinstance(source, Literal):
        return Constant(token_at(text, source), source.type)
    return source if isinstance(source, Constant) else None


@lru_cache(maxsize=1024)
def statements_of(language: str, body: str) -> tuple[tuple[str, str, Node], ...]:
    """The statements of a body, each with its text; raises Unseen."""
    if language == "sql":
        return _sql(body)
    if language == "plpgsql":
        return _plpgsql(body)
    raise Unseen


def _sql(body: str) -> tuple[tuple[str, str, Node], ...]:
    text = body.strip()
    if text[:12].upper() == "BEGIN ATOMIC":
        text = text[12:].rstrip("; \n")[:-3]
    elif text[:6].upper() == "RETURN":
        text = f"SELECT {text[6:]}"
    return _parsed(text)


def _parsed(text: str) -> tuple[tuple[str, str, Node], ...]:
    statements = parse(text.encode())
    if statements is None:
        raise Unseen
    return tuple((text, name, node) for name, node in statements)


def _plpgsql(body: str) -> tuple[tuple[str, str, Node], ...]:
    tree = _tree(body)
    found: list[tuple[str, str, Node]] = []
    for name, value in walk(tree):
        if name in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors") or name == "dynquery":
            raise Unseen
        if name == "PLpgSQL_expr":
            found += _expression(value.get("query", ""), value.get("parseMode", 0))
    return tuple(found)


def _expression(query: str, mode: int) -> tuple[tuple[str, str, Node], ...]:
    if mode == _EXPRESSION:
        return _parsed(f"SELECT {query}")
    if mode in _ASSIGNMENTS:
        _, sign, value = query.partition(":=")
        return _parsed(f"SELECT {value if sign else query.partition('=')[2]}")
    return _parsed(query)


def _tree(body: str) -> object:
    tag = "$body$"
    while tag in body:
        tag = f"$x{tag[1:]}"
    for type in _RETURN_TYPES:
        tree = parse_plpgsql(f"CREATE FUNCTION f() RETURNS {type} LANGUAGE plpgsql AS {tag}{body}{tag}")
        if tree is not None:
            return tree
    raise Unseen
