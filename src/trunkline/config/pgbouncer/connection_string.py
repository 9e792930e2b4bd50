"""What stands behind a name in [databases] and [users]: ``key=value`` pairs with spaces between them.

Rules, as PgBouncer has them:
1. Only the space is space; a tab is a character like any other.
2. A value may be in single quotes, in which two stand for one. One character behind the closing quote is skipped,
   whatever it is.
3. There are no empty values, and an unquoted one goes on to the next space, also over quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.config.address import BadValue

_KEY = re.compile(r" *([^= ]+) *= *")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_PLAIN = re.compile(r"[^ ]*")


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair; the offsets say where key and value begin, the value's behind its quote."""

    key: str
    value: str
    key_offset: int
    value_offset: int


def pairs(text: str) -> Iterator[Pair]:
    """All pairs, the last of equal keys meant by PgBouncer; BadValue where the grammar is broken."""
    at = 0
    while text[at:].strip(" "):
        key = _KEY.match(text, at)
        if key is None:
            raise BadValue("not key=value", "write as in host=localhost port=5432", _start(text, at))
        pair, at = _value(text, key)
        if not pair.value:
            raise BadValue(f"`{pair.key}` has no value", "leave it out", key.start(1))
        yield pair


def _value(text: str, key: re.Match[str]) -> tuple[Pair, int]:
    start = key.end()
    if text[start : start + 1] != "'":
        plain = _PLAIN.match(text, start)
        assert plain is not None  # it matches nothing too
        return Pair(key[1], plain[0], key.start(1), start), plain.end()
    quoted = _QUOTED.match(text, start)
    if quoted is None:
        raise BadValue("a quote is not closed", "two single quotes stand for one", start)
    return Pair(key[1], quoted[1].replace("''", "'"), key.start(1), start + 1), quoted.end() + 1


def _start(text: str, at: int) -> int:
    return at + len(text[at:]) - len(text[at:].lstrip(" "))
