"""How an error is told to a client that outlives it, and what ends one that says what it must not."""

from __future__ import annotations

from trunkline.errors import ProtocolViolation, TrunklineError
from trunkline.protocol.messages import error_response, message
from trunkline.proxy.steps import NO_QUERIES

QUERY = ord("Q")


def violation(kind: int) -> ProtocolViolation:
    """A message of a type that is none, or is not allowed here."""
    return ProtocolViolation(NO_QUERIES if kind == QUERY else f"invalid frontend message type {kind}")


def told(error: TrunklineError) -> bytes:
    """An error that its client outlives, in the server's own words where there are some."""
    said = getattr(error, "said", b"")
    if said:
        return message(b"E", said)
    error.severity = "ERROR"
    return error_response(error)
