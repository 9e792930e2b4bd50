"""What a server says of a prepared statement: the types of its parameters, and its columns (Describe, section 55.7)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from trunkline.protocol.messages import NO_DATA, format_of, message

_FIELD = struct.Struct("!IhIhih")
_TEXT, _VOID = 25, 2278
FIRST_USER_OID = 16384  # FirstNormalObjectId: from here on they differ from shard to shard

TypeName = tuple[bytes | None, ...]  # schema, name and kind of a type, or its number where it has no name


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a RowDescription, as the protocol has it but for the format."""

    name: bytes
    table: int
    attribute: int
    type: int
    size: int
    modifier: int


@dataclass(frozen=True, slots=True)
class Description:
    """`parameters` are OIDs; `fields` is None where no rows come (NoData)."""

    parameters: tuple[int, ...]
    fields: tuple[Field, ...] | None
    shard: int = field(default=-1, compare=False)  # whose words these are: its numbers for types of users
    names: tuple[TypeName, ...] = field(default=(), compare=False)  # of the columns' types, if some are of users

    @property
    def has_own_types(self) -> bool:
        """Whether some of its columns are of types of users."""
        return any(one.type >= FIRST_USER_OID for one in self.fields or ())

    def row_description(self, formats: Sequence[int] = ()) -> bytes:
        """RowDescription of a portal with these result formats, or NoData."""
        if self.fields is None:
            return NO_DATA
        body = struct.pack("!h", len(self.fields))
        for index, one in enumerate(self.fields):
            where = (one.table, one.attribute, one.type, one.size, one.modifier, format_of(formats, index))
            body += one.name + b"\0" + _FIELD.pack(*where)
        return message(b"T", body)

    def parameter_description(self) -> bytes:
        return message(b"t", struct.pack(f"!h{len(self.parameters)}I", len(self.parameters), *self.parameters))


@lru_cache(maxsize=256)
def of_call(title: str, parameters: int) -> Description:
    """Of a call of ours: its parameters are texts, and its one column is of no type, as Citus has it."""
    return Description((_TEXT,) * parameters, (Field(title.encode(), 0, 0, _VOID, 4, -1),))


def fields_of(body: bytes) -> tuple[Field, ...]:
    """Of a RowDescription's body; each shard says the same at each call."""
    found = []
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(b"\0", at)
        table, attribute, type_, size, modifier, _format = _FIELD.unpack_from(body, end + 1)
        found.append(Field(body[at:end], table, attribute, type_, size, modifier))
        at = end + 1 + _FIELD.size
    return tuple(found)


def parameters_of(body: bytes) -> tuple[int, ...]:
    """Of a ParameterDescription's body."""
    count = int.from_bytes(body[:2], "big")
    return struct.unpack_from(f"!{count}I", body, 2)
