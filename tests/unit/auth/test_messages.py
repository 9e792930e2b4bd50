"""The bodies of authentication messages, read strictly."""

from __future__ import annotations

import struct

import pytest

from trunkline import errors
from trunkline.auth import messages
from trunkline.auth.messages import AuthCode


def test_messages_to_a_client_carry_their_length_and_code() -> None:
    assert messages.authentication(AuthCode.OK) == b"R\0\0\0\x08\0\0\0\0"
    assert messages.authentication(AuthCode.MD5_PASSWORD, b"salt") == b"R\0\0\0\x0c\0\0\0\x05salt"
    assert messages.authentication_sasl(["A", "B"]) == b"R\0\0\0\x0d\0\0\0\x0aA\0B\0\0"


def test_messages_to_a_server_carry_their_length() -> None:
    assert messages.response(b"x\0") == b"p\0\0\0\x06x\0"
    assert messages.sasl_initial_response("A", b"xyz") == b"p\0\0\0\x0dA\0\0\0\0\x03xyz"


def test_a_password_ends_where_its_message_does() -> None:
    assert messages.read_password(b"pencil\0") == b"pencil"
    assert messages.read_password(b"\0") == b""


@pytest.mark.parametrize("body", [b"", b"pencil", b"pen\0cil\0", b"\0\0", b"pencil\0x"])
def test_another_password_message_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="invalid password packet size"):
        messages.read_password(body)


def test_an_initial_response_may_be_missing() -> None:
    assert messages.read_sasl_initial_response(b"A\0\0\0\0\x02xy") == (b"A", b"xy")
    assert messages.read_sasl_initial_response(b"A\0\0\0\0\0") == (b"A", b"")
    assert messages.read_sasl_initial_response(b"A\0\xff\xff\xff\xff") == (b"A", None)


@pytest.mark.parametrize("declared", [-(2**31), -2, -1, 0, 1, 3, 1024, 2**31 - 1])
def test_a_declared_length_that_is_not_the_real_one_is_refused(declared: int) -> None:
    with pytest.raises(errors.ProtocolViolation):
        messages.read_sasl_initial_response(b"A\0" + struct.pack("!i", declared) + b"xy")


@pytest.mark.parametrize("body", [b"", b"A", b"A\0", b"A\0\0\0\0", b"\0\xff"])
def test_a_truncated_initial_response_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation):
        messages.read_sasl_initial_response(body)


def test_mechanisms_are_read_up_to_the_empty_name() -> None:
    assert messages.read_sasl_mechanisms(b"A\0B\0\0") == ["A", "B"]
    assert messages.read_sasl_mechanisms(b"\xff\0\0") == ["\ufffd"]


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"A", b"A\0", b"A\0\0x", b"A\0\0B\0\0"])
def test_a_malformed_mechanism_list_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ServerProtocolViolation):
        messages.read_sasl_mechanisms(body)
