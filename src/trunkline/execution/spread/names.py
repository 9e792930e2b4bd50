"""Names of transactions over several shards: pure.

    trunkline_<cluster>_<instance>_<epoch>_<number>_<participants>_<coordinator>        the decision's
    ... @<shard>                                                                        of what is prepared there

The cluster is what the coordinator's own table of decisions says that it is (`decisions`); so the name itself says who
decides, wherever shards move and whatever they are called. An instance is a place where a proxy listens, its epoch one
life of it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

_PREPARED = re.compile(
    r"(trunkline_(?P<cluster>[0-9a-f]{12})_(?P<instance>[0-9a-f]{8})_(?P<epoch>[0-9a-f]{1,16})_(?P<number>[0-9a-f]{1,16})"
    r"_(?P<participants>[0-9a-f]{1,16})_(?P<coordinator>[0-9]{1,2}))@(?P<shard>[0-9]{1,2})"
)


@dataclass(frozen=True, slots=True)
class Name:
    """Of one transaction; `participants` is a mask of all shards that it wrote to."""

    cluster: str
    instance: str
    epoch: int
    number: int
    participants: int
    coordinator: int

    def __str__(self) -> str:
        """As its decision has it."""
        numbers = f"{self.epoch:x}_{self.number:x}_{self.participants:x}"
        return f"trunkline_{self.cluster}_{self.instance}_{numbers}_{self.coordinator}"

    def at(self, shard: int) -> str:
        """As it is prepared at this shard: two shards may be databases of one server, where no two have one name."""
        return f"{self}@{shard}"

    @classmethod
    def of(cls, gid: str) -> Self | None:
        """Of something that is prepared; None if that is none of ours."""
        found = _PREPARED.fullmatch(gid)
        if found is None:
            return None
        numbers = {key: int(found[key], 16) for key in ("epoch", "number", "participants")}
        return cls(found["cluster"], found["instance"], coordinator=int(found["coordinator"]), **numbers)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of an instance, and the numbers that it gives; lives of an epoch before `elders_before` may go on."""

    instance: str
    epoch: int
    numbers: Iterator[int]
    elders_before: int = 0

    @classmethod
    def begin(cls, listens_at: str, elders_before: int = 0) -> Self:
        """Two that listen at one place at the same time have one name, but never one epoch."""
        place = f"{socket.gethostname()}:{listens_at}".encode()
        instance = hashlib.blake2s(place, digest_size=4).hexdigest()
        return cls(instance, time.time_ns(), itertools.count(1), elders_before)

    def name(self, cluster: str, participants: int, coordinator: int) -> Name:
        return Name(cluster, self.instance, self.epoch, next(self.numbers), participants, coordinator)

    def is_over(self, name: Name) -> bool:
        """Whether that was an earlier life of this instance, which has ended for certain."""
        return name.instance == self.instance and self.elders_before <= name.epoch < self.epoch

    def is_own(self, name: Name) -> bool:
        return (name.instance, name.epoch) == (self.instance, self.epoch)
