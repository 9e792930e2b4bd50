"""Placement: tables change where they lie one at a time, while nothing else of this process and database is under way.

Theory of operation. A fence is put up first: what begins from then on waits, as behind DDL, and what is under way,
blocks among it, goes on to its end. Then nothing that was planned by the old placement is at a server, or on its way.
When the change is committed or undone the catalog is read anew, and what has waited is decided by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from trunkline.execution.new_catalog import NewCatalog
from trunkline.shard_errors import PlacementBusy

if TYPE_CHECKING:
    from trunkline.execution.router import Router
    from trunkline.execution.spread.participants import Participants
    from trunkline.pool.catalog_watch import CatalogWatch
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

PATIENCE_S = 10.0  # for what is under way
_AGAIN_S = 0.01


class Fence(NewCatalog):
    """In the place of a catalog that is being read; only the end of a change takes it away."""

    __slots__ = ()

    lets_end = True


class Placement:
    """Of one database; `begin` gives it what it needs to know, with the database's first client."""

    def __init__(self, pools: Pools, database: str) -> None:
        self.pools = pools
        self.database = database
        self.sessions: set[Participants] = set()  # clients whose statements concern several shards now
        self.router: Router | None = None
        self.watch: CatalogWatch | None = None
        self.commits = False  # the change under way may have happened
        self._fence: Fence | None = None
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()

    def begin(self, router: Router, watch: CatalogWatch) -> None:
        """It has a client."""
        self.router, self.watch = router, watch

    def with_session(self, session: Participants) -> Placement:
        """A session is about to begin; one that goes on with a transaction is under way from now on."""
        if session.in_transaction:
            self.sessions.add(session)
        return self

    async def enter(self, session: Participants) -> None:
        """It begins: not while a table is on its way, unless it is under way."""
        while self._fence is not None and session not in self.sessions:
            await self._opened.wait()
        self.sessions.add(session)

    def leave(self, session: Participants) -> None:
        """It is over."""
        self.sessions.discard(session)

    @asynccontextmanager
    async def alone(self, session: Participants) -> AsyncIterator[CatalogWatch]:
        """While this session changes where a table lies, by the catalog that the watch has; PlacementBusy."""
        assert self.router is not None
        assert self.watch is not None
        self.leave(session)  # two that wait for each other's turn are not under way
        async with self._turn:
            self.sessions.add(session)
            self.commits = False
            self._opened.clear()
            fence = self._fence = self.router.stale = Fence(keeps_up=True)
            try:
                await self._until_alone(session)
                await self.watch.read_now()
                yield self.watch
            finally:
                self._fence = None
                self._opened.set()
                fence.keeps_up = False
                self._open(fence, self.router, self.watch)

    def _open(self, fence: Fence, router: Router, watch: CatalogWatch) -> None:
        """What waits is decided: by the new catalog, or at once where nothing has changed, and nobody is reading."""
        if self.commits or watch.reads:
            self.pools.schema_changed(self.database)
            return
        router.stale = None
        fence.tell(None)

    async def _until_alone(self, session: Participants) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self.sessions - {session} or any(  # noqa: ASYNC110 - servers say nothing when they are free
                    map(_is_busy, self.pools.of_database(self.database))
                ):
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            raise PlacementBusy("other transactions of this database do not end") from None


def _is_busy(pool: Pool) -> bool:
    """Whether a server of it is in the middle of something that was asked before."""
    return bool(len(pool.canceled) or len(pool.draining)) or any(not server.session.free for server in pool.active)
