"""Arrays of keys: one dimension is read, others are left to PostgreSQL."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.arrays import ARRAY_OIDS, TYPE_OIDS, elements_from_binary, elements_from_text
from trunkline.routing.keys.hashing import KINDS
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible

INT4, INT8 = 23, 20


def packed(*elements: bytes | None, oid: int = INT4, dimensions: int = 1) -> bytes:
    head = struct.pack(">iiiii", dimensions, None in elements, oid, len(elements), 1)
    fields = (struct.pack(">i", -1) if one is None else struct.pack(">i", len(one)) + one for one in elements)
    return head + b"".join(fields)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("{}", []),
        ("{a}", ["a"]),
        (' { a b , "c, d",NULL, "NULL" , null } ', ["a b", "c, d", None, "NULL", None]),
        (r'{"a\"b\\",a\,b,\ a\ }', ['a"b\\', "a,b", " a "]),
        ("{ä,日本}", ["ä", "日本"]),
    ],
)
def test_a_text_array_has_its_elements(text: str, elements: list[str | None]) -> None:
    assert elements_from_text(text.encode(), "text") == elements


@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))))
def test_an_array_with_everything_in_quotes_is_read_back(elements: list[str | None]) -> None:
    quoted = ["NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in elements]
    assert elements_from_text(f"{{{','.join(quoted)}}}".encode(), "text") == elements


def test_elements_are_brought_to_the_keys_type() -> None:
    assert elements_from_text(b"{1,40000}", "int2", "int4") == [1, 32767]
    assert elements_from_binary(packed(struct.pack(">q", 7), None, oid=INT8), "int4") == [7, None]
    assert elements_from_binary(struct.pack(">iii", 0, 0, INT4), "int4") == []


@pytest.mark.parametrize("text", ["{{1,2},{3,4}}", "[0:1]={1,2}", "{1,,2}", "{1", "{1}}", '{"1"2}', "{1} x", "{,}"])
def test_other_arrays_are_unknown(text: str) -> None:
    with pytest.raises(KeyUnknown):
        elements_from_text(text.encode(), "int4")


@pytest.mark.parametrize("text", ["", "1", "1,2", "{x}"])
def test_what_is_no_array_of_the_type_is_not_coercible(text: str) -> None:
    with pytest.raises(NotCoercible):
        elements_from_text(text.encode(), "int4")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        packed(b"\0\0\0\x01")[:-1],
        packed(b"\0\0\0\x01") + b"\0",
        packed(b"\0\0\0\x01", dimensions=2),
        packed(b"\0\0\0\x01", dimensions=-1),
        packed(oid=3802),
        struct.pack(">iiiii", 1, 0, INT4, -1, 1),
        struct.pack(">iiiii", 1, 0, INT4, 2**31 - 1, 1),
        struct.pack(">iiiiii", 1, 0, INT4, 1, 1, -2),
        struct.pack(">iiiiii", 1, 0, INT4, 1, 1, 2**31 - 1),
    ],
)
def test_binary_arrays_that_do_not_hold_are_unknown(data: bytes) -> None:
    with pytest.raises(KeyUnknown):
        elements_from_binary(data, "int4")


def test_an_array_of_another_type_than_declared_is_unknown() -> None:
    with pytest.raises(KeyUnknown):
        elements_from_binary(packed(b"\0\0\0\x01"), "int8", "int8")


@given(st.binary(max_size=80))
def test_any_bytes_are_elements_or_a_reason(data: bytes) -> None:
    for read in (elements_from_text, elements_from_binary):
        try:
            read(data, "text")
        except (NotCoercible, KeyUnknown) as reason:
            assert str(reason)


@pytest.mark.parametrize("piece", [b" ", b"a ", b'"', b"\\", b"{", b"a"])
def test_a_long_text_is_looked_at_once(piece: bytes) -> None:
    """A pattern that tries again would not come to an end."""
    with pytest.raises(KeyUnknown):
        elements_from_text(b"{" + piece * 1_000_000, "text")


def test_all_types_of_keys_have_their_oids() -> None:
    assert set(TYPE_OIDS.values()) == set(ARRAY_OIDS.values()) == set(KINDS)
