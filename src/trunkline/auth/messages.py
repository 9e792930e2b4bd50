"""The authentication messages, both ways: R with its codes, p with its several bodies (protocol section 55.7)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from struct import Struct
from typing import Final

from trunkline import errors

MAX_PASSWORD_BYTES: Final = 65_535  # PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH

_request = Struct("!cii")
_response = Struct("!ci")
_size = Struct("!i")


class AuthCode(enum.IntEnum):
    """The first word of an Authentication message."""

    OK = 0
    KERBEROS_V5 = 2
    CLEARTEXT_PASSWORD = 3
    MD5_PASSWORD = 5
    SCM_CREDENTIAL = 6
    GSS = 7
    GSS_CONTINUE = 8
    SSPI = 9
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12


def authentication(code: AuthCode, body: bytes = b"") -> bytes:
    """An Authentication message to a client."""
    return _request.pack(b"R", _request.size - 1 + len(body), code) + body


def authentication_sasl(mechanisms: Iterable[str]) -> bytes:
    return authentication(AuthCode.SASL, b"".join(name.encode() + b"\0" for name in mechanisms) + b"\0")


def response(body: bytes) -> bytes:
    """A PasswordMessage or SASLResponse to a server."""
    return _response.pack(b"p", _response.size - 1 + len(body)) + body


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    return response(mechanism.encode() + b"\0" + _size.pack(len(data)) + data)


def read_password(body: bytes) -> bytes:
    """The password of a PasswordMessage: one string that ends where the message does."""
    if body.find(b"\0") != len(body) - 1 or not body:
        raise errors.ProtocolViolation("invalid password packet size")
    return body[:-1]


def read_sasl_initial_response(body: bytes) -> tuple[bytes, bytes | None]:
    """Mechanism and initial response, None where the client sends none (a length of -1)."""
    mechanism, end, rest = body.partition(b"\0")
    if not end:
        raise errors.ProtocolViolation("invalid string in message")
    if len(rest) < _size.size:
        raise errors.ProtocolViolation("insufficient data left in message")
    (size,) = _size.unpack_from(rest)
    data = rest[_size.size :]
    if size == -1 and not data:
        return mechanism, None
    if size != len(data):  # compared, never added to: a declared length takes part in no arithmetic
        raise errors.ProtocolViolation("invalid message format")
    return mechanism, data


def read_sasl_mechanisms(body: bytes) -> list[str]:
    """The names in a server's AuthenticationSASL; what is not ASCII cannot be a mechanism that we know."""
    names, end, rest = body.partition(b"\0\0")
    if not end or rest or not names:
        raise errors.ServerProtocolViolation("malformed SASL mechanism list from the server")
    return [name.decode("ascii", "replace") for name in names.split(b"\0")]
