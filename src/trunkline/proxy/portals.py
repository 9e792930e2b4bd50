"""Portals of a session over several shards: statements with their values, and how far their rows have been taken.

Rule: what a server answers next is never a portal's unless that was asked last. One that has not been taken to its end
when anything else is asked keeps the rest of its rows in memory, up to KEPT_BYTES.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from trunkline.errors import UnknownPortal
from trunkline.execution.spread.asked import Answer
from trunkline.execution.spread.calls import Statement
from trunkline.execution.spread.runs import cut
from trunkline.protocol.messages import EMPTY_QUERY_RESPONSE, command_complete, message
from trunkline.shard_errors import DuplicatePortal, TooManyRows

KEPT_BYTES = 64 << 20
SUSPENDED = message(b"s", b"")


class Portal:
    """One Bind."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.answer: Answer | None = None
        self.place = (0, 0)  # where among the answers its own begin
        self.seen = not statement.values  # whether a server has looked at its values
        self._rows: AsyncIterator[bytes] | None = None
        self._here = b""  # rows that were taken from the servers, and not by the client
        self._over = False
        self._suspended = False
        self._resumed = False
        self._runs_once = False  # it has no rows to go on with
        self._done = False
        self._count = 0  # of rows taken by this Execute

    def begin(self, answer: Answer, *, runs_once: bool = False) -> None:
        self.answer, self._rows, self._runs_once = answer, answer.rows(), runs_once

    @property
    def is_spent(self) -> bool:
        """It has been run, and cannot be again (pquery.c, PORTAL_MULTI_QUERY)."""
        return self._done and self._runs_once

    async def take(self, limit: int) -> AsyncIterator[bytes]:
        """Up to `limit` rows, all for 0; `end` says what comes behind them."""
        self._resumed = self._resumed or self._suspended or self._done
        self._suspended, self._count = False, 0
        while await self._fill():
            if limit > 0 or self._resumed:
                size, count = cut(self._here, limit - self._count if limit > 0 else len(self._here))
            else:
                size, count = len(self._here), 0
            run, self._here = self._here[:size], self._here[size:]
            yield run
            self._count += count
            if limit > 0 and self._count == limit:
                self._suspended = True
                return

    def end(self) -> bytes:
        """PortalSuspended or CommandComplete."""
        if self._suspended:
            return SUSPENDED
        assert self.answer is not None
        self._done = True
        tag = self.answer.tag()
        if self._resumed and tag:  # PostgreSQL counts the rows of this Execute alone (pquery.c, PortalRun)
            tag = b"%b %d" % (tag.rpartition(b" ")[0], self._count)
        return command_complete(tag.decode()) if tag else EMPTY_QUERY_RESPONSE

    async def _fill(self) -> bool:
        while not self._here and not self._over:
            assert self._rows is not None
            self._here = await anext(self._rows, b"")
            self._over = not self._here
        return bool(self._here)

    async def keep(self) -> None:
        """Take the rest now: its servers are needed for something else."""
        if self._rows is None or self._over:
            return
        rest = bytearray(self._here)
        async for run in self._rows:
            rest += run
            if len(rest) > KEPT_BYTES:
                raise TooManyRows("the rest of a portal's rows is too large to be kept while another statement runs")
        self._here, self._over = bytes(rest), True

    async def give_up(self) -> None:
        """Nobody takes the rest."""
        if isinstance(self._rows, AsyncGenerator):
            self._over, self._here = True, b""
            await self._rows.aclose()


class Portals:
    """By name."""

    def __init__(self) -> None:
        self._open: dict[bytes, Portal] = {}

    async def add(self, name: bytes, portal: Portal) -> None:
        if name and name in self._open:
            raise DuplicatePortal(f'cursor "{name.decode(errors="replace")}" already exists')
        await self.close(name)
        self._open[name] = portal

    def has(self, name: bytes) -> bool:
        return name in self._open

    def find(self, name: bytes) -> Portal:
        """UnknownPortal if there is none."""
        found = self._open.get(name)
        if found is None:
            raise UnknownPortal(f'portal "{name.decode(errors="replace")}" does not exist')
        return found

    async def close(self, name: bytes) -> None:
        portal = self._open.pop(name, None)
        if portal is not None:
            await portal.keep()

    def unseen(self) -> list[Portal]:
        """Those that have values at which nobody has looked."""
        return [one for one in self._open.values() if one.answer is None and not one.seen]

    async def keep(self) -> None:
        """Before anything else is asked of the servers."""
        for portal in self._open.values():
            await portal.keep()

    async def clear(self) -> None:
        """Their transaction is over, or has failed."""
        gone, self._open = list(self._open.values()), {}
        for portal in gone:
            await portal.give_up()
