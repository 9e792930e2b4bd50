"""Rows of a COPY with ids in front of them, and what the client hears of these: nothing."""

from __future__ import annotations

import struct

import pytest

from trunkline.errors import StatementRefused
from trunkline.execution.spread.copy_numbered import in_binary, in_clients_words, with_ids
from trunkline.execution.spread.participant import as_error
from trunkline.routing.spreading.drawing_slots import CopyIds, Slot

NUMBER, MARK = Slot("nextval", "s"), Slot("uuid7")
UUID = "00000000-0000-7000-8000-00000000000f"


def copied(form: str, *types: str, delimiter: bytes = b"\t") -> CopyIds:
    slots = tuple(MARK if one == "uuid" else NUMBER for one in types)
    return CopyIds(slots, types, form, False, delimiter, b'"', b'"', False)


def test_each_row_has_its_ids_in_front() -> None:
    given = with_ids(b"head\na\nb", [5, 7], copied("text", "int8", "uuid"), [[b"1", b"2"], [b"x", b"y"]])
    assert given == b"head\n1\tx\ta\n2\ty\tb"
    assert with_ids(b"", [], copied("csv", "int8"), [[]]) == b""


def test_a_row_in_binary_has_more_fields() -> None:
    row, end = b"\0\1\0\0\0\1x", b"\xff\xff"
    given = with_ids(b"head" + row + end, [4], copied("binary", "int4"), [[b"7"]])
    assert given == b"head" + b"\0\2\0\0\0\4\0\0\0\7\0\0\0\1x" + end


def test_an_id_in_binary_is_of_its_columns_type() -> None:
    assert in_binary(b"7", "int2") == b"\0\0\0\2\0\7"
    assert in_binary(b"-7", "int8") == struct.pack("!iq", 8, -7)
    assert in_binary(UUID.encode(), "uuid") == b"\0\0\0\x10" + bytes(6) + b"\x70\0\x80" + bytes(6) + b"\x0f"
    with pytest.raises(StatementRefused) as raised:
        in_binary(b"70000", "int2")
    assert raised.value.sqlstate == "22003"
    with pytest.raises(StatementRefused, match="numeric"):
        in_binary(b"7", "numeric")


@pytest.mark.parametrize(
    ("form", "delimiter", "said", "heard"),
    [
        ("text", b"\t", f'WCOPY t, line 12: "5\t{UUID}\ta\tb"', 'WCOPY t, line 12: "a\tb"'),
        ("csv", b"|", f'WCOPY t, line 12: "5|{UUID}|a|b"', 'WCOPY t, line 12: "a|b"'),
        ("text", b"\t", "WCOPY t, line 12, column a: \"5\tx\"", "WCOPY t, line 12, column a: \"5\tx\""),
        ("binary", b"\t", "Mrow field count is 5, expected 4", "Mrow field count is 3, expected 2"),
    ],
)  # fmt: skip
def test_an_error_is_about_the_row_that_the_client_has_sent(form: str, delimiter: bytes, said: str, heard: str) -> None:
    error = as_error(b"SERROR\0C22P04\0M\0" + said.encode() + b"\0\0")
    found = in_clients_words(error, copied(form, "int8", "uuid", delimiter=delimiter))
    assert found.said.split(b"\0")[3] == heard.encode()
