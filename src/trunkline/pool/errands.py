"""Errands: questions of our own to the primaries behind pools, on control connections that are kept for the next one.

No client waits for a server of its pool because of them, and a transaction of a client is never in their way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trunkline.errors import ServerUnavailable, TrunklineError
from trunkline.pool.control import ANSWER_S, Control, Row

if TYPE_CHECKING:
    from trunkline.config.address import ServerAddress
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

KEPT_S = 15.0  # without a question
_NAME = (b"application_name", b"trunkline transactions")


@dataclass(slots=True)
class _Line:
    """The connection for one pool, and who asks there now."""

    control: Control | None = None
    address: ServerAddress | None = None
    used_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Errands:
    """Of one process; a pool says where and as whom."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._lines: dict[Pool, _Line] = {}

    async def rows(self, pool: Pool, sql: str, patience_s: float = ANSWER_S, *, role: str = "") -> list[Row]:
        """The rows of a simple query, as texts; a TrunklineError of the server, or why it could not be asked.

        What was sent on a connection that is then lost is never said again. A `role` is taken on for this one.
        """
        line = self._lines.setdefault(pool, _Line())
        try:
            async with asyncio.timeout(patience_s), line.turn:
                if not role:
                    return await self._ask(pool, line, sql, patience_s)
                try:
                    await self._ask(pool, line, f"SET ROLE {quote_name(role)}", patience_s)
                    return await self._ask(pool, line, sql, patience_s)
                finally:
                    self._close(line)
        except TimeoutError:
            raise ServerUnavailable(f"{pool.database} does not answer within {patience_s:g} s") from None

    async def _ask(self, pool: Pool, line: _Line, sql: str, patience_s: float) -> list[Row]:
        if line.control is None or not line.control.opened or line.address != self._pools.address_of(pool, 0):
            await self._open(pool, line)
        assert line.control is not None
        answered = False
        try:
            rows = await line.control.rows(sql.encode(), patience_s)
            answered = True
            return rows
        except TrunklineError:
            answered = line.control.opened
            raise
        finally:
            line.used_at = self._pools.now
            if not answered:  # what it would say next is the answer to this
                self._close(line)

    async def _open(self, pool: Pool, line: _Line) -> None:
        self._close(line)
        await pool.until_primary()
        line.address = self._pools.address_of(pool, 0)
        target = self._pools.target_of(pool, line.address)
        own = [item for item in target.parameters if item[0] != _NAME[0]]
        line.control = await Control.open(self._pools, replace(target, parameters=(*own, _NAME), quiet=True))

    def _close(self, line: _Line) -> None:
        if line.control is not None:
            line.control.close()
            line.control = None

    def tick(self, now: float) -> None:
        """Close what nobody has asked lately."""
        for pool, line in list(self._lines.items()):
            if not line.turn.locked() and now - line.used_at >= KEPT_S:
                self._close(line)
                del self._lines[pool]


def quote_name(name: str) -> str:
    """As PostgreSQL's quote_ident, always with quotes."""
    return '"' + name.replace('"', '""') + '"'
