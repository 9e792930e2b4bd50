"""How an error is told to a client that outlives it."""

from __future__ import annotations

from trunkline.errors import TrunklineError
from trunkline.protocol.messages import error_response, message


def told(error: TrunklineError) -> bytes:
    """An error that its client outlives, in the server's own words where there are some."""
    said = getattr(error, "said", b"")
    if said:
        return message(b"E", said)
    error.severity = "ERROR"
    return error_response(error)
