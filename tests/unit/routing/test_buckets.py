"""The bucket map names every bucket once, or says what is wrong with it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.buckets import MAX_BUCKETS, BucketRange, from_ranges, spread_evenly
from trunkline.routing.sharding import MapError

SHARDS = ("a", "b", "c")


@given(st.integers(1, 64), st.integers(0, 2000))
def test_buckets_are_dealt_out_evenly_in_runs(shards: int, more: int) -> None:
    owners = spread_evenly(shards + more, shards)
    counts = Counter(owners)
    assert len(counts) == shards
    assert max(counts.values()) - min(counts.values()) <= 1
    assert list(owners) == sorted(owners)


def ranges(*texts: str) -> list[BucketRange]:
    return [BucketRange.parse(*text.split(":")) for text in texts]


def test_the_operator_says_which_shard_has_which_buckets_in_any_order() -> None:
    assert from_ranges(6, ranges("4-5:a", "0-1:c", "3:a", "2-2:b"), SHARDS) == (2, 2, 1, 0, 0, 0)


def test_a_shard_may_have_no_bucket() -> None:
    assert from_ranges(2, ranges("0-1:b"), SHARDS) == (1, 1)


@pytest.mark.parametrize(
    ("written", "reason", "wrong"),
    [
        (["0-1:a", "3-5:b"], "no shard has the buckets 2-2, before 3-5 of b", "3-5:b"),
        (["1-5:b"], "no shard has the buckets 0-0, before 1-5 of b", "1-5:b"),
        (["0-3:a", "3-5:b"], "the buckets 3-5 of b are another range's too", "3-5:b"),
        (["0-5:a", "2:b"], "the buckets 2-2 of b are another range's too", "2:b"),
        (["0-5:d"], "there is no shard 'd' for the buckets 0-5", "0-5:d"),
        (["0-6:a"], "the range 0-6 of a is not within the buckets 0-5", "0-6:a"),
        (["3-2:a"], "the range 3-2 of a is not within the buckets 0-5", "3-2:a"),
    ],
)
def test_holes_overlaps_and_unknown_shards_are_named(written: list[str], reason: str, wrong: str) -> None:
    with pytest.raises(MapError) as caught:
        from_ranges(6, ranges(*written), SHARDS)
    assert (caught.value.reason, [caught.value.item]) == (reason, ranges(wrong))


def test_buckets_behind_the_last_range_are_missed() -> None:
    with pytest.raises(MapError, match="no shard has the buckets 2-5"):
        from_ranges(6, ranges("0-1:a"), SHARDS)


@pytest.mark.parametrize("text", ["", "-1", "1-", "a", "1-2-3", "0x1", "1.5", "9" * 10])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(MapError, match="is no range of buckets"):
        BucketRange.parse(text, "a")


@pytest.mark.parametrize("count", [0, -1, MAX_BUCKETS + 1])
def test_the_number_of_buckets_has_limits(count: int) -> None:
    with pytest.raises(MapError, match="buckets"):
        spread_evenly(count, 1)
    with pytest.raises(MapError, match="buckets"):
        from_ranges(count, [], SHARDS)


def test_there_are_no_fewer_buckets_than_shards() -> None:
    with pytest.raises(MapError, match="2 buckets are too few for 3 shards"):
        spread_evenly(2, 3)
