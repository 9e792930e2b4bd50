"""Which worker gets the next connection: the one with the fewest clients. Pure.

A worker tells from time to time how many clients it has, and how many connections had reached it by then; what was
given to it since counts too, so that a crowd that comes at once is spread as evenly as one that trickles in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name")


@dataclass(slots=True)
class Load:
    """What is known of one worker."""

    clients: int = 0
    taken: int = 0
    given: int = 0

    @property
    def now(self) -> int:
        """Its clients, and those on their way to it."""
        return self.clients + self.given - self.taken

    def told(self, clients: int, taken: int) -> None:
        """The worker has said so."""
        self.clients, self.taken = clients, taken


def by_load(loads: Mapping[Name, Load]) -> list[Name]:
    """The lightest first; of those that are even, the one that has had fewer all its life."""
    return sorted(loads, key=lambda name: (loads[name].now, loads[name].given))
