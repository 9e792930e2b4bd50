"""Messages of our own, byte for byte, and read back by another reader of the protocol."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import AuthenticationFailed, PoolTimeout
from trunkline.protocol import messages
from trunkline.protocol.scanner import FrameCutter

BYTES_OF_MESSAGES = [
    (messages.SSL_REQUEST, b"\0\0\0\x08\x04\xd2\x16\x2f"),
    (messages.SYNC, b"S\0\0\0\4"),
    (messages.TERMINATE, b"X\0\0\0\4"),
    (messages.PARSE_COMPLETE, b"1\0\0\0\4"),
    (messages.BIND_COMPLETE, b"2\0\0\0\4"),
    (messages.CLOSE_COMPLETE, b"3\0\0\0\4"),
    (messages.NO_DATA, b"n\0\0\0\4"),
    (messages.EMPTY_QUERY_RESPONSE, b"I\0\0\0\4"),
    (messages.AUTHENTICATION_OK, b"R\0\0\0\x08\0\0\0\0"),
    (messages.query(b"select 1"), b"Q\0\0\0\x0dselect 1\0"),
    (messages.ready_for_query(), b"Z\0\0\0\5I"),
    (messages.ready_for_query(b"E"), b"Z\0\0\0\5E"),
    (messages.parameter_status(b"a", b"b"), b"S\0\0\0\x08a\0b\0"),
    (messages.command_complete("SELECT 1"), b"C\0\0\0\x0dSELECT 1\0"),
    (messages.startup_message([(b"user", b"u")]), b"\0\0\0\x10\0\3\0\0user\0u\0\0"),
    (messages.startup_message([], minor=2), b"\0\0\0\x09\0\3\0\2\0"),
    (messages.cancel_request(1, b"abcd"), b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1abcd"),
]


@pytest.mark.parametrize(("built", "expected"), BYTES_OF_MESSAGES)
def test_messages_are_what_the_documentation_says(built: bytes, expected: bytes) -> None:
    assert built == expected


@given(st.binary(min_size=1, max_size=1), st.binary(max_size=200))
def test_a_message_is_one_frame(kind: bytes, body: bytes) -> None:
    assert FrameCutter().feed(messages.message(kind, body)) == [(kind[0], body)]


@given(st.integers(0, 0xFFFFFFFF), st.binary(min_size=4, max_size=256))
def test_a_cancel_request_says_its_own_length(pid: int, key: bytes) -> None:
    request = messages.cancel_request(pid, key)
    assert struct.unpack("!iiI", request[:12]) == (len(request), 80877102, pid)
    assert request[12:] == key


def test_a_negative_process_id_is_sent_as_it_came() -> None:
    assert messages.cancel_request(-1, b"abcd")[8:12] == b"\xff\xff\xff\xff"


# --- errors and notices ---------------------------------------------------------------------------------------------


def fields_of(sent: bytes, kind: str) -> dict[str, str]:
    [(type_byte, body)] = FrameCutter().feed(sent)
    assert chr(type_byte) == kind
    return messages.parse_fields(body)


def test_an_error_response_says_everything_the_error_knows() -> None:
    error = PoolTimeout("no server", detail="20 busy")
    assert fields_of(messages.error_response(error), "E") == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "53300",
        "M": "no server",
        "D": "20 busy",
        "H": PoolTimeout.hint,
    }


def test_an_error_response_leaves_out_what_is_not_known() -> None:
    fields = fields_of(messages.error_response(AuthenticationFailed("no")), "E")
    assert fields == {"S": "FATAL", "V": "FATAL", "C": "28P01", "M": "no"}


def test_a_notice_has_a_severity_that_is_no_error() -> None:
    fields = fields_of(messages.notice_response("01000", "wait", hint="or not"), "N")
    assert fields == {"S": "NOTICE", "V": "NOTICE", "C": "01000", "M": "wait", "H": "or not"}


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read_as_fields(body: bytes) -> None:
    assert {"C", "M", "S"} <= set(messages.parse_fields(body))


def test_an_error_without_a_sqlstate_is_an_internal_one() -> None:
    assert messages.parse_fields(b"Mwords\0\0") == {"M": "words", "C": "XX000", "S": "ERROR"}


# --- results --------------------------------------------------------------------------------------------------------


def test_a_row_description_names_types_sizes_and_formats() -> None:
    sent = messages.row_description([("n", messages.INT8), ("t", messages.TEXT)], [1])
    body = struct.pack("!h", 2) + b"n\0" + struct.pack("!ihihih", 0, 0, 20, 8, -1, 1)
    assert sent == messages.message(b"T", body + b"t\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 1))


def test_a_row_tells_null_from_empty() -> None:
    assert messages.data_row([None, b"", b"x"]) == messages.message(
        b"D", struct.pack("!hii", 3, -1, 0) + struct.pack("!i", 1) + b"x"
    )


@pytest.mark.parametrize(
    ("formats", "expected"), [((), [0, 0, 0]), ((1,), [1, 1, 1]), ((0,), [0, 0, 0]), ((0, 1, 0), [0, 1, 0])]
)
def test_formats_of_columns(formats: tuple[int, ...], expected: list[int]) -> None:
    assert [messages.format_of(formats, index) for index in range(3)] == expected
