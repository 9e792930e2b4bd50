"""What is gathered: refusals are the first, parameters of two kinds are doubtful, and there is an end to it."""

from __future__ import annotations

import pytest

from trunkline.routing.planning.facts import MAX_BINDINGS, Facts, TooComplex


def test_the_first_reason_counts() -> None:
    facts = Facts()
    facts.refuse("one")
    facts.refuse("two")
    facts.demand_single("three")
    facts.demand_single("four")
    assert facts.refusal is not None and facts.refusal.reason == "one"
    assert facts.single is not None and facts.single.reason == "three"


def test_a_parameter_of_two_kinds_is_doubtful() -> None:
    facts = Facts(parameters={1: {"integer"}, 2: {"integer", "?"}})
    assert facts.doubtful() == {2}


def test_a_statement_has_an_end() -> None:
    facts = Facts(bindings=MAX_BINDINGS)
    with pytest.raises(TooComplex):
        facts.count()
