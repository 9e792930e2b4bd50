"""How a session's transactions over several shards are to be: what its database says, or its own settings.

SET trunkline.transaction_mode = 'two_phase' | 'single' | 'best_effort'
SET trunkline.cross_shard_snapshot = 'consistent' | 'shard'
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from trunkline.config.settings import DatabaseSettings
from trunkline.shard_errors import InvalidValue, SecondShardRefused

PREFIX: Final = b"trunkline."


class TransactionMode(enum.Enum):
    TWO_PHASE = "two_phase"
    SINGLE = "single"
    BEST_EFFORT = "best_effort"


class CrossShardSnapshot(enum.Enum):
    CONSISTENT = "consistent"
    SHARD = "shard"


KINDS: Final[Mapping[str, type[TransactionMode] | type[CrossShardSnapshot]]] = {
    "transaction_mode": TransactionMode,
    "cross_shard_snapshot": CrossShardSnapshot,
}


@dataclass(frozen=True, slots=True)
class Modes:
    """Of one session, now."""

    transaction: TransactionMode
    snapshot: CrossShardSnapshot


def modes_of(settings: DatabaseSettings, extra: Mapping[bytes, bytes]) -> Modes:
    """`extra` has what the session has set, by whole names in lower case."""
    return _modes(
        _said(extra, b"trunkline.transaction_mode", settings.transaction_mode),
        _said(extra, b"trunkline.cross_shard_snapshot", settings.cross_shard_snapshot),
    )


def _said(extra: Mapping[bytes, bytes], name: bytes, default: str) -> str:
    said = extra.get(name)
    return said.decode().lower() if said else default


@cache
def _modes(transaction: str, snapshot: str) -> Modes:
    return Modes(TransactionMode(transaction), CrossShardSnapshot(snapshot))


def wrong_mode(name: bytes, value: bytes) -> InvalidValue | None:
    """Why a session may not set this, in PostgreSQL's words; None if it may, or it is none of these."""
    kind = KINDS.get(name.removeprefix(PREFIX).decode(errors="replace"))
    said = value.decode(errors="replace")
    choices = [one.value for one in kind or ()]
    if kind is None or not said or said.lower() in choices:
        return None
    return InvalidValue(
        f'invalid value for parameter "{name.decode()}": "{said}"', hint=f"Available values: {', '.join(choices)}."
    )


def second_shard_refused() -> SecondShardRefused:
    return SecondShardRefused(
        "a transaction writes to one shard only, by transaction_mode",
        hint="SET trunkline.transaction_mode = 'two_phase' allows several.",
    )
