"""PBKDF2 off the loop, once for equal requests, and kept by the cache's rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from trunkline.auth import scram
from trunkline.auth.keys import KeyCache
from trunkline.auth.replies import CacheScope, Derive
from trunkline.pool.derivation import KeyDerivation

REQUEST = Derive("alice", "secret", b"0123456789abcdef", 4096, CacheScope.KNOWN)
KEYS = scram.derive(REQUEST.password, REQUEST.salt, REQUEST.iterations)


@pytest.fixture
async def derivation() -> AsyncIterator[KeyDerivation]:
    made = KeyDerivation(KeyCache(b"0" * 32))
    yield made
    made.close()


async def test_keys_are_derived_and_then_found(derivation: KeyDerivation) -> None:
    assert await derivation.keys(REQUEST) == KEYS
    assert derivation.cache.lookup(REQUEST) == KEYS


async def test_what_is_in_the_cache_needs_no_thread(derivation: KeyDerivation) -> None:
    derivation.cache.store(REQUEST, KEYS)
    asking = derivation.keys(REQUEST)
    with pytest.raises(StopIteration) as done:
        asking.send(None)
    assert done.value.value == KEYS


async def test_equal_requests_at_once_are_derived_once(
    derivation: KeyDerivation, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def derive(*arguments: object) -> scram.ScramKeys:
        calls.append(arguments)
        return KEYS

    monkeypatch.setattr("trunkline.pool.derivation.scram.derive", derive)
    assert await asyncio.gather(*(derivation.keys(REQUEST) for _ in range(10))) == [KEYS] * 10
    assert len(calls) == 1


async def test_who_gives_up_does_not_end_it_for_the_others(derivation: KeyDerivation) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await derivation.keys(REQUEST)
    assert await derivation.keys(REQUEST) == KEYS


async def test_keys_that_must_not_be_kept_are_not(derivation: KeyDerivation) -> None:
    claimed = Derive("alice", "claimed", b"0123456789abcdef", 4096, CacheScope.NEVER)
    await derivation.keys(claimed)
    assert len(derivation.cache) == 0
