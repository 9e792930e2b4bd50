"""What a client is told beside answers: errors that it outlives, settings that changed, and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import ProtocolViolation, TrunklineError
from trunkline.execution.spread.participants import Participants
from trunkline.protocol.messages import error_response, message, parameter_status
from trunkline.proxy.steps import NO_QUERIES

if TYPE_CHECKING:
    from trunkline.proxy.client import ClientLink

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


def news(participants: Participants, link: ClientLink) -> bytes:
    """Settings that are not as the client has last heard (guc.c, ReportChangedGUCOptions)."""
    settings, found = participants.settings, b""
    if settings is None or settings is link.params or link.params is None:
        return found
    for name, value in settings.news_for(link.params):
        found += parameter_status(name, value)
        link.params = link.params.with_reported(name, value)
    return found
