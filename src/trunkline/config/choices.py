"""What several settings are chosen from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class PoolMode(StrEnum):
    """When a server goes back to its pool: at logout, after a transaction, after a statement."""

    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


MODES: dict[str, Any] = {"choices": tuple(PoolMode), "convert": PoolMode}
BALANCE = ("round-robin", "disable")
SESSION_STATES = ("exact", "pgbouncer")
