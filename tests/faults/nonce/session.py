"""What one client knows of its own session: who it is, its settings, its statements, its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tests.faults.nonce.ledger import Ledger
from tests.faults.nonce.nonces import nonce

# What a target can do beyond plain transaction pooling; a step names what it needs.
NAMED = "named statements"
UNNAMED = "an unnamed statement kept over transactions"
SESSION_SET = "settings of the session"
REPLAYED = "search_path of the startup packet"
EVERYTHING = frozenset((NAMED, UNNAMED, SESSION_SET, REPLAYED))

ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York", "Australia/Adelaide")
STYLES = ("ISO, MDY", "ISO, DMY", "SQL, DMY", "German, DMY", "Postgres, MDY")
SCHEMAS = 4
DEFAULT_WORK_MEM = "4MB"
WATCHED = ("application_name", "TimeZone", "DateStyle", "search_path")
"""Settings that a server reports, of those that the clients use (search_path from PostgreSQL 18 on)."""


def startup_settings(client: int, can: frozenset[str]) -> dict[str, str]:
    """What client number so and so asks for in its startup packet: no two neighbours the same."""
    settings = {
        "application_name": f"nonce {client}",
        "TimeZone": ZONES[client % len(ZONES)],
        "DateStyle": STYLES[client // 2 % len(STYLES)],
    }
    return settings | ({"search_path": f"lab_{client % SCHEMAS}, public"} if REPLAYED in can else {})


@dataclass(slots=True)
class Session:
    """The client's view; ``settings`` has None for what an interrupted statement may or may not have changed."""

    client: int
    salt: str
    random: Random
    can: frozenset[str] = EVERYTHING
    ledger: Ledger = field(default_factory=Ledger)
    serial: int = 0
    settings: dict[str, str | None] = field(default_factory=dict)
    statements: dict[str, str] = field(default_factory=dict)
    status: str = "I"
    canceling: int = 0
    """Cancel requests of our own that have not come to their end."""
    echo: bool = False
    """One of them came to its end during this step: a 57014 may be its echo."""

    def nonce(self) -> str:
        self.serial += 1
        return nonce(self.client, self.serial, self.salt)

    def restart(self, startup: Mapping[str, str]) -> None:
        """A new connection: nothing of the last one's session is left."""
        self.settings = {**startup, "work_mem": DEFAULT_WORK_MEM}
        self.statements.clear()
        self.status = "I"
        self.canceling, self.echo = 0, False
