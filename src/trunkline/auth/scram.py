"""SCRAM-SHA-256: stored secrets, keys, proofs and the syntax that both roles share (RFC 5802, RFC 7677).

Nothing here waits or draws random numbers. ``derive`` is the one costly function (about 1 ms for 4,096 iterations): the
caller runs it off the loop. Values that are secret never show in a repr and are compared with ``hmac.compare_digest``.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from trunkline.auth.saslprep import saslprep

SHA_256: Final = "SCRAM-SHA-256"
SHA_256_PLUS: Final = "SCRAM-SHA-256-PLUS"
DEFAULT_ITERATIONS: Final = 4096
KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
MAX_MESSAGE_BYTES: Final = 1024  # PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH

PLUS_HEADER: Final = b"p=tls-server-end-point,,"

_RESERVED: Final = frozenset(bytes([letter]) for letter in b"acemnprsiv")
_printable = re.compile(rb"[\x21-\x2b\x2d-\x7e]+").fullmatch
_secret = re.compile(r"SCRAM-SHA-256\$([0-9]{1,10}):([^$:]+)\$([^$:]+):([^$:]+)").fullmatch


class Malformed(ValueError):
    """A SCRAM message that breaks the syntax; each role turns it into its own error."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a password becomes with one salt and count; enough to log in, so as secret as the password."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)

    @classmethod
    def of(cls, client_key: bytes, server_key: bytes) -> ScramKeys:
        return cls(client_key, server_key, hashlib.sha256(client_key).digest())


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """What PostgreSQL stores in rolpassword: enough to check a login, not enough to make one."""

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ScramSecret | None:
        """The secret in PostgreSQL's notation, or None where ``text`` is no such thing."""
        match = _secret(text)
        if match is None or not text.isascii():
            return None
        iterations = int(match[1])
        try:
            salt, stored_key, server_key = (decode_base64(part.encode()) for part in match.groups()[1:])
        except Malformed:
            return None
        usable = 0 < iterations < 2**31 and salt and len(stored_key) == len(server_key) == KEY_BYTES
        return cls(iterations, salt, stored_key, server_key) if usable else None

    @classmethod
    def of(cls, keys: ScramKeys, salt: bytes, iterations: int) -> ScramSecret:
        return cls(iterations, salt, keys.stored_key, keys.server_key)

    def format(self) -> str:
        salt, stored, server = (encode_base64(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{SHA_256}${self.iterations}:{salt}${stored}:{server}"


def derive(password: str | bytes, salt: bytes, iterations: int) -> ScramKeys:
    """PBKDF2 over the prepared password; releases the interpreter lock, so it belongs on a thread."""
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
    return ScramKeys.of(_hmac(salted, b"Client Key"), _hmac(salted, b"Server Key"))


def client_proof(keys: ScramKeys, auth_message: bytes) -> bytes:
    return _xor(keys.client_key, _hmac(keys.stored_key, auth_message))


def recover_client_key(stored_key: bytes, proof: bytes, auth_message: bytes) -> bytes | None:
    """The client key that made ``proof``, or None where it is not the one behind ``stored_key``."""
    client_key = _xor(proof, _hmac(stored_key, auth_message))
    matches = hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)
    return client_key if matches else None


def server_signature(server_key: bytes, auth_message: bytes) -> bytes:
    return _hmac(server_key, auth_message)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


# --- syntax -----------------------------------------------------------------------------------------------------


def encode_base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def decode_base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise Malformed("Malformed base64.") from None


def is_printable(nonce: bytes) -> bool:
    """RFC 5802's ``printable``: visible ASCII without the comma, at least one character."""
    return _printable(nonce) is not None


def check_size(message: bytes) -> None:
    if not message:
        raise Malformed("The message is empty.")
    if len(message) > MAX_MESSAGE_BYTES:
        raise Malformed("The message is too long.")
    if b"\0" in message:
        raise Malformed("Message length does not match input length.")


def take_attribute(message: bytes, name: str) -> tuple[bytes, bytes]:
    """The value of the attribute ``name``, which must come next, and what follows its comma."""
    if message[:1] != name.encode():
        raise Malformed(f'Expected attribute "{name}" but found "{show_byte(message)}".')
    if message[1:2] != b"=":
        raise Malformed(f'Expected character "=" for attribute "{name}".')
    value, _, rest = message[2:].partition(b",")
    return value, rest


def skip_extension(message: bytes) -> bytes:
    """What follows the optional extension that comes next.

    RFC 5802 wants extensions ignored; one named like a regular attribute is a second, hence ambiguous, value of it.
    """
    name = message[:1]
    if not name.isalpha():
        raise Malformed(f'Attribute expected, but found invalid character "{show_byte(message)}".')
    if name in _RESERVED:
        raise Malformed(f'Unexpected attribute "{show_byte(message)}".')
    return take_attribute(message, name.decode())[1]


def show_byte(message: bytes) -> str:
    """The first byte for an error message (PostgreSQL's sanitize_char)."""
    first = message[0] if message else 0
    return chr(first) if 0x21 <= first <= 0x7E else f"0x{first:02x}"
