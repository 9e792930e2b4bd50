"""What is done over several shards for a client just now: for SHOW QUERIES."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.execution.spread.gather_budget import Budget


@dataclass(slots=True)
class Doing:
    """One statement. `state` is how it is answered, `mask` the shards that it concerns."""

    sql: bytes
    since: float
    mask: int
    state: str = ""
    budget: Budget | None = None  # of what is gathered, or kept, for it
