"""A control connection: one to one server, apart from all pools, for a few questions of our own in a row.

It is logged in to as the servers of pools are (see `replica_watch`), counts against no limit, and PAUSE does not close
it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trunkline.errors import ServerLost, ServerRefused
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Target
from trunkline.pool.probe import columns
from trunkline.pool.server import ServerLink

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools

ANSWER_S = 5.0

Fields = dict[str, str]
Row = tuple[str | None, ...]


class _Nobody(Leases):
    """The owner of a connection that nobody leases."""

    def on_lost(self, server: ServerLink, reason: str) -> None:
        """Whoever asks hears of it."""


async def ask(link: ServerLink, sql: bytes) -> list[bytes]:
    """The rows of a query as bodies of DataRow messages; ServerRefused in the server's words, or ServerLost."""
    answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()

    def on_answer(error: Fields | None) -> None:
        if answer.done():  # whoever asked has given up
            return
        if error is None:
            answer.set_result(list(link.answer or ()))
        elif link.opened:
            answer.set_exception(ServerRefused(error["C"], error["M"], detail=error.get("D"), hint=error.get("H")))
        else:
            answer.set_exception(ServerLost(error["M"]))

    link.ask(sql, on_answer, True)
    return await answer


class Control:
    """Open, ask one question after the other, close."""

    def __init__(self, pools: Pools, link: ServerLink) -> None:
        self._pools = pools
        self._link = link

    def __str__(self) -> str:
        return str(self._link.address)

    @classmethod
    async def open(cls, pools: Pools, target: Target) -> Control:
        """A TrunklineError when it cannot be had; how long that may take is server_connect_timeout's to say."""
        return cls(pools, await pools.opener.open(_Nobody(), target, lambda link: link.move_to(pools.control)))

    @property
    def opened(self) -> bool:
        return self._link.opened

    def close(self) -> None:
        if self._link.opened:
            self._link.drop("it is not needed any more")

    async def bodies(self, sql: bytes, patience_s: float = ANSWER_S) -> list[bytes]:
        """As `ask`; ServerLost too if there is no answer in time."""
        if not self._link.opened:
            raise ServerLost("the connection was lost")
        try:
            async with asyncio.timeout(patience_s):
                return await ask(self._link, sql)
        except TimeoutError:
            self.close()
            raise ServerLost(f"no answer within {patience_s:g} s") from None

    async def rows(self, sql: bytes, patience_s: float = ANSWER_S) -> list[Row]:
        """The rows of a query, as texts."""
        return [
            tuple(None if value is None else value.decode(errors="replace") for value in columns(body))
            for body in await self.bodies(sql, patience_s)
        ]
