"""PBKDF2 off the event loop, once a secret: the threads behind the `Derive` of the login machines."""

from __future__ import annotations

import asyncio

from trunkline.auth import scram
from trunkline.auth.keys import KeyCache
from trunkline.auth.replies import Derive
from trunkline.net.offload import Offload


class KeyDerivation:
    """Keys from the cache, or derived in a thread; equal requests under way at once are derived once."""

    def __init__(self, cache: KeyCache) -> None:
        self.cache = cache
        self._threads = Offload("pbkdf2")
        self._under_way: dict[tuple[str, bytes | str, bytes, int], asyncio.Future[scram.ScramKeys]] = {}

    async def keys(self, request: Derive) -> scram.ScramKeys:
        """The SCRAM keys that a login machine asked for."""
        found = self.cache.lookup(request)
        if found is not None:
            return found
        key = (request.user, request.password, request.salt, request.iterations)
        running = self._under_way.get(key)
        if running is None:
            running = self._threads.start(scram.derive, request.password, request.salt, request.iterations)
            self._under_way[key] = running
            running.add_done_callback(lambda _: self._under_way.pop(key, None))
        keys = await asyncio.shield(running)
        self.cache.store(request, keys)
        return keys

    def close(self) -> None:
        self._threads.close()
