"""Arrays of keys, as in `key = ANY ($1)`, in text and in binary form. Of one dimension: others are PostgreSQL's."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.values import from_binary, from_text

# The types of keys by their OIDs (pg_type.dat), and of their arrays.
TYPE_OIDS: Mapping[int, str] = {
    16: "bool", 17: "bytea", 20: "int8", 21: "int2", 23: "int4", 25: "text", 700: "float4", 701: "float8",
    1042: "bpchar", 1043: "varchar", 1082: "date", 1114: "timestamp", 1184: "timestamptz", 1700: "numeric",
    2950: "uuid",
}  # fmt: skip
ARRAY_OIDS: Mapping[int, str] = {
    1000: "bool", 1001: "bytea", 1016: "int8", 1005: "int2", 1007: "int4", 1009: "text", 1021: "float4",
    1022: "float8", 1014: "bpchar", 1015: "varchar", 1182: "date", 1115: "timestamp", 1185: "timestamptz",
    1231: "numeric", 2951: "uuid",
}  # fmt: skip
MAX_ELEMENTS = 100_000  # of more, the answer is every shard anyway

# Everything is taken for good: however long a text is, it is looked at once.
_SPACE = rb"[ \t\n\v\f\r]*+"
_WORD = rb'(?:[^ \t\n\v\f\r"\\{},]|\\.)++'
_ELEMENT = re.compile(
    _SPACE + rb'(?:"((?:[^"\\]|\\.)*+)"|(' + _WORD + rb"(?:" + _SPACE + _WORD + rb")*+))" + _SPACE + rb"([,}])",
    re.DOTALL,
)
_EMPTY = re.compile(_SPACE + rb"\{" + _SPACE + rb"\}" + _SPACE)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_HEAD = struct.Struct(">iii")  # dimensions, whether there are NULLs, the elements' type
_DIMENSION = struct.Struct(">ii")  # elements, the first one's number
_LENGTH = struct.Struct(">i")


def elements_from_text(data: bytes, type: str, source: str = "") -> list[Value | None]:
    """The elements as keys of this type; `source` is the elements' own, `int8` of `int8[]`."""
    opened = re.match(_SPACE + rb"\{", data)
    if opened is None:
        if data.lstrip()[:1] == b"[":
            raise KeyUnknown("an array with bounds")
        raise NotCoercible("not an array")
    if _EMPTY.fullmatch(data):
        return []
    return [None if text is None else from_text(text, type, source) for text in _texts(data, opened.end())]


def _texts(data: bytes, at: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    while (element := _ELEMENT.match(data, at)) is not None and len(found) < MAX_ELEMENTS:
        quoted, plain, end = element.groups()
        is_null = quoted is None and plain.lower() == b"null"
        found.append(None if is_null else _ESCAPED.sub(rb"\1", plain if quoted is None else quoted))
        at = element.end()
        if end == b"}":
            if data[at:].strip(b" \t\n\v\f\r"):
                break
            return found
    raise KeyUnknown("not an array of one dimension")


def elements_from_binary(data: bytes, type: str, source: str = "") -> list[Value | None]:
    """As `elements_from_text`; the array itself says what its elements are."""
    if len(data) < _HEAD.size:
        raise KeyUnknown("shorter than an array")
    dimensions, _, oid = _HEAD.unpack_from(data)
    element = TYPE_OIDS.get(oid)
    if element is None or (source and element != source):
        raise KeyUnknown(f"an array of elements with the OID {oid}")
    if dimensions == 0 and len(data) == _HEAD.size:
        return []
    if dimensions != 1 or len(data) < _HEAD.size + _DIMENSION.size:
        raise KeyUnknown("not an array of one dimension")
    count, _ = _DIMENSION.unpack_from(data, _HEAD.size)
    if not 0 <= count <= MAX_ELEMENTS:
        raise KeyUnknown("an array of very many elements")
    fields = _fields(data, _HEAD.size + _DIMENSION.size, count)
    return [None if field is None else from_binary(field, type, element) for field in fields]


def _fields(data: bytes, at: int, count: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    for _ in range(count):
        if len(data) - at < _LENGTH.size:
            raise KeyUnknown("an array that ends early")
        (n,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if n < -1 or len(data) - at < n:
            raise KeyUnknown("an array that ends early")
        found.append(None if n == -1 else data[at : at + n])
        at += max(n, 0)
    if at != len(data):
        raise KeyUnknown("an array with more behind it")
    return found
