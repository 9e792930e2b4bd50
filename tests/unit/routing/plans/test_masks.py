"""A mask is of all shards that may have a row that a call concerns, and of no other where that is certain."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trunkline.routing.keys.sharding import KeyNotMapped, KeyUnknown, NotCoercible, Value
from trunkline.routing.plans.masks import mask_of
from trunkline.routing.plans.plan import (
    All,
    AnyOf,
    Between,
    Constant,
    Equals,
    Fixed,
    In,
    InArray,
    Literal,
    Parameter,
    Source,
    Where,
)


@dataclass
class Digits:
    """The shard of a number is its last digit, below four; two columns are added. It keeps the order of 0 to 3."""

    name: str = "digits"
    types: tuple[str, ...] = ("int4",)
    every: int = 0b1111

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        digit = sum(int(str(value)) for value in key) % 10
        if digit > 3:
            raise KeyNotMapped(str(digit))
        return 1 << digit

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        first, last = (0 if low is None else int(str(low))), (3 if high is None else int(str(high)))
        return sum(1 << shard for shard in range(4) if first <= shard <= last)


@dataclass
class Given:
    """Constants are what they say, in a type that is as expected."""

    expected: str = "int4"
    arrays: dict[str, list[Value | None]] = field(default_factory=lambda: {"a": [1, None, 2], "none": []})

    def value(self, source: Source, type: str) -> Value | None:
        assert isinstance(source, Constant) and type == self.expected
        if source.text == "x":
            raise NotCoercible("x")
        if source.text == "now":
            raise KeyUnknown("now")
        return None if source.text is None else int(source.text)

    def declared(self, number: int) -> int:
        return {1: 0, 2: 1700, 3: 0}[number]

    def elements(self, source: Source, type: str) -> list[Value | None]:
        assert isinstance(source, Constant) and source.text is not None
        return self.arrays[source.text]


ONE, TWO, NULL = Constant("1"), Constant("2"), Constant(None)
DIGITS = Digits()
PAIRS = Digits(types=("int4", "int4"))


class Typed(Given):
    """Parameters 1 and 3 have no declared type, 2 is numeric and 4 is int4; each value is 1, but for a long literal."""

    def value(self, source: Source, type: str) -> Value | None:
        if isinstance(source, Literal) and source.location:
            raise NotCoercible("out of range")
        return 1

    def declared(self, number: int) -> int:
        return {1: 0, 2: 1700, 3: 0, 4: 23}[number]


OPEN, BIG = Parameter(1, "int4", inferred=True), Digits(types=("int8",))


@pytest.mark.parametrize(
    "others",
    [
        [Parameter(2)],
        [Parameter(2, "int4", inferred=True)],
        [Parameter(3, "numeric")],
        [ONE, Parameter(2)],
        [Parameter(3, "int8")],
        [Constant("1", "int8")],
    ],
)
def test_a_list_gives_a_parameter_the_type_of_the_others(others: list[Source]) -> None:
    for open_one in (OPEN, Parameter(1)):
        with pytest.raises(KeyUnknown):
            mask_of(In(DIGITS, ((open_one,), *((one,) for one in others))), Typed())


def test_a_number_beside_a_parameter_may_be_of_another_type_than_the_column() -> None:
    with pytest.raises(KeyUnknown):
        mask_of(In(BIG, ((Parameter(1),), (Literal(0),))), Typed())
    with pytest.raises(NotCoercible):
        mask_of(In(DIGITS, ((OPEN,), (Literal(9),))), Typed())


@pytest.mark.parametrize(
    "others", [[Parameter(3)], [Parameter(3, "int4")], [Parameter(4)], [Literal(0)], [Parameter(3), Parameter(4)]]
)
def test_a_list_of_one_type_is_read_as_that(others: list[Source]) -> None:
    assert mask_of(In(DIGITS, ((OPEN,), *((one,) for one in others))), Typed()) == 0b10


@pytest.mark.parametrize(
    ("where", "mask"),
    [
        (Fixed(0b101), 0b101),
        (Equals(DIGITS, (ONE,)), 0b10),
        (Equals(DIGITS, (NULL,)), 0),
        (Equals(PAIRS, (ONE, TWO)), 0b1000),
        (Equals(PAIRS, (ONE, NULL)), 0),
        (In(DIGITS, ((ONE,), (TWO,), (NULL,))), 0b110),
        (In(DIGITS, ()), 0),
        (InArray(DIGITS, Constant("a")), 0b110),
        (InArray(DIGITS, Constant("none")), 0),
        (Between(DIGITS, ONE, TWO), 0b110),
        (Between(DIGITS, ONE, None), 0b1110),
        (Between(DIGITS, None, ONE), 0b11),
        (Between(DIGITS, TWO, ONE), 0),
        (Between(DIGITS, NULL, ONE), 0),
        (All((Between(DIGITS, ONE, None), Between(DIGITS, None, TWO))), 0b110),
        (All((Equals(DIGITS, (ONE,)), Equals(DIGITS, (TWO,)))), 0),
        (AnyOf((Equals(DIGITS, (ONE,)), Equals(DIGITS, (TWO,)), Fixed(1))), 0b111),
        (AnyOf((All((Fixed(3), Fixed(6))), Fixed(0))), 0b10),
    ],
)
def test_a_mask(where: Where, mask: int) -> None:
    assert mask_of(where, Given()) == mask


@pytest.mark.parametrize(
    ("text", "error"),
    [("x", NotCoercible), ("now", KeyUnknown), ("9", KeyNotMapped)],
    ids=["bad", "unknown", "unmapped"],
)
def test_what_nobody_can_tell_is_not_passed_over(text: str, error: type[Exception]) -> None:
    unclear = Equals(DIGITS, (Constant(text),))
    for where in (
        unclear,
        In(DIGITS, ((ONE,), (Constant(text),))),
        All((Fixed(0), unclear)),
        AnyOf((Fixed(0), unclear)),
    ):
        with pytest.raises(error):
            mask_of(where, Given())


def test_a_value_that_postgresql_refuses_does_not_move_what_runs_before_it() -> None:
    assert mask_of(AnyOf((Equals(DIGITS, (Constant("x"),)), Fixed(2))), Given()) == 2
    for unclear in ("now", "9"):
        with pytest.raises((KeyUnknown, KeyNotMapped)):
            mask_of(AnyOf((Fixed(2), Equals(DIGITS, (Constant(unclear),)))), Given())
