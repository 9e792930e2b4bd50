"""What is done for a client just now."""

from __future__ import annotations

from trunkline.execution.spread.doing import Doing


def test_nothing_is_gathered_for_it_at_first() -> None:
    doing = Doing(b"SELECT 1", 2.5, 0b11)
    assert (doing.state, doing.budget) == ("", None)
