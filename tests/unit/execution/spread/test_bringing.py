"""Rows that are brought to other shards: as arrays, and where their keys say."""

from __future__ import annotations

import struct

import pytest

from trunkline.errors import StatementRefused
from trunkline.execution.spread.bringing import array_of, binary_array_of, shard_of
from trunkline.routing.keys.arrays import elements_from_binary, elements_from_text


@pytest.mark.parametrize("rows", [[], ["(1,a)"], ['(1,"a b")', "", "\\", '"', "{,}", "null", "NULL", None, "(,)"]])
def test_an_array_of_texts_is_read_as_what_it_was_made_of(rows: list[str | None]) -> None:
    array = array_of([row.encode() if row is not None else None for row in rows])
    assert elements_from_text(array, "text") == rows


@pytest.mark.parametrize("values", [[], [1], [3, None, -5]])
def test_a_binary_array_is_read_as_what_it_was_made_of(values: list[int | None]) -> None:
    array = binary_array_of([None if value is None else struct.pack(">i", value) for value in values], 23)
    assert elements_from_binary(array, "int8") == values


class Halves:
    """Even keys on the first shard, odd ones on the second."""

    name = "halves"
    types = ("int8",)
    every = 0b11

    def shards_of(self, key: tuple[object, ...]) -> int:
        assert isinstance(key[0], int)
        return 1 << key[0] % 2

    def shards_between(self, low: object, high: object) -> int:
        return self.every


def test_a_key_of_another_integer_type_is_the_same_key() -> None:
    for oid, form in ((20, ">q"), (21, ">h"), (23, ">i")):
        assert [shard_of(Halves(), 1, [struct.pack(form, key)], [oid]) for key in (4, 7)] == [0, 1]


def test_a_row_without_a_key_is_where_such_rows_are() -> None:
    assert shard_of(Halves(), 0b10, [None], [20]) == 1
    with pytest.raises(StatementRefused, match="belongs to no shard"):
        shard_of(Halves(), 0b11, [None], [20])


def test_a_key_of_a_type_that_is_not_read_is_refused() -> None:
    with pytest.raises(StatementRefused, match="not known"):
        shard_of(Halves(), 1, [b"1"], [3802])
