"""The bodies of the extended protocol's requests, as far as the console needs them (section 55.7). Pure.

A body that does not add up is a ProtocolViolation.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from trunkline.errors import ProtocolViolation


class Parse(NamedTuple):
    name: bytes
    sql: str
    types: tuple[int, ...] = ()  # of the first parameters; 0 is not said


class Bind(NamedTuple):
    portal: bytes
    statement: bytes
    parameters: tuple[bytes | None, ...]
    formats: tuple[int, ...]
    parameter_formats: tuple[int, ...] = ()


class Execute(NamedTuple):
    portal: bytes
    max_rows: int


class Named(NamedTuple):
    """Describe and Close: a statement (S) or a portal (P)."""

    kind: bytes
    name: bytes


class _Body:
    """A message body, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def string(self) -> bytes:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise ProtocolViolation("invalid string in message")
        value, self._at = self._data[self._at : end], end + 1
        return value

    def bytes(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._data):
            raise ProtocolViolation("insufficient data left in message")
        value, self._at = self._data[self._at : self._at + count], self._at + count
        return value

    def int2(self) -> int:
        return int(struct.unpack("!h", self.bytes(2))[0])

    def int4(self) -> int:
        return int(struct.unpack("!i", self.bytes(4))[0])


def query_text(body: bytes) -> str:
    """The text of a Query."""
    return _Body(body).string().decode(errors="replace")


def read_parse(body: bytes) -> Parse:
    reader = _Body(body)
    name, sql = reader.string(), reader.string().decode(errors="replace")
    return Parse(name, sql, tuple(reader.int4() & 0xFFFFFFFF for _ in range(reader.int2())))


def read_bind(body: bytes) -> Bind:
    reader = _Body(body)
    portal, statement = reader.string(), reader.string()
    formats = tuple(reader.int2() for _ in range(reader.int2()))
    sizes = range(reader.int2())
    parameters = tuple(None if (size := reader.int4()) < 0 else reader.bytes(size) for _ in sizes)
    return Bind(portal, statement, parameters, tuple(reader.int2() for _ in range(reader.int2())), formats)


def read_execute(body: bytes) -> Execute:
    reader = _Body(body)
    return Execute(reader.string(), reader.int4())


def read_named(body: bytes) -> Named:
    reader = _Body(body)
    kind = reader.bytes(1)
    if kind not in (b"S", b"P"):
        raise ProtocolViolation(f"invalid subtype {kind[0]} in message")
    return Named(kind, reader.string())
