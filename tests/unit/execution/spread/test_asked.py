"""One call, before anything is said of its values."""

from __future__ import annotations

from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.description import Description


def test_a_call_without_values_concerns_no_shard() -> None:
    asked = Asked(None, Description((), None))
    assert (asked.mask, asked.masks, asked.values, asked.result_formats) == (0, (), (), ())


def test_a_parameter_that_says_now_is_found_by_its_type() -> None:
    described = Description((25, 1184), None)
    assert Asked(None, described, (), (0, 0), (b"x", b"now")).says_now
    assert not Asked(None, described, (), (0, 0), (b"now", b"2024-01-01")).says_now
    assert not Asked(None, described, (), (0, 1), (b"now", bytes(8))).says_now
    assert not Asked(None, described, (), (0, 0), (b"now", None)).says_now
