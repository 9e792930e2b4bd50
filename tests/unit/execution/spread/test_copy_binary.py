"""Binary COPY data, put before shards whatever pieces they come in."""

from __future__ import annotations

import struct

import pytest

from tests.unit.execution.spread.test_copy_split import by_length, hashed, taken
from trunkline.execution.spread.copy_binary import BinarySplitter
from trunkline.execution.spread.copy_split import BINARY

HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!iI", 0, 3) + b"ext"
TRAILER = b"\xff\xff"


def row(*values: bytes | None) -> bytes:
    fields = [struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in values]
    return struct.pack("!h", len(values)) + b"".join(fields)


A, BB, NULL, SHORT = row(b"x", b"a"), row(None, b"bb"), row(b"", None), row(b"x")


@pytest.mark.parametrize("size", [0, 1, 3, 11])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + A + BB + NULL + TRAILER, [HEAD + BB + TRAILER, HEAD + A + TRAILER, HEAD + NULL + TRAILER]),
        (HEAD + SHORT + A, [HEAD + SHORT, HEAD + A, HEAD]),
        (HEAD + A + TRAILER + A, [HEAD + TRAILER + A, HEAD + A + TRAILER, HEAD + TRAILER]),
        (HEAD + A + BB[:-1], [HEAD + BB[:-1], HEAD + A, HEAD]),
        (HEAD + struct.pack("!hi", 2, -2) + A, [HEAD + struct.pack("!hi", 2, -2) + A, HEAD, HEAD]),
        (b"no signature at all" + A, [b"no signature at all" + A, b"", b""]),
        (HEAD[:15] + b"\xff\xff\xff\xff" + A, [HEAD[:15] + b"\xff\xff\xff\xff" + A, b"", b""]),
    ],
)
def test_each_row_goes_to_the_shard_of_its_key(data: bytes, expected: list[bytes], size: int) -> None:
    assert taken(BinarySplitter(3, 0, BINARY, (1,), by_length), data, size) == expected


def test_compiled_keys_are_on_the_shards_that_the_rule_says() -> None:
    for type, width in (("int2", 2), ("int4", 4), ("int8", 8)):
        ready, function = hashed(type)
        splitter = BinarySplitter(3, 0, BINARY, (0,), by_length, ready)
        found = taken(splitter, HEAD + b"".join(row(key.to_bytes(width, "big", signed=True)) for key in range(-9, 9)))
        for shard in range(3):
            keys = [key for key in range(-9, 9) if function.shards_of((key,)) == 1 << shard]
            assert found[shard] == HEAD + b"".join(row(key.to_bytes(width, "big", signed=True)) for key in keys)
