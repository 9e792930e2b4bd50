"""One call, before anything is said of its values."""

from __future__ import annotations

from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.description import Description


def test_a_call_without_values_concerns_no_shard() -> None:
    asked = Asked(None, Description((), None))
    assert (asked.mask, asked.masks, asked.values, asked.result_formats) == (0, (), (), ())
