"""SASLprep (RFC 4013) as PostgreSQL applies it to passwords (saslprep.c).

Both sides must prepare a password alike or a right password fails, so PostgreSQL's two liberties are kept: plain ASCII
is taken as it is, control characters included, and what cannot be prepared is used as the bytes it came in.
"""

from __future__ import annotations

import stringprep
import unicodedata
from typing import Final

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,  # unassigned in Unicode 3.2
)


def saslprep(password: str | bytes) -> bytes:
    """The bytes to derive keys from; a str may carry undecodable bytes as surrogateescape does."""
    raw = password if isinstance(password, bytes) else password.encode(errors="surrogateescape")
    if raw.isascii():
        return raw
    try:
        prepared = _map(raw.decode())
    except UnicodeDecodeError:
        return raw
    return prepared.encode() if _allowed(prepared) else raw


def _map(text: str) -> str:
    spaced = (" " if stringprep.in_table_c12(char) else char for char in text)
    return unicodedata.normalize("NFKC", "".join(char for char in spaced if not stringprep.in_table_b1(char)))


def _allowed(text: str) -> bool:
    if not text or any(prohibits(char) for prohibits in _PROHIBITED for char in text):
        return False
    if not any(map(stringprep.in_table_d1, text)):
        return True
    right_to_left_throughout = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return right_to_left_throughout and not any(map(stringprep.in_table_d2, text))
