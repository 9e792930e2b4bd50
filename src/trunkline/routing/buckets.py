"""Which shard has which bucket: a tuple with the number of a shard for each bucket.

`hash` puts a key into a bucket, and the bucket lies where this map says; so what moves when shards are added are whole
buckets, and no key is ever hashed another way. Without a word from the operator the buckets are dealt out evenly, in
runs. What he says has to name every bucket once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.routing.sharding import MapError

DEFAULT_BUCKETS = 1024
MAX_BUCKETS = 65536

BucketMap = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BucketRange:
    """The buckets from `first` to `last`, both included, are on this shard."""

    first: int
    last: int
    shard: str

    @classmethod
    def parse(cls, text: str, shard: str) -> BucketRange:
        """From `0-511`, or `7` for one bucket."""
        found = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?", text)
        if found is None:
            raise MapError(f"{text!r} is no range of buckets; write it as 0-511", text)
        return cls(int(found[1]), int(found[2] or found[1]), shard)

    def __str__(self) -> str:
        return f"{self.first}-{self.last} of {self.shard}"


def spread_evenly(count: int, shards: int) -> BucketMap:
    """Neighbouring buckets on one shard; no shard has two more than another."""
    _check_count(count)
    if count < shards:
        raise MapError(f"{count} buckets are too few for {shards} shards", count)
    return tuple(bucket * shards // count for bucket in range(count))


def from_ranges(count: int, ranges: Iterable[BucketRange], shards: Sequence[str]) -> BucketMap:
    """The map that the operator wrote; MapError names the range that does not fit."""
    _check_count(count)
    expected = 0
    owners: list[int] = []
    for one in sorted(ranges, key=lambda one: (one.first, one.last)):
        _check_range(one, count, shards)
        if one.first > expected:
            raise MapError(f"no shard has the buckets {expected}-{one.first - 1}, before {one}", one)
        if one.first < expected:
            raise MapError(f"the buckets {one} are another range's too", one)
        owners += [shards.index(one.shard)] * (one.last - one.first + 1)
        expected = one.last + 1
    if expected < count:
        raise MapError(f"no shard has the buckets {expected}-{count - 1}", None)
    return tuple(owners)


def _check_count(count: int) -> None:
    if not 0 < count <= MAX_BUCKETS:
        raise MapError(f"there can be 1 to {MAX_BUCKETS} buckets, not {count}", count)


def _check_range(one: BucketRange, count: int, shards: Sequence[str]) -> None:
    if one.shard not in shards:
        raise MapError(f"there is no shard {one.shard!r} for the buckets {one.first}-{one.last}", one)
    if not 0 <= one.first <= one.last < count:
        raise MapError(f"the range {one} is not within the buckets 0-{count - 1}", one)
