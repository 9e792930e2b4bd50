"""Arrays of one dimension in the console's SELECT: `ANY($1)`, `current_schemas(true)`, `string_to_array`. Pure.

An array is a tuple. What is read here comes from a client; arrays of arrays, and bounds, are refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT

OID = 26
ARRAY_OF: Final[dict[int, int]] = {TEXT: 1009, INT4: 1007, INT8: 1016, OID: 1028, BOOL: 1000, NUMERIC: 1231}
ELEMENT: Final[dict[int, int]] = {array: element for element, array in ARRAY_OF.items()}

_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^",{}\\\s]|\\.|(?<=\S)\s+(?=[^,}\s]))+))\s*([,}])', re.DOTALL)
_PLAIN = re.compile(r'[^\s",{}\\]+')


def items(text: str) -> list[str | None]:
    """The texts of the elements; ValueError if it is no array of one dimension."""
    text = text.strip()
    if not text.startswith("{") or not text.endswith("}"):
        raise ValueError
    if not text[1:-1].strip():
        return []
    found: list[str | None] = []
    at, end = 1, ","
    while end == ",":
        item = _ITEM.match(text, at)
        if item is None:
            raise ValueError
        quoted, plain, end = item.groups()
        null = plain is not None and plain.upper() == "NULL"
        found.append(None if null else re.sub(r"\\(.)", r"\1", quoted if plain is None else plain, flags=re.DOTALL))
        at = item.end()
    if at != len(text):
        raise ValueError
    return found


def shown(texts: list[str | None]) -> str:
    """As PostgreSQL writes it: in quotes where it has to be."""
    return "{" + ",".join("NULL" if text is None else _quoted(text) for text in texts) + "}"


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def packed(elements: list[bytes | None], element: int) -> bytes:
    """As array_send writes it: dimensions, whether there are NULLs, type; each dimension's size; the elements."""
    head = struct.pack("!iiI", 1 if elements else 0, int(None in elements), element)
    if elements:
        head += struct.pack("!ii", len(elements), 1)
    return head + b"".join(struct.pack("!i", -1) if e is None else struct.pack("!i", len(e)) + e for e in elements)


def unpacked(data: bytes, read: Callable[[bytes], object]) -> list[object]:
    """What array_recv reads; struct.error or ValueError if it is none of one dimension."""
    dimensions = struct.unpack_from("!iiI", data)[0]
    if dimensions == 0:
        return []
    if dimensions != 1:
        raise ValueError
    count, at = struct.unpack_from("!i", data, 12)[0], 20
    found: list[object] = []
    while len(found) < count:
        (size,) = struct.unpack_from("!i", data, at)
        at += 4
        if size > len(data) - at:
            raise ValueError
        found.append(None if size < 0 else read(data[at : at + size]))
        at += max(size, 0)
    return found
