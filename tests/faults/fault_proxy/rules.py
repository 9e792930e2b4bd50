"""When a fault happens: a rule is data, and a fault is a rule with what it does and how often it has done it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.fault_proxy.frames import Side, text_of

if TYPE_CHECKING:
    from tests.faults.fault_proxy.actions import Action

WHOLE = 1 << 62
"""``Rule.bytes``: behind the frame."""


@dataclass(frozen=True)
class Rule:
    """Which frames a fault is for. What is left out is no condition."""

    side: Side
    """``fe``: what the client sends; ``be``: what the server sends."""
    type: str = ""
    """The letters of the types, or those of ``frames`` for what has none on the wire; empty is any."""
    re: bytes | str | None = None
    """Searched in the SQL of Query and Parse, in the tag of CommandComplete, in the body of others."""
    after: int = 0
    """So many matches pass before the first that counts."""
    conn: int | None = None
    """Only the connection of this number; the first is 0."""
    bytes: int = 0
    """So many bytes of the frame, header included, pass first; ``WHOLE``, or more than it has: all of it."""
    p: float = 1.0
    """The chance that a match counts, from the proxy's seed."""
    times: int | None = 1
    """How often it happens; None is always."""


class Fault:
    """One rule in force."""

    def __init__(self, rule: Rule, action: Action) -> None:
        self.rule = rule
        self.action = action
        self.seen = 0
        self.done = 0
        source = rule.re.encode() if isinstance(rule.re, str) else rule.re
        self._pattern = re.compile(source) if source is not None else None

    def __repr__(self) -> str:
        return f"<Fault {self.rule} {self.action} seen={self.seen} done={self.done}>"

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.done >= self.rule.times

    def head_bytes(self, kind: str) -> int:
        """How much of a frame of this type has to be seen to decide."""
        looks = self._pattern is not None and (not self.rule.type or kind in self.rule.type)
        return HEAD_BYTES if looks and not self.spent else 0

    def strikes(self, conn: int, kind: str, head: bytes, chance: random.Random) -> bool:
        """Whether it happens at this frame; counts the match."""
        rule = self.rule
        if self.spent or (rule.type and kind not in rule.type) or rule.conn not in (None, conn):
            return False
        if self._pattern is not None and not self._pattern.search(text_of(rule.side, kind, head)):
            return False
        self.seen += 1
        if self.seen <= rule.after or (rule.p < 1 and chance.random() >= rule.p):
            return False
        self.done += 1
        return True


HEAD_BYTES = 16_384
"""An expression is searched in so many bytes of a frame, and no more."""
