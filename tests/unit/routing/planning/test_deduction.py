"""From conditions to what is known of a key."""

from __future__ import annotations

from tests.unit.routing.golden_shop import Stub
from trunkline.routing.keys.sharding import KeyNotMapped, Value
from trunkline.routing.planning.conditions import Condition, Either, Element, IsNull, Member, Same, Within
from trunkline.routing.planning.deduction import Environment, Sought, any_of, of_rows
from trunkline.routing.plans.plan import AnyOf, Between, Constant, Equals, Fixed, In, InArray, Parameter, Where

HASH, RANGE, PAIR = Stub("hash", "int8"), Stub("range", "int8"), Stub("hash", "int8", "int8")
ONE, TWO = Parameter(1), Parameter(2)


def known(*conditions: Condition, key: tuple[int, ...] = (0,), function: Stub = HASH) -> Where | None:
    return Environment(conditions).knowledge().where(Sought(key, function))


def equal(variable: int, *sources: Parameter) -> Member:
    return Member((variable,), tuple((source,) for source in sources))


def test_equalities_are_transitive() -> None:
    assert known(Same(0, 1), Same(2, 1), equal(2, ONE)) == Equals(HASH, (ONE,))
    assert known(equal(1, ONE)) is None


def test_a_list_has_each_row_once_and_none_with_null() -> None:
    assert known(Member((0,), ((ONE,), (ONE,), (Constant(None),)))) == Equals(HASH, (ONE,))
    assert known(Member((0,), ((Constant(None),),))) == Fixed(0)


def test_new_rows_without_a_key_are_put_somewhere() -> None:
    null = Constant(None)
    assert of_rows(HASH, ((ONE,),), 4) == Equals(HASH, (ONE,), 4)
    assert of_rows(HASH, ((ONE,), (TWO,)), 4) == In(HASH, ((ONE,), (TWO,)), 4)
    assert of_rows(HASH, ((null,),), 4) == Fixed(4)
    assert of_rows(HASH, ((ONE,), (null,)), 4) == AnyOf((Equals(HASH, (ONE,), 4), Fixed(4)))
    assert of_rows(HASH, ((Constant("5"),), (null,)), 4) == AnyOf((Equals(HASH, (Constant("5"),)), Fixed(4)))


def test_only_what_is_given_may_be_null() -> None:
    """What is compared is equal to nothing then, and there is no row."""
    sought = Sought((0,), HASH, nowhere=4)
    compared = Environment([Member((0,), ((ONE,),))]).knowledge().where(sought)
    given = Environment([Member((0,), ((ONE,),), by_definition=True)]).knowledge().where(sought)
    assert (compared, given) == (Equals(HASH, (ONE,)), Equals(HASH, (ONE,), 4))
    assert any_of([Equals(HASH, (ONE,)), Equals(HASH, (ONE,), 4)]) == Equals(HASH, (ONE,), 4)


def test_bounds_matter_to_what_keeps_an_order() -> None:
    assert known(Within(0, ONE, None), function=RANGE) == Between(RANGE, ONE, None)
    assert known(Within(0, ONE, None)) is None


def test_elements_and_nulls() -> None:
    assert known(Element(0, ONE)) == InArray(HASH, ONE)
    assert known(IsNull(0)) == Fixed(1)


def test_rows_without_a_key_that_the_rule_has_no_place_for_may_be_anywhere() -> None:
    """Somebody else may have put them there: a database that was sharded by hand is taken over as it is."""

    class Nowhere(Stub):
        def shards_of(self, key: tuple[Value | None, ...]) -> int:
            return 0 if key == (None,) else 1

    class Unsaid(Stub):
        def shards_of(self, key: tuple[Value | None, ...]) -> int:
            raise KeyNotMapped("not in the directory")

    assert known(IsNull(0), function=Nowhere("modulo", "int8")) == Fixed(0b111)
    assert known(IsNull(0), function=Unsaid("lookup", "int8")) == Fixed(0b111)


def test_every_branch_of_an_or_has_to_say_something() -> None:
    both = Either(((equal(0, ONE), Same(5, 6)), (equal(1, TWO),)))
    assert known(both) is None
    assert known(both, Same(0, 1)) == AnyOf((Equals(HASH, (ONE,)), Equals(HASH, (TWO,))))


def test_a_key_of_two_columns_needs_both() -> None:
    assert known(equal(0, ONE), key=(0, 1), function=PAIR) is None
    assert known(equal(0, ONE), equal(1, TWO), key=(0, 1), function=PAIR) == Equals(PAIR, (ONE, TWO))
    rows = Member((1, 0), ((ONE, TWO), (TWO, ONE)))
    assert known(rows, key=(0, 1), function=PAIR) == In(PAIR, ((TWO, ONE), (ONE, TWO)))


def test_a_parameter_of_uncertain_type_says_nothing() -> None:
    assert Environment([equal(0, ONE)]).knowledge().where(Sought((0,), HASH, frozenset((1,)))) is None


def test_fixed_shards_are_united() -> None:
    assert any_of([Fixed(1), Fixed(4), AnyOf((Fixed(2),))]) == Fixed(7)
