"""Nonces: texts that occur once in a whole run, and show whose they are.

``~12.1f.9ab3~`` is the 0x1f-th nonce of client 12 in the run with salt 9ab3. The tilde occurs nowhere else in what
clients say or servers answer, so that a nonce is found in any message, whatever it is wrapped in.
"""

from __future__ import annotations

import re

_PATTERN = re.compile(rb"~(\d+)\.([0-9a-f]+)\.([0-9a-f]+)~")


def nonce(client: int, serial: int, salt: str) -> str:
    return f"~{client}.{serial:x}.{salt}~"


def found_in(body: bytes) -> list[bytes]:
    """Every whole nonce in a message."""
    return [match.group() for match in _PATTERN.finditer(body)] if b"~" in body else []


def owner(found: bytes) -> int:
    """The client whose nonce this is."""
    match = _PATTERN.fullmatch(found)
    assert match is not None, f"not a nonce: {found!r}"
    return int(match.group(1))
