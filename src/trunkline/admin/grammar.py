"""What an operator or a driver types at the console, cut into statements and words. Pure.

A statement is words up to a semicolon: names as written, "quoted names" and 'strings' without their quotes,
comments left out. Which words mean something is decided by the tables of commands, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.errors import AdminSyntaxError

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<open>/\*)
      | (?P<end>;)
      | "(?P<name>(?:[^"]|"")*)"
      | '(?P<string>(?:[^']|'')*)'
      | (?P<word>[^\s;'"(),=]+)
      | (?P<symbol>[(),=])
    """,
    re.VERBOSE | re.DOTALL,
)
_UNQUOTED = {"name": '""', "string": "''"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `text` is as it was written."""

    words: tuple[str, ...]
    text: str

    def keywords(self, count: int) -> tuple[str, ...]:
        """The first words, as keywords are compared."""
        return tuple(word.upper() for word in self.words[:count])


def split(sql: str) -> list[Statement]:
    """The statements of a query that are not empty; AdminSyntaxError for an open quote or comment."""
    statements: list[Statement] = []
    words: list[str] = []
    start = position = 0
    while position < len(sql):
        token = _TOKEN.match(sql, position)
        if token is None or token.lastgroup == "open":
            raise AdminSyntaxError(f'unterminated quote or comment at or near "{sql[position : position + 20]}"')
        kind = str(token.lastgroup)
        if kind == "end":
            _add(statements, words, sql[start:position])
            start, words = token.end(), []
        elif kind != "space":
            words.append(_value(kind, token[kind]))
        position = token.end()
    _add(statements, words, sql[start:])
    return statements


def _value(kind: str, text: str) -> str:
    quote = _UNQUOTED.get(kind)
    return text.replace(quote, quote[0]) if quote else text


def _add(statements: list[Statement], words: list[str], text: str) -> None:
    if words:
        statements.append(Statement(tuple(words), text.strip()))
