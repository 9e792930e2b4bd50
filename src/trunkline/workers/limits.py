"""Limits that hold for all workers: the supervisor's side, between the `ledger` and the workers' `shares`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from trunkline.workers.channel import ChannelEnded
from trunkline.workers.ledger import Account, Ledger
from trunkline.workers.member import Member

if TYPE_CHECKING:
    from trunkline.workers.supervisor import Supervisor

PERIOD_S = 0.05
BLOCKS = 8  # a worker has its clients' slots by the eighth of its part


class Limits:
    """Gives slots out as the configuration in force allows it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._ledger = Ledger(self._limits)
        self._timer: asyncio.TimerHandle | None = None
        self.verbs: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "enter": self._on_enter,
            "release": self._on_release,
            "want": self._on_want,
        }

    def forget(self, member: Member) -> None:
        """A worker has ended."""
        self._ledger.forget(member.number)
        self._settle()

    def _limits(self, account: Account, reserve: bool) -> Mapping[Account, int]:
        config = self._supervisor.config
        match account:
            case ("pool", database, user):
                pool = config.pool_settings(database, user)
                size = pool.pool_size and pool.pool_size + (pool.reserve_pool_size if reserve else 0)
                found = {
                    account: size,
                    ("database", database): pool.max_db_connections,
                    ("user", user): pool.max_user_connections,
                }
            case ("clients of database", database):
                found = {account: config.pool_settings(database, "").max_db_client_connections}
            case ("clients of user", user):
                found = {account: config.pool_settings("", user).max_user_client_connections}
            case _:
                found = {account: config.settings.max_client_conn}
        return {key: limit for key, limit in found.items() if limit}

    def _settle(self) -> None:
        """Give out what is free, and ask for what is not."""
        now = asyncio.get_running_loop().time()
        members = self._supervisor.members
        for worker, account, number in self._ledger.grants():
            members[worker].channel.tell("grant", account=account, number=number)
        for order in self._ledger.orders(now):
            members[order.worker].channel.tell("give", account=order.account, busy=order.busy)
        if self._ledger.is_wanted and self._timer is None and not self._supervisor.stopped.is_set():
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._settle()

    async def _on_want(self, member: Member, account: list[str], number: int, waiting: bool, reserve: bool) -> None:
        if self._supervisor.members.get(member.number) is member:
            now = asyncio.get_running_loop().time()
            self._ledger.want(member.number, tuple(account), number, now, waiting=waiting, reserve=reserve)
            self._settle()

    async def _on_release(self, member: Member, account: list[str], number: int) -> None:
        if self._supervisor.members.get(member.number) is member:
            self._ledger.release(member.number, tuple(account), number)
            self._settle()

    async def _on_enter(self, member: Member, account: list[str]) -> int:
        """Slots that are needed now or not at all: a block of clients', or one for a server of a client's own."""
        wanted = tuple(account)
        number = 1 if wanted[0] == "pool" else self._block(wanted)
        if self._ledger.free(wanted) == 0 and wanted[0] != "pool":
            await asyncio.gather(*(self._collect(one, wanted) for one in self._others(member)))
        return self._ledger.give(member.number, wanted, number)

    def _block(self, account: Account) -> int:
        (limit,) = self._limits(account, False).values() or (1,)
        return max(1, limit // (BLOCKS * self._supervisor.config.settings.workers))

    def _others(self, member: Member) -> list[Member]:
        return [one for one in self._supervisor.serving.values() if one is not member]

    async def _collect(self, member: Member, account: Account) -> None:
        """What another worker has and does not use."""
        try:
            spare = await member.channel.ask("spare", account=account)
        except ChannelEnded:
            return
        self._ledger.release(member.number, account, spare)
