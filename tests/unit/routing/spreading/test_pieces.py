"""When parts of FROM can be joined on each shard by itself."""

from __future__ import annotations

import pytest

from trunkline.routing.planning.conditions import IsNull, Same
from trunkline.routing.spreading.pieces import (
    EVERYWHERE,
    Inner,
    Key,
    Outer,
    Piece,
    contains_key,
    equalities,
    settle,
)
from trunkline.routing.spreading.unsure import Unsure


def spread(*columns: int, group: str = "one", firm: bool = True) -> Piece:
    return Piece(True, (Key(group, columns, firm),))


def test_equal_keys_link_what_is_joined() -> None:
    piece = settle(Inner((spread(1), spread(2), EVERYWHERE), (Same(1, 9), Same(9, 2))))
    assert piece.spread
    assert {key.columns for key in piece.keys} == {(1,), (2,)}


@pytest.mark.parametrize("other", [spread(3), spread(2, group="two"), spread(2, 3)])
def test_what_is_not_linked_is_not_joined(other: Piece) -> None:
    with pytest.raises(Unsure):
        settle(Inner((spread(1), other), (Same(1, 2),)))


def test_all_columns_of_a_key_have_to_be_equal() -> None:
    with pytest.raises(Unsure):
        settle(Inner((spread(1, 2), spread(3, 4)), (Same(1, 3),)))
    assert settle(Inner((spread(1, 2), spread(3, 4)), (Same(1, 3), Same(2, 4)))).spread


def test_an_outer_join_is_linked_by_its_on_alone() -> None:
    join = Outer("LEFT", spread(1), spread(2), (Same(1, 2),))
    assert settle(join).spread
    with pytest.raises(Unsure):
        settle(Inner((Outer("LEFT", spread(1), spread(2), ()),), (Same(1, 2),)))


@pytest.mark.parametrize("kind", ["LEFT", "FULL"])
def test_what_is_everywhere_is_not_preserved_beside_what_is_spread(kind: str) -> None:
    with pytest.raises(Unsure):
        settle(Outer(kind, EVERYWHERE, spread(1), ()))


def test_what_is_everywhere_may_be_missing() -> None:
    assert settle(Outer("LEFT", spread(1), EVERYWHERE, ())).keys == spread(1).keys
    assert not settle(Outer("FULL", EVERYWHERE, EVERYWHERE, ())).spread
    with pytest.raises(Unsure):
        settle(Outer("FULL", spread(1), EVERYWHERE, ()))


def test_a_chain_of_outer_joins_is_linked_by_a_key_that_may_be_missing() -> None:
    first = Outer("LEFT", spread(1), spread(2), (Same(1, 2),))
    assert settle(Outer("LEFT", first, spread(3), (Same(2, 3),))).spread


def test_rows_without_a_key_are_on_one_shard_only_where_it_is_firm() -> None:
    assert contains_key(spread(1), [1, 5])
    assert not contains_key(spread(1), [5, None])
    assert not contains_key(spread(1, firm=False), [1])
    assert contains_key(Piece(True, spread(1, firm=False).keys, (Same(1, 4),)), [4])
    left = settle(Outer("LEFT", spread(1), spread(2), (Same(1, 2),)))
    assert contains_key(left, [1])
    assert not contains_key(left, [2])
    assert not contains_key(settle(Outer("FULL", spread(1), spread(2), (Same(1, 2),))), [1])


def test_only_equalities_that_are_true_of_no_null_count() -> None:
    assert equalities([Same(1, 2), Same(1, 2, by_definition=True), IsNull(3)]) == (Same(1, 2),)
