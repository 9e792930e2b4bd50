"""A worker's part of what is limited for the whole instance: it opens a server, or lets a client in, by a slot.

The supervisor keeps the `ledger`. Slots of server connections are asked for when a pool wants to open one, and given
back when it is closed; slots of clients are given by the block, and given back when another worker lacks one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from trunkline.pool import sharing
from trunkline.workers.channel import ChannelEnded
from trunkline.workers.ledger import Account

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.proxy.instance import Instance
    from trunkline.workers.channel import Channel


class Shares:
    """Slots of one worker."""

    def __init__(self, instance: Instance, count: int) -> None:
        self._instance = instance
        self._count = count
        self._slots: Counter[Account] = Counter()
        self._owed: Counter[Account] = Counter()  # to be given back as soon as a server is closed
        self._entering = asyncio.Lock()
        self._wanted: dict[Account, tuple[int, bool, bool]] = {}
        self.channel: Channel
        self.verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            "give": self._on_give,
            "grant": self._on_grant,
            "spare": self._on_spare,
        }

    # --- servers ------------------------------------------------------------------------------------------------

    def room_for(self, pool: Pool) -> int:
        """How many servers it may open now."""
        account = _account(pool)
        return max(0, self._slots[account] - pool.servers - self._owed[account])

    async def obtain(self, pool: Pool) -> bool:
        """Whether one that the pool counts already may be opened."""
        account = _account(pool)
        if self._slots[account] < pool.servers:
            await self._enter(account)
        return self._slots[account] >= pool.servers

    def part_of(self, number: int) -> int:
        """This worker's part of a number that is meant for all of them."""
        return -(-number // self._count)

    def settle(self, pool: Pool, lacking: int, *, reserve: bool) -> None:
        """Ask for what a pool lacks, or give back what it does not use."""
        account = _account(pool)
        spare = max(0, self._slots[account] - pool.servers)
        back = min(self._owed[account], spare) if lacking else spare
        if back:
            self._slots[account] -= back
            self._owed[account] = max(0, self._owed[account] - back)
            self.channel.tell("release", account=account, number=back)
        wanted = (lacking, bool(pool.waiting), reserve)
        if wanted != self._wanted.get(account, (0, wanted[1], wanted[2])):
            self._wanted[account] = wanted
            self.channel.tell("want", account=account, number=lacking, waiting=wanted[1], reserve=reserve)
        if not lacking:
            self._wanted.pop(account, None)

    def granted(self, account: Account, number: int) -> None:
        """The supervisor has given so many."""
        self._slots[account] += number
        lacking, waiting, reserve = self._wanted.get(account, (0, False, False))
        self._wanted[account] = (max(0, lacking - number), waiting, reserve)
        pool = self._pool(account)
        if pool is not None:
            pool.open_more()
        else:
            self.channel.tell("release", account=account, number=self._slots.pop(account))

    def give(self, account: Account, *, busy: bool) -> None:
        """Close an idle server of a pool, or a busy one when its transaction is over, for another worker or pool."""
        pool = self._pool(account)
        if pool is None or self._owed[account]:
            return
        self._owed[account] = 1  # first: the pool that loses one looks at once whether it may open another
        if not sharing.give_up(pool, busy=busy):
            self._owed[account] = 0

    def _pool(self, account: Account) -> Pool | None:
        return next((pool for pool in self._instance.pools if _account(pool) == account), None)

    # --- clients ------------------------------------------------------------------------------------------------

    async def admits(self, account: Account, used: int) -> bool:
        """Whether one more client may come in."""
        if used < self._slots[account]:
            return True
        async with self._entering:  # of a crowd, one asks for all
            if used >= self._slots[account]:
                await self._enter(account)
        return used < self._slots[account]

    async def _enter(self, account: Account) -> None:
        """Take what the supervisor gives now, which is nothing if it is gone."""
        with contextlib.suppress(ChannelEnded):
            given = await self.channel.ask("enter", account=account)
            self._slots[account] += given

    def spare(self, account: Account) -> int:
        """Slots of clients that nobody uses: they are another worker's from now on."""
        clients = self._instance.clients
        used = {
            "clients": lambda: len(clients) - len(clients.consoles),
            "clients of database": lambda: clients.databases[account[1]],
            "clients of user": lambda: clients.users[account[1]],
        }[account[0]]()
        spare = max(0, self._slots[account] - used)
        self._slots[account] -= spare
        return spare

    # --- the channel's ------------------------------------------------------------------------------------------

    async def _on_grant(self, account: list[str], number: int) -> None:
        self.granted(tuple(account), number)

    async def _on_give(self, account: list[str], busy: bool) -> None:
        self.give(tuple(account), busy=busy)

    async def _on_spare(self, account: list[str]) -> Any:
        return self.spare(tuple(account))


def _account(pool: Pool) -> Account:
    return "pool", pool.database, pool.user
