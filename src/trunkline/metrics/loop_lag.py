"""How late the event loop is: what holds it up holds up every client, and nothing else shows it."""

from __future__ import annotations

PERIOD_S = 0.25
WINDOW_S = 30.0


class LoopLag:
    """The longest delay of a timer in this window and the one before: no scrape misses what another has seen."""

    def __init__(self, now: float) -> None:
        self._due = now + PERIOD_S
        self._turns_at = now + WINDOW_S
        self._longest = self._longest_before = 0.0

    @property
    def longest_s(self) -> float:
        return max(self._longest, self._longest_before)

    def on_timer(self, now: float) -> None:
        """The timer that was set for PERIOD_S ago has come."""
        self._longest = max(self._longest, now - self._due)
        self._due = now + PERIOD_S
        if now >= self._turns_at:
            self._longest_before, self._longest = self._longest, 0.0
            self._turns_at = now + WINDOW_S
