"""PostgreSQL's md5 authentication: kept for old servers and clients, never for something new.

What is stored is ``md5`` and the hex digest of password and user; it is as good as the password itself.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

SALT_BYTES: Final = 4


def md5_secret(user: str, password: str | bytes) -> str:
    """The stored form, which is what rolpassword and a userlist hold."""
    return "md5" + _hex_digest(_bytes(password) + _bytes(user))


def md5_response(secret: str, salt: bytes) -> bytes:
    """What a client answers to AuthenticationMD5Password, from the stored form."""
    return b"md5" + _hex_digest(secret.removeprefix("md5").encode() + salt).encode()


def md5_verify(secret: str, salt: bytes, response: bytes) -> bool:
    return hmac.compare_digest(md5_response(secret, salt), response)


def _hex_digest(data: bytes) -> str:
    # usedforsecurity: a FIPS build of OpenSSL would refuse; the protocol leaves no choice.
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
