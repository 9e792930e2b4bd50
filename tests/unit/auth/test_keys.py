"""The cache of derived keys: found only under what they were derived from, bounded, forgotten with their secret."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.auth.keys import KeyCache
from trunkline.auth.replies import CacheScope, Derive
from trunkline.auth.scram import ScramKeys

KEYS = ScramKeys.of(b"c" * 32, b"s" * 32)
ANN = Derive("ann", "pencil", b"salt", 4096, CacheScope.KNOWN)
BOB = replace(ANN, user="bob")
STRANGER = replace(ANN, user="eve", scope=CacheScope.UNKNOWN)


def cache(*stored: Derive, capacity: int = 10) -> KeyCache:
    keys = KeyCache(b"k" * 16, capacity)
    for request in stored:
        keys.store(request, KEYS)
    return keys


def test_keys_are_found_again_for_the_same_request() -> None:
    keys = cache(ANN)
    assert keys.lookup(ANN) is KEYS
    assert keys.lookup(replace(ANN, password=b"pencil")) is KEYS


@pytest.mark.parametrize(
    "other",
    [
        BOB,
        replace(ANN, password="pen"),
        replace(ANN, salt=b"pepper"),
        replace(ANN, iterations=4097),
        replace(ANN, scope=CacheScope.UNKNOWN),
        replace(ANN, scope=CacheScope.NEVER),
    ],
)
def test_keys_are_not_found_for_another_request(other: Derive) -> None:
    assert cache(ANN).lookup(other) is None


def test_what_nobody_confirmed_is_never_kept() -> None:
    assert len(cache(replace(ANN, scope=CacheScope.NEVER))) == 0


def test_the_least_recently_used_goes_first() -> None:
    keys = cache(ANN, BOB, capacity=2)
    keys.lookup(ANN)
    keys.store(replace(ANN, user="cid"), KEYS)
    assert (keys.lookup(ANN), keys.lookup(BOB), len(keys)) == (KEYS, None, 2)


def test_invented_users_do_not_crowd_out_real_ones() -> None:
    keys = cache(ANN, *(replace(STRANGER, user=f"eve{number}") for number in range(100)), capacity=10)
    assert keys.lookup(ANN) is KEYS
    assert len(keys) == 11


def test_a_dropped_user_is_forgotten() -> None:
    keys = cache(ANN, replace(ANN, salt=b"pepper"), BOB)
    keys.drop("ann")
    assert (keys.lookup(ANN), keys.lookup(BOB), len(keys)) == (None, KEYS, 1)


def test_only_unchanged_secrets_are_retained() -> None:
    gone = replace(ANN, user="gone")
    keys = cache(ANN, BOB, gone, STRANGER)
    keys.retain({"ann": "pencil", "bob": "changed"})
    assert [keys.lookup(request) for request in (ANN, BOB, gone, STRANGER)] == [KEYS, None, None, None]


def test_a_repr_counts_and_shows_no_user_or_key() -> None:
    assert repr(cache(ANN, STRANGER)) == "<KeyCache known=1 unknown=1 capacity=10>"
