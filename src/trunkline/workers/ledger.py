"""What each worker may have of what is limited for the whole instance, server connections and clients. Pure.

A slot is the right to one server connection of a pool, or to one client; a worker gets it before, and gives it back
after. Rules:
1. Slots that are out never exceed a limit: of the pool, of its database over all users, of its user over all databases.
2. What is free goes to who has fewest of those that want one, and of those with as many to who has wanted it longest.
3. Where nothing is free and clients wait, others are asked to give one back: first those with most, if it is idle; once
   somebody has waited for TURN_S, also a busy one at the end of its transaction, if that makes it more even.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

TURN_S = 0.1

Account: TypeAlias = tuple[str, ...]
Holder: TypeAlias = tuple[int, Account]
"""A worker, and what the slots are for."""

Limits: TypeAlias = Callable[[Account, bool], Mapping[Account, int]]
"""What an account counts against, and how much that allows; the flag is whether the reserve may be used."""


@dataclass(slots=True)
class Want:
    """Slots that a worker lacks."""

    number: int
    since: float
    waiting: bool  # clients wait for them
    reserve: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A worker is to give back a slot of an account, a busy one at the end of its transaction."""

    worker: int
    account: Account
    busy: bool


class Ledger:
    """Who holds what, and who wants more."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: Counter[Holder] = Counter()
        self._used: Counter[Account] = Counter()
        self._counts: dict[Account, tuple[Account, ...]] = {}  # against what its slots were counted
        self._wants: dict[Holder, Want] = {}
        self._asked: dict[Holder, float] = {}  # when it was asked to give one back

    def held(self, worker: int, account: Account) -> int:
        """How many slots are out to a worker."""
        return self._held[worker, account]

    @property
    def is_wanted(self) -> bool:
        """Whether somebody lacks a slot."""
        return bool(self._wants)

    def free(self, account: Account, *, reserve: bool = False) -> int | None:
        """How many more may be given out; None is no limit."""
        limits = self._limits(account, reserve)
        return min((max(0, limit - self._used[key]) for key, limit in limits.items()), default=None)

    def give(self, worker: int, account: Account, number: int, *, reserve: bool = False) -> int:
        """Give out at most so many; how many it came to."""
        free = self.free(account, reserve=reserve)
        given = number if free is None else min(number, free)
        self._count(worker, account, given)
        return given

    def release(self, worker: int, account: Account, number: int) -> None:
        """A worker does not need so many any more."""
        self._count(worker, account, -min(number, self._held[worker, account]))

    def _count(self, worker: int, account: Account, number: int) -> None:
        if not self._held[worker, account] and not number:
            return
        if account not in self._counts:
            self._counts[account] = counted_against(account)
        self._held[worker, account] += number
        for key in self._counts[account]:
            self._used[key] += number
        if not self._held[worker, account]:
            del self._held[worker, account]

    def forget(self, worker: int) -> None:
        """A worker has ended, and all its connections with it."""
        for holder, number in [*self._held.items()]:
            if holder[0] == worker:
                self.release(*holder, number)
        self._wants = {holder: want for holder, want in self._wants.items() if holder[0] != worker}

    # --- wants --------------------------------------------------------------------------------------------------

    def want(self, worker: int, account: Account, number: int, now: float, *, waiting: bool, reserve: bool) -> None:
        """From now on the worker lacks so many; 0 is none."""
        before = self._wants.pop((worker, account), None)
        if number > 0:
            since = before.since if before is not None else now
            self._wants[worker, account] = Want(number, since, waiting, reserve)

    def grants(self) -> Iterator[tuple[int, Account, int]]:
        """Give to those who want what can be given; who gets how many."""
        found: Counter[Holder] = Counter()
        while (holder := self._next()) is not None:
            want = self._wants[holder]
            self._count(*holder, 1)
            found[holder] += 1
            want.number -= 1
            if not want.number:
                del self._wants[holder]
        yield from ((worker, account, number) for (worker, account), number in found.items())

    def _next(self) -> Holder | None:
        able = [holder for holder, want in self._wants.items() if self.free(holder[1], reserve=want.reserve) != 0]
        return min(able, key=lambda holder: (self._held[holder], self._wants[holder].since), default=None)

    def orders(self, now: float) -> Iterator[Order]:
        """Who is asked to give something back now; `declined` says that nothing was idle there."""
        for holder, want in sorted(self._wants.items(), key=lambda item: item[1].since):
            if want.waiting:
                yield from self._order(holder, want, now)

    def _order(self, holder: Holder, want: Want, now: float) -> Iterator[Order]:
        limits = self._limits(holder[1], want.reserve)
        full = {key for key, limit in limits.items() if self._used[key] >= limit}
        others = [one for one in self._held if one != holder and full.issubset(self._counts[one[1]])]
        fresh = [one for one in others if self._asked.get(one, -TURN_S) + TURN_S <= now]
        if not full or not fresh:
            return
        richest = max(fresh, key=self._held.__getitem__)
        self._asked[richest] = now
        more = self._held[richest] - self._held[holder]
        busy = now - want.since >= TURN_S and (more > 1 or not self._held[holder])
        yield Order(*richest, busy)


def counted_against(account: Account) -> tuple[Account, ...]:
    """The limits that a slot may count against: of itself, and of a pool its database's and its user's."""
    if account[0] != "pool":
        return (account,)
    _, database, user = account
    return account, ("database", database), ("user", user)
