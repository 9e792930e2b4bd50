"""Rows that are brought from shard to shard by the proxy: as arrays, and to which shard by their keys."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trunkline.errors import StatementRefused
from trunkline.execution.refusals import not_mapped
from trunkline.execution.spread.participant import Participant
from trunkline.routing.keys.arrays import TYPE_OIDS
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, KeyUnknown, NotCoercible, ShardFunction, Value
from trunkline.routing.keys.values import from_binary

HEADER_BYTES = 5  # of a message
_HEAD = struct.Struct(
    ">iiIii"
)  # of an array: dimensions, whether there are NULLs, type, elements, the first one's number


def in_their_encoding(one: Participant) -> None:
    """StatementRefused if rows come in another encoding than the servers': keys are not read in it."""
    if one.translates:
        hint = "Set client_encoding to the servers' encoding."
        raise StatementRefused("rows are not brought to other shards in another encoding than the servers'", hint=hint)


def array_of(elements: Sequence[bytes | None]) -> bytes:
    """A text array, as a literal."""
    said = [
        b"NULL" if one is None else b'"' + one.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' for one in elements
    ]
    return b"{" + b",".join(said) + b"}"


def binary_array_of(elements: Sequence[bytes | None], type: int) -> bytes:
    """An array of one dimension in binary form."""
    if not elements:
        return struct.pack(">iiI", 0, 0, type)
    head = _HEAD.pack(1, int(None in elements), type, len(elements), 1)
    return head + b"".join(
        [struct.pack(">i", -1) if one is None else struct.pack(">i", len(one)) + one for one in elements]
    )


def shard_of(function: ShardFunction, nowhere: int, key: Sequence[bytes | None], oids: Sequence[int]) -> int:
    """Where a row with this key, in binary form, belongs; StatementRefused if that cannot be said."""
    try:
        found = _read(function, key, oids)
        mask = nowhere if found is None else function.shards_of(found)
    except KeyMissing:
        raise StatementRefused("the directory does not know the key of a row yet", hint="Say it again.") from None
    except KeyNotMapped as reason:
        error = not_mapped(reason)
        assert isinstance(error, StatementRefused)
        raise error from None
    except (KeyUnknown, NotCoercible) as reason:
        raise StatementRefused(f"the shard of a row is not known: its key is {reason}") from None
    return only_shard(mask)


def only_shard(mask: int) -> int:
    """The shard of one row; StatementRefused if that is not one, as there may be none for a row without a key."""
    if not mask or mask & (mask - 1):
        raise StatementRefused("a row without a key belongs to no shard", hint="Make the key NOT NULL.")
    return mask.bit_length() - 1


def _read(function: ShardFunction, key: Sequence[bytes | None], oids: Sequence[int]) -> tuple[Value, ...] | None:
    """The key's values; None if one of them is NULL."""
    found = []
    for value, oid, type in zip(key, oids, function.types, strict=True):
        if value is None:
            return None
        source = TYPE_OIDS.get(oid)
        if source is None:
            raise KeyUnknown(f"of a type with the OID {oid}")
        found.append(from_binary(value, type, source))
    return tuple(found)
