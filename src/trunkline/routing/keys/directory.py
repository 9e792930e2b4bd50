"""Directory: the shard of each key that was read from a table, and what is known of keys that are not there.

Theory of operation. A directory is filled whole and replaced whole, so that a change is there at once, or not at all.
A key that it lacks is asked for by itself (`ask`, which whoever fills it provides), and the answer is learnt: the
shard, or why there is none, which is remembered until it is forgotten.

Entries are kept in parts by the hash of the key. A dict of a million keys takes tens of milliseconds to grow or to
free, and everybody waits for that; a part takes a fraction of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, Value

PARTS = 256
MAX_ABSENT = 10_000  # keys that are remembered as not there
NO_SHARD = -1  # instead of a shard's number: the table names none that there is, or several

Done = Callable[[BaseException | None], None]


class Entries:
    """The number of a shard, or NO_SHARD, for each key."""

    def __init__(self, entries: Mapping[Value, int] | None = None) -> None:
        self._parts: list[dict[Value, int]] = [{} for _ in range(PARTS)]
        for key, shard in (entries or {}).items():
            self.put(key, shard)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def find(self, key: Value) -> int | None:
        return self._part(key).get(key)

    def _part(self, key: Value) -> dict[Value, int]:
        """By a hash that looks random: numbers in a row must not have all parts grow at one moment."""
        return self._parts[hash((key,)) % PARTS]

    def put(self, key: Value, shard: int) -> None:
        """One row; rows that contradict each other say nothing of their key."""
        key = _findable(key)
        part = self._part(key)
        if part.setdefault(key, shard) != shard:
            part[key] = NO_SHARD

    def set(self, key: Value, shard: int | None) -> None:
        """What is known of this key from now on; None is nothing."""
        part = self._part(key)
        if shard is None:
            part.pop(key, None)
        else:
            part[key] = shard

    def drain(self) -> Iterator[None]:
        """Free them, a part at each step."""
        for part in self._parts:
            part.clear()
            yield


class Directory:
    """What is known of all keys."""

    def __init__(self, entries: Mapping[Value, int] | None = None) -> None:
        self._entries = Entries(entries)
        self._absent: dict[Value, str] = {}  # why a key has no shard, of those that were asked for
        self.ask: Callable[[Value, Done], None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def absent(self) -> int:
        """How many keys are known not to be there."""
        return len(self._absent)

    def find(self, key: Value) -> int | None:
        shard = self._entries.find(_findable(key))
        return shard if shard != NO_SHARD else None

    def why_not(self, key: Value) -> KeyNotMapped:
        """Of a key that is not found, the exception."""
        reason = self._absent.get(_findable(key))
        if reason is None and self.ask is not None:
            return KeyMissing(self, _findable(key))
        return KeyNotMapped(reason or "the directory does not have it")

    def replace(self, entries: Entries) -> Entries:
        """All that is known from now on; returns what was until now."""
        old, self._entries = self._entries, entries
        self.forget_absent()
        return old

    def learn(self, key: Value, shard: int) -> None:
        self._absent.pop(key, None)
        self._entries.set(key, shard)

    def learn_absent(self, key: Value, reason: str) -> None:
        """It was asked for, and has no shard."""
        if len(self._absent) >= MAX_ABSENT:
            self.forget_absent()
        self._absent[key] = reason
        self._entries.set(key, None)

    def forget_absent(self) -> None:
        """Ask for each of them again."""
        self._absent = {}


def _findable(key: Value) -> Value:
    """NaN is equal to itself here, as in PostgreSQL."""
    return key if key == key else "NaN"
