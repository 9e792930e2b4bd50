"""Plans are values: equal where they say the same, and usable as keys."""

from __future__ import annotations

from tests.unit.routing.golden_shop import Stub
from trunkline.routing.plans.plan import AnyOf, Equals, Literal, Parameter


def test_equal_conditions_are_one() -> None:
    function = Stub("hash", "int8")
    assert Equals(function, (Parameter(1),)) == Equals(function, (Parameter(1),))
    assert len({Equals(function, (Literal(5),)), Equals(function, (Literal(5),)), AnyOf(())}) == 2
