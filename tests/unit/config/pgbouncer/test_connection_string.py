"""Connection strings; every case was tried on PgBouncer 1.18."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.address import BadValue
from trunkline.config.pgbouncer.connection_string import pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("host = 'x y'  port = 1", [("host", "x y"), ("port", "1")]),
        ("password='it''s'", [("password", "it's")]),
        ("host= port=1", [("host", "port=1")]),
        ("host=x\tport=1", [("host", "x\tport=1")]),
        ("host='x' \tport=1", [("host", "x"), ("\tport", "1")]),
        ("host='x',port=1", [("host", "x"), ("port", "1")]),
        ("host='x'port=1", [("host", "x"), ("ort", "1")]),
        ("host=a host=b", [("host", "a"), ("host", "b")]),
        ("host=x=y", [("host", "x=y")]),
    ],
)
def test_what_is_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(pair.key, pair.value) for pair in pairs(text)] == expected


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("host='x", 5),
        ("host=''", 0),
        ("port=", 0),
        ("host=x port", 7),
        ("host=x ; c", 7),
        ("= host=x", 0),
        ("host=x'y z'", 9),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, offset: int) -> None:
    with pytest.raises(BadValue) as error:
        list(pairs(text))
    assert error.value.offset == offset


@given(st.lists(st.tuples(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(min_size=1))))
def test_what_is_quoted_is_read_back(written: list[tuple[str, str]]) -> None:
    text = " ".join(f"{key}='{value.replace(chr(39), chr(39) * 2)}'" for key, value in written)
    found = list(pairs(text))
    assert [(pair.key, pair.value) for pair in found] == written
    for pair in found:
        assert text.startswith(pair.key, pair.key_offset)
        assert text[pair.value_offset - 1] == "'"


@given(st.text(alphabet=" ='ab\t"))
def test_any_text_ends(text: str) -> None:
    try:
        assert all(pair.key and pair.value for pair in pairs(text))
    except BadValue as error:
        assert 0 <= error.offset <= len(text)
