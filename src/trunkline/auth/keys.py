"""Derived SCRAM keys, kept so that PBKDF2 runs once for a secret and not once for a login.

Correct by its key alone: keys are found only under the very password, salt and count that they were derived from, so a
changed secret misses. Dropping is hygiene: keys of secrets that are no more do not stay in memory. Passwords are kept
only as keyed digests. Two spaces, both bounded, the least recently used goes first; see ``CacheScope`` for why two.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, TypeAlias

from trunkline.auth.replies import CacheScope, Derive
from trunkline.auth.scram import ScramKeys

DEFAULT_CAPACITY: Final = 10_000

_Key: TypeAlias = tuple[str, bytes, bytes, int]  # user, digest of the password, salt, iterations


class KeyCache:
    __slots__ = ("_capacity", "_digest_key", "_spaces")

    def __init__(self, digest_key: bytes, capacity: int = DEFAULT_CAPACITY) -> None:
        """``digest_key`` is 16 to 64 random bytes that no one else knows."""
        self._digest_key = digest_key
        self._capacity = capacity
        self._spaces: dict[CacheScope, OrderedDict[_Key, ScramKeys]] = {
            CacheScope.KNOWN: OrderedDict(),
            CacheScope.UNKNOWN: OrderedDict(),
        }

    def __repr__(self) -> str:
        counts = " ".join(f"{scope.name.lower()}={len(space)}" for scope, space in self._spaces.items())
        return f"<KeyCache {counts} capacity={self._capacity}>"

    def __len__(self) -> int:
        return sum(map(len, self._spaces.values()))

    def lookup(self, request: Derive) -> ScramKeys | None:
        """The keys that ``request`` asks for, if they were stored and are still there."""
        space = self._spaces.get(request.scope)
        if space is None:
            return None
        key = self._key(request)
        keys = space.get(key)
        if keys is not None:
            space.move_to_end(key)
        return keys

    def store(self, request: Derive, keys: ScramKeys) -> None:
        space = self._spaces.get(request.scope)
        if space is None:
            return
        key = self._key(request)
        space[key] = keys
        space.move_to_end(key)
        if len(space) > self._capacity:
            space.popitem(last=False)

    def drop(self, user: str) -> None:
        """Forget all keys of ``user``."""
        for space in self._spaces.values():
            for key in [key for key in space if key[0] == user]:
                del space[key]

    def retain(self, secrets: Mapping[str, str]) -> None:
        """Forget the keys of every user but those whose secret is still the text in ``secrets``."""
        known = self._spaces[CacheScope.KNOWN]
        digests = {user: self._digest(secrets[user]) for user, *_ in known if user in secrets}
        for key in [key for key in known if digests.get(key[0]) != key[1]]:
            del known[key]
        self._spaces[CacheScope.UNKNOWN].clear()

    def _key(self, request: Derive) -> _Key:
        return request.user, self._digest(request.password), request.salt, request.iterations

    def _digest(self, password: str | bytes) -> bytes:
        raw = password if isinstance(password, bytes) else password.encode(errors="surrogateescape")
        return hashlib.blake2b(raw, key=self._digest_key, digest_size=16).digest()
