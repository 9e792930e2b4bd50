"""Lines of a message script as bytes: one entry a message letter, a pattern for its words and a function for its bytes.

`LETTERS` is the whole table; `encode` finds the entry and says what the words should have been when they do not fit.
Text is UTF-8, and `«...»` in it stands for bytes: pairs of hex digits, `t`, `n`, `r`, or a byte times a count, such as
`78*1000`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.integration.wire import FLUSH, SYNC, TERMINATE, frame, query, text

TYPES: Mapping[str, int] = {
    "bool": 16, "bytea": 17, "int8": 20, "int2": 21, "int4": 23, "text": 25, "oid": 26, "json": 114, "point": 600,
    "float4": 700, "float8": 701, "unknown": 705, "int4[]": 1007, "text[]": 1009, "varchar": 1043, "date": 1082,
    "time": 1083, "timestamp": 1114, "timestamptz": 1184, "interval": 1186, "numeric": 1700, "regclass": 2205,
    "uuid": 2950, "jsonb": 3802,
}  # fmt: skip

NAMED_BYTES = {"t": b"\t", "n": b"\n", "r": b"\r"}


class NotUnderstood(ValueError):
    """A line that says nothing the table knows; the text is for whoever wrote it."""


# --- words ------------------------------------------------------------------------------------------------------


def expand(words: str) -> bytes:
    """UTF-8 with the bytes that `«...»` stands for."""
    plain, *marked = words.split("«")
    data = plain.encode()
    for part in marked:
        inside, closed, rest = part.partition("»")
        if not closed:
            raise NotUnderstood("« without »")
        data += b"".join(_bytes_of(word) for word in inside.split()) + rest.encode()
    return data


def _bytes_of(word: str) -> bytes:
    if word in NAMED_BYTES:
        return NAMED_BYTES[word]
    digits, times, count = word.partition("*")
    try:
        return bytes.fromhex(digits) * (int(count) if times else 1)
    except ValueError:
        raise NotUnderstood(f"«{word}» is neither hex digits, nor a byte times a count, nor t, n or r") from None


def _name(word: str | None) -> bytes:
    return expand((word or "").strip('"'))


def _type_oid(word: str) -> int:
    if word.isdigit():
        return int(word)
    if word not in TYPES:
        raise NotUnderstood(f"no type {word!r} in the table of types; its oid will do")
    return TYPES[word]


VALUE = re.compile(r'\s*(?:"([^"]*)"|([^,"]*?))\s*(?:,|$)')


def _values(words: str | None) -> list[bytes | None]:
    """`1, NULL, "a, b"`: what is between the brackets."""
    values: list[bytes | None] = []
    at = 0
    while words and at < len(words):
        found = VALUE.match(words, at)
        if found is None:
            raise NotUnderstood(f"not a list of values: [{words}]")
        quoted, bare = found.groups()
        values.append(None if quoted is None and bare == "NULL" else expand(bare if quoted is None else quoted))
        at = found.end()
    return values


def _formats(words: str | None) -> bytes:
    numbers = [int(word) for word in words.split(",")] if words else []
    return struct.pack(f"!H{len(numbers)}H", len(numbers), *numbers)


def _arguments(values: Sequence[bytes | None]) -> bytes:
    sized = [struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values]
    return struct.pack("!H", len(values)) + b"".join(sized)


# --- messages ---------------------------------------------------------------------------------------------------


def _parse(name: str, types: str | None, sql: str | None) -> bytes:
    oids = [_type_oid(word.strip()) for word in types.split(",") if word.strip()] if types else []
    return frame("P", text(_name(name), expand(sql or "")) + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def _bind(portal: str, statement: str, values: str | None, given: str | None, wanted: str | None) -> bytes:
    body = text(_name(portal), _name(statement)) + _formats(given) + _arguments(_values(values)) + _formats(wanted)
    return frame("B", body)


def _about(letter: str, kind: str, name: str) -> bytes:
    return frame(letter, kind.encode() + text(_name(name)))


def _execute(portal: str, rows: str | None) -> bytes:
    return frame("E", text(_name(portal)) + struct.pack("!I", int(rows or 0)))


def _call(oid: str, values: str | None, given: str | None, wanted: str | None) -> bytes:
    return frame("F", struct.pack("!I", int(oid)) + _formats(given) + _arguments(_values(values)) + _one_format(wanted))


def _one_format(word: str | None) -> bytes:
    return struct.pack("!H", int(word or 0))


class Letter(NamedTuple):
    """How a message is written: what its words look like, what they become, and an example for who got it wrong."""

    pattern: re.Pattern[str]
    encode: Callable[..., bytes]
    example: str


def _letter(pattern: str, encode: Callable[..., bytes], example: str) -> Letter:
    return Letter(re.compile(pattern, re.DOTALL), encode, example)


_NAME = r'("[^"]*"|(?:«[^»]*»|[^\s«])+)'
_OPTIONS = r"(?: \[(.*)\])?(?: in=([\d,]+))?(?: out=([\d,]+))?"

LETTERS: Mapping[str, Letter] = {
    "Q": _letter("(.*)", lambda sql: query(expand(sql)), "Q SELECT 1"),
    "P": _letter(rf"{_NAME}(?: \(([^)]*)\))?(?: (.*)|$)", _parse, 'P "" (int4) SELECT $1'),
    "B": _letter(f"{_NAME} {_NAME}{_OPTIONS}", _bind, 'B portal statement [1, NULL, "a, b"] in=0,1 out=1'),
    "D": _letter(f"([SP]) {_NAME}", lambda kind, name: _about("D", kind, name), "D S statement"),
    "E": _letter(rf"{_NAME}(?: (\d+))?", _execute, "E portal 10"),
    "C": _letter(f"([SP]) {_NAME}", lambda kind, name: _about("C", kind, name), "C P portal"),
    "S": _letter("", lambda: SYNC, "S"),
    "H": _letter("", lambda: FLUSH, "H"),
    "X": _letter("", lambda: TERMINATE, "X"),
    "c": _letter("", lambda: frame("c"), "c"),
    "d": _letter("(.*)", lambda data: frame("d", expand(data)), "d 1«t»one«n»"),
    "f": _letter("(.*)", lambda reason: frame("f", text(expand(reason))), "f changed my mind"),
    "F": _letter(rf"(\d+){_OPTIONS}", _call, "F 177 [1, 2]"),
    "raw": _letter("(.*)", expand, "raw Q«0000000d»SELECT 1«00»"),
}


def encode(letter: str, words: str) -> bytes:
    """The bytes of one message line."""
    entry = LETTERS.get(letter)
    if entry is None:
        raise NotUnderstood(f"no message {letter!r}; there are {' '.join(LETTERS)}")
    found = entry.pattern.fullmatch(words)
    if found is None:
        raise NotUnderstood(f"{letter} {words!r} does not read like: {entry.example}")
    return entry.encode(*found.groups())
