"""What the login machines answer: the only things that the side with the socket has to know how to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias


class CacheScope(enum.Enum):
    """Which derived keys may be kept (see ``keys.KeyCache``)."""

    KNOWN = enum.auto()
    UNKNOWN = enum.auto()  # a mock's: kept apart, so that invented user names cannot crowd out real ones
    NEVER = enum.auto()  # from a password that a client claims and nobody has confirmed


@dataclass(frozen=True, slots=True)
class Send:
    """Send these whole messages, perhaps none, then wait for the peer's next authentication message."""

    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Derive:
    """Call ``derived`` with the keys: from the cache, or from ``scram.derive`` run off the loop."""

    user: str
    password: str | bytes = field(repr=False)
    salt: bytes
    iterations: int
    scope: CacheScope


@dataclass(frozen=True, slots=True)
class Accept:
    """The peer is who it says. ``payload`` is what it has still to be sent, towards a client AuthenticationOk included.

    Keys and password are what the client proved to have, where the exchange showed it: with the keys, a login to a
    server that stores the same SCRAM secret is possible.
    """

    payload: bytes = field(default=b"", repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    server_key: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)


Reply: TypeAlias = Send | Derive | Accept
