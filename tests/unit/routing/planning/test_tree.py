"""Conditions reach the tables that they hold for, and no others."""

from __future__ import annotations

from tests.unit.routing.golden_shop import Stub
from trunkline.routing.keys.sharding import Kind, TableRule
from trunkline.routing.planning.conditions import IsNull, Member, Same
from trunkline.routing.planning.deduction import Environment
from trunkline.routing.planning.facts import Use
from trunkline.routing.planning.tree import Apart, Block, Derived, Join, Leaf, linked, settled
from trunkline.routing.plans.plan import Equals, Fixed, Parameter, Where

HASH = Stub("hash", "int8")
FIVE = Member((0,), ((Parameter(1),),))
FOUND = Equals(HASH, (Parameter(1),))
EVERY = Fixed(HASH.every)


def leaf(variable: int) -> Leaf:
    return Leaf(Use("t", "t", TableRule(Kind.SHARDED, ("k",), HASH), (variable,)))


def after(block: Block, *leaves: Leaf) -> list[Where]:
    block.descend(Environment())
    return [one.use.where(frozenset()) for one in leaves]


def test_an_inner_join_says_it_of_both() -> None:
    a, b = leaf(0), leaf(1)
    assert after(Block([Join("INNER", a, b, [Same(0, 1)])], [FIVE]), a, b) == [FOUND, FOUND]


def test_on_says_nothing_of_the_preserved_side() -> None:
    a, b = leaf(0), leaf(1)
    assert after(Block([Join("LEFT", a, b, [Same(0, 1), FIVE])]), a, b) == [EVERY, FOUND]


def test_a_strict_condition_on_the_nullable_side_makes_an_inner_join() -> None:
    a, b = leaf(1), leaf(0)
    assert after(Block([Join("LEFT", a, b, [Same(0, 1)])], [FIVE]), a, b) == [FOUND, FOUND]


def test_null_on_the_nullable_side_says_nothing_of_it() -> None:
    a, b = leaf(0), leaf(1)
    assert after(Block([Join("LEFT", a, b, [Same(0, 1)])], [IsNull(1)]), a, b) == [EVERY, EVERY]


def test_a_full_join_says_nothing_by_its_on() -> None:
    a, b = leaf(0), leaf(1)
    assert after(Block([Join("FULL", a, b, [Same(0, 1), FIVE])]), a, b) == [EVERY, EVERY]


def test_a_closed_query_is_not_told_what_its_output_must_be() -> None:
    for is_open, expected in ((True, FOUND), (False, EVERY)):
        a = leaf(1)
        derived = Derived(Block([a], open=is_open), frozenset((0,)), linked(0, 1))
        assert after(Block([derived], [FIVE]), a) == [expected]


def test_what_runs_apart_is_told_nothing() -> None:
    a = leaf(0)
    assert after(Block([], [FIVE], [Apart(a)]), a) == [EVERY]


def test_a_definition_promises_nothing_and_carries_what_is_not_null() -> None:
    promise = (frozenset((1,)), [Same(8, 9)])
    assert settled(linked(0, 1), [promise]) == linked(0, 1)
    assert settled([*linked(0, 1), FIVE], [promise])[-1] == Same(8, 9)
