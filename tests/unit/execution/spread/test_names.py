"""Names of transactions over several shards."""

from __future__ import annotations

import itertools

import pytest

from trunkline.execution.spread.names import Life, Name

CLUSTER = "0123456789ab"


def life(epoch: int = 5, instance: str = "cafecafe") -> Life:
    return Life(instance, epoch, itertools.count(1))


def test_a_name_says_who_decides_and_who_takes_part() -> None:
    name = life().name(CLUSTER, 0b101, 2)
    assert str(name) == "trunkline_0123456789ab_cafecafe_5_1_5_2"
    assert name.at(0) == "trunkline_0123456789ab_cafecafe_5_1_5_2@0"
    assert Name.of(name.at(0)) == name


def test_no_two_have_one_name() -> None:
    one = life()
    assert one.name(CLUSTER, 3, 0) != one.name(CLUSTER, 3, 0)


def test_the_longest_name_fits_what_postgresql_allows() -> None:
    name = Life("f" * 8, 2**64 - 1, itertools.count(2**64 - 1)).name(CLUSTER, 2**64 - 1, 63)
    assert len(name.at(63)) < 200
    assert Name.of(name.at(63)) == name


@pytest.mark.parametrize("gid", ["", "mine", "trunkline_1", "trunkline_0123456789ab_cafecafe_5_1_5_2", "x" * 199])
def test_what_is_not_named_by_us_is_none_of_ours(gid: str) -> None:
    assert Name.of(gid) is None


def test_an_earlier_life_is_over_and_anothers_may_not_be() -> None:
    name = life(5).name(CLUSTER, 3, 0)
    assert [life(4).is_over(name), life(5).is_over(name), life(6).is_over(name)] == [False, False, True]
    assert not life(6, "beefbeef").is_over(name)
    assert life(5).is_own(name)
    assert not life(6).is_own(name)


def test_who_has_begun_before_an_upgrade_may_still_commit() -> None:
    successor = Life("cafecafe", 9, itertools.count(1), elders_before=7)
    assert [successor.is_over(life(epoch).name(CLUSTER, 3, 0)) for epoch in (6, 7, 8, 9)] == [False, True, True, False]


def test_two_places_are_two_instances_and_each_start_is_another_epoch() -> None:
    assert Life.begin("a").instance != Life.begin("b").instance
    first, second = Life.begin("a"), Life.begin("a")
    assert first.instance == second.instance
    assert first.epoch < second.epoch
