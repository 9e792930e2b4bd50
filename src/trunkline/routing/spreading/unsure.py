"""What a planner of this room raises when it cannot prove what it would need: then another way is taken."""

from __future__ import annotations


class Unsure(Exception):
    """It may be possible all the same. The text says what was missing, for EXPLAIN and tests."""
