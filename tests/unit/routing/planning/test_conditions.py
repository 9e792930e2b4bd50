"""Conditions: what is strict, and what an OR comes to."""

from __future__ import annotations

from trunkline.routing.planning.conditions import (
    MAX_BRANCHES,
    Either,
    IsNull,
    Member,
    Same,
    either,
    strict,
    variables_of,
)
from trunkline.routing.plans.plan import Parameter


def member(variable: int, number: int) -> Member:
    return Member((variable,), ((Parameter(number),),))


def test_an_or_of_values_of_one_column_is_one_list() -> None:
    assert either([[member(1, 1)], [member(1, 2)]]) == [Member((1,), ((Parameter(1),), (Parameter(2),)))]


def test_an_or_with_a_branch_that_says_nothing_says_nothing() -> None:
    assert either([[member(1, 1)], []]) == []
    assert either([]) == []


def test_an_or_of_very_many_branches_says_nothing() -> None:
    assert either([[member(number, 1)] for number in range(MAX_BRANCHES + 1)]) == []


def test_what_holds_for_null_is_taken_out() -> None:
    branches = Either(((IsNull(1),), (member(1, 1),)))
    assert strict([IsNull(1), Same(1, 2), branches]) == [Same(1, 2), Either(((), (member(1, 1),)))]


def test_a_condition_knows_its_variables() -> None:
    assert variables_of(Either(((Same(1, 2),), (IsNull(3),)))) == {1, 2, 3}
