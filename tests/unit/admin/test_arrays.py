"""Arrays: what PostgreSQL writes and reads, and that no bytes of a client are more than an error."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.admin.arrays import items, packed, shown, unpacked


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", []), (" { } ", []), ("{a,b}", ["a", "b"]), ('{ a , "b c" }', ["a", "b c"]),
        ("{NULL,null}", [None, None]),
        ('{"NULL"}', ["NULL"]), (r'{"a\"b","\\"}', ['a"b', "\\"]), ("{a b}", ["a b"]), ('{""}', [""]),
    ],
)  # fmt: skip
def test_literals_are_read_as_postgresql_reads_them(text: str, wanted: list[str | None]) -> None:
    assert items(text) == wanted


@pytest.mark.parametrize("text", ["", "a", "{", "{a", "{a,}", "{,a}", "{a}b", "{{a}}", '{"a}', "{}}"])
def test_what_is_no_array_of_one_dimension_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        items(text)


@given(st.lists(st.none() | st.text(max_size=8), max_size=5))
def test_an_array_is_read_as_it_is_written(elements: list[str | None]) -> None:
    assert items(shown(elements)) == elements
    encoded = [None if one is None else one.encode() for one in elements]
    assert unpacked(packed(encoded, 25), bytes.decode) == elements


@given(st.binary(max_size=60))
def test_any_bytes_are_an_array_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ValueError, struct.error):
        assert isinstance(unpacked(data, bytes), list)
