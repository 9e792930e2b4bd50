"""Conditions in words, with a text and without."""

from __future__ import annotations

from tests.unit.routing.golden_shop import SHARDING, Stub
from trunkline.routing.planning.describe import describe, is_single
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
    Where,
)

HASH = Stub("hash", "int8")
TEXT = b"SELECT 5, 'it''s'"


def said(where: Where, text: bytes | None = TEXT) -> str:
    return describe(where, ("k",), text, SHARDING)


def test_a_literal_is_shown_only_with_its_text() -> None:
    assert said(Equals(HASH, (Literal(7),))) == "k = 5"
    assert said(Equals(HASH, (Literal(10),))) == "k = it's"
    assert said(Equals(HASH, (Literal(7),)), None) == "k = ?"


def test_all_kinds_have_words() -> None:
    one, two = (Parameter(1),), (Constant(None),)
    assert said(All((In(HASH, (one, two)), Between(HASH, *one, None)))) == "k in ($1, NULL) and k >= $1"
    assert said(AnyOf((InArray(HASH, *one), Between(HASH, None, *one)))) == "(k = any($1) or k <= $1)"
    assert [said(Fixed(mask)) for mask in (0, 5, 7)] == ["no shard", "on s0, s2", "every shard"]


def test_one_shard_at_most_whatever_the_values_are() -> None:
    assert is_single(All((Fixed(7), Equals(HASH, (Parameter(1),)))))
    assert not is_single(AnyOf((Fixed(1), Equals(HASH, (Parameter(1),)))))
