"""Placement: where the tables of a database lie, known alike to all processes that serve it, and changed by one.

Theory of operation. A process answers while it has the lock of `pool.placement_lock`, shared with all others. Whoever
changes the placement, here or elsewhere, has it given up: a fence is put up first, so that what begins from then on
waits, as behind DDL, and what is under way, blocks among it, goes on to its end. Then nothing that was planned by the
old placement is at a server, or on its way. When the lock can be had again the change is committed, or undone; the
catalog is read anew, and what has waited is decided by it.

Rules:
1. The lock is given up behind a fence only, and the fence is opened only with the lock, by a catalog read since.
2. Without a lock that is lost, nothing is decided that a change elsewhere could make wrong: `Unsure`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from trunkline.errors import InternalError, ServerLost, TrunklineError, UnknownDatabase
from trunkline.execution.new_catalog import NewCatalog
from trunkline.execution.spread.barriers import Fence, Unsure
from trunkline.net.tasks import Tasks
from trunkline.pool.errands import Errands
from trunkline.pool.placement_lock import EXCLUSIVE, PROBE_S, PlacementLock
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.spreading.quoting import literal
from trunkline.shard_errors import PlacementBusy, StatementFailed

if TYPE_CHECKING:
    from trunkline.execution.router import Router
    from trunkline.execution.spread.participant import Participant
    from trunkline.execution.spread.participants import Participants
    from trunkline.pool.catalog_watch import CatalogWatch
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.shards")

PATIENCE_S = 10.0  # for what is under way
THERE_S = 15.0  # for a table that a commit which is decided makes at another shard
REMIND_S = 0.05
LOST_AGAIN_S = 0.5
_AGAIN_S = 0.01
_LOCKED = "55P03"


class Placement:
    """Of one database; `ready` before its catalog is read, `begin` with its first client."""

    def __init__(self, pools: Pools, database: str, errands: Errands, tasks: Tasks) -> None:
        self.pools = pools
        self.database = database
        self.sessions: set[Participants] = set()  # clients whose statements concern several shards now
        self.router: Router | None = None
        self.watch: CatalogWatch | None = None
        self.lock = PlacementLock(pools, database, tasks)
        self.lock.on_lost, self.lock.on_asked, self.lock.on_schema = self._on_lost, self._on_asked, self.on_schema
        self._errands = errands
        self._tasks = tasks
        self._keeper: asyncio.Task[None] | None = None
        self._sure = False  # the lock is held, and nothing has changed since the catalog was read
        self._retaken = False
        self._asked = False
        self._untold = False  # DDL of ours, to others
        self._barrier: NewCatalog | None = None
        self._starting = asyncio.Lock()
        self._turn = asyncio.Lock()  # of who changes the placement, or lets others
        self._due = asyncio.Event()
        self._opened = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Placement {self.database} {'sure' if self._sure else 'not sure'} {len(self.sessions)} sessions>"

    # --- life -----------------------------------------------------------------------------------------------------

    async def ready(self, user: str) -> None:
        """Nobody changes it unnoticed from now on; a TrunklineError where the home shard cannot be asked for that."""
        async with self._starting:
            if self._keeper is None or self._keeper.done():
                self.lock.user = user
                await self.lock.take()
                self._sure = True
                self._keeper = self._tasks.spawn(self._keep(), f"placement of {self.database}")

    def begin(self, router: Router, watch: CatalogWatch) -> None:
        """It has a client."""
        self.router, self.watch = router, watch
        if not self._sure or self._retaken:
            self._unsure(None)  # the catalog may have been read before
            self._due.set()

    def stop(self) -> None:
        """Its database is not served any more."""
        if self._keeper is not None:
            self._keeper.cancel()
        self.lock.close("its database is not served any more")

    def _on_lost(self) -> None:
        self._sure = False
        if not isinstance(self._barrier, Fence):
            self._unsure(None)
        self._due.set()

    def _on_asked(self) -> None:
        self._asked = True
        self._due.set()

    def on_schema(self) -> None:
        """Another process has committed DDL: what begins from now on waits for the new catalog."""
        if self.router is not None and self.router.stale is None:
            self.router.stale = NewCatalog()
        if self.watch is not None:
            self.watch.stale()

    def schema_changed(self) -> None:
        """DDL has been committed here: other processes hear of it."""
        self._untold = True
        self._due.set()

    async def _keep(self) -> None:
        while True:
            try:
                await self._follow()
            except UnknownDatabase:
                return
            except TrunklineError as error:
                log.warning("where the tables of %s lie is not known for sure: %s", self.database, error.message)
                self.lock.close("it may be lost")
                self._unsure(error)
            except Exception:  # whatever it is, the lock is had again
                incident = InternalError.incident()
                log.exception("%s: the placement of %s", incident.message, self.database)
                self.lock.close("it may be lost")
                self._unsure(incident)
            await asyncio.sleep(LOST_AGAIN_S)

    async def _follow(self) -> None:
        """Have the lock, and let others have it who ask for it, until it is lost."""
        while True:
            async with self._turn:
                await self._be_sure()
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    await self._due.wait()
            self._due.clear()
            async with self._turn:
                if self._sure:
                    await self._tell()
                    await self.lock.probe()
                    if self._asked:
                        self._asked = False
                        await self._let_others()

    async def _tell(self) -> None:
        if not self._untold:
            return
        self._untold = False
        try:
            await self.lock.tell_of_schema()
        except BaseException:
            self._untold = True  # when there is a connection again
            raise

    async def _be_sure(self) -> None:
        """Have the lock, which waits for the end of a change, and go on by what is so then."""
        if self._sure:
            return
        self._retaken = True
        await self.lock.take()
        watch = self.watch
        before = watch.declared if watch is not None else None
        if watch is not None and before is not None:
            await watch.read_now()
            await self._until_there(watch.declared.tables.keys() - before.tables.keys())
        self._sure = self.lock.held
        if not self._sure:
            raise ServerLost("the connection to the home shard was lost")
        self._open()
        if watch is not None and watch.declared != before:
            watch.stale()  # as the other shards have it

    async def _until_there(self, tables: set[str]) -> None:
        """What is committed at home is decided, and comes to be at the other shards."""
        if self.watch is None or not tables:
            return
        listed = ", ".join(map(literal, sorted(tables)))
        sql = (
            "SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            f" WHERE n.nspname || '.' || c.relname IN ({listed})"
        )
        with suppress(TimeoutError, TrunklineError):  # who asks a shard that is down will hear so
            async with asyncio.timeout(THERE_S):
                for shard in self.watch.settings.shard_names():
                    pool = self.pools.pool(f"{self.database}/{shard}", self.lock.user)
                    while len(await self._errands.rows(pool, sql)) < len(tables):  # noqa: ASYNC110 - it is asked
                        await asyncio.sleep(_AGAIN_S)

    # --- what waits -----------------------------------------------------------------------------------------------

    def _bar(self, barrier: NewCatalog) -> None:
        """In the place of what statements waited for before."""
        assert self.router is not None
        if self.router.stale is not None:
            barrier.take_over(self.router.stale)
        self._barrier = self.router.stale = barrier
        if isinstance(barrier, Fence):
            self._opened.clear()
        else:
            self._opened.set()

    def _unsure(self, error: TrunklineError | None) -> None:
        """Statements that a change elsewhere could make wrong wait, or are refused for this."""
        self._sure = False
        if self.router is None:
            return
        if not isinstance(self._barrier, Unsure):
            self._bar(Unsure(self.pools.database(self.database).sharding))
        if error is not None and self._barrier is not None:
            self._barrier.tell(error)

    def _open(self) -> None:
        """What waits is decided, unless the catalog is being read again for something else."""
        barrier, self._barrier = self._barrier, None
        self._opened.set()
        if barrier is None or self.router is None or self.watch is None:
            return
        barrier.keeps_up = False
        if self.watch.reading is not None:
            self.watch.stale()
            return
        self.router.stale = None
        barrier.tell(None)

    def must_be_sure(self, plan: RoutePlan | None) -> None:
        """A statement over several shards, or behind one, begins: its error where a change elsewhere may concern it."""
        if isinstance(self._barrier, Unsure) and not self._barrier.lets(plan):
            raise self._barrier.error or self._barrier.doubt()

    # --- who is under way -----------------------------------------------------------------------------------------

    def with_session(self, session: Participants) -> Placement:
        """A session is about to begin; one that goes on with a transaction is under way from now on."""
        if session.in_transaction:
            self.sessions.add(session)
        return self

    async def enter(self, session: Participants) -> None:
        """It begins: not while a table is on its way, unless it is under way."""
        while isinstance(self._barrier, Fence) and session not in self.sessions:
            await self._opened.wait()
        self.sessions.add(session)

    @property
    def is_open(self) -> bool:
        """No table is on its way, and it is known where all of them lie."""
        return self._barrier is None

    def enter_at_once(self, session: Participants) -> None:
        """It begins, while that is open."""
        self.sessions.add(session)

    def leave(self, session: Participants) -> None:
        """It is over."""
        self.sessions.discard(session)

    async def _until_alone(self, session: Participants | None) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self.sessions - {session} or any(  # noqa: ASYNC110 - servers say nothing when they are free
                    map(_is_busy, self.pools.of_database(self.database))
                ):
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            raise PlacementBusy("other transactions of this database do not end") from None

    # --- changes --------------------------------------------------------------------------------------------------

    async def _withdraw(self, session: Participants | None) -> None:
        """Nothing is answered here by what is known, and the lock is others'; PlacementBusy if that cannot be."""
        while self.watch is not None and self.watch.reading is not None:
            await asyncio.wait([self.watch.reading])  # who waits for that in a transaction would be waited for
        if self.router is not None:
            self._bar(Fence(keeps_up=True))
        try:
            await self._until_alone(session)
            await self.lock.give_up()
        except BaseException:
            if self._sure and self.lock.held:
                self._open()
            else:
                self._unsure(None)
            raise
        self._sure = False

    async def _let_others(self) -> None:
        if not await self.lock.is_wanted():
            return
        try:
            await self._withdraw(None)
        except PlacementBusy as error:
            log.warning("another process wants to change where tables of %s lie: %s", self.database, error.message)

    @asynccontextmanager
    async def alone(self, session: Participants) -> AsyncIterator[CatalogWatch]:
        """While this session changes where a table lies, nobody else of this process asks anything; PlacementBusy."""
        assert self.watch is not None
        self.leave(session)  # two that wait for each other's turn are not under way
        async with self._turn:
            self.sessions.add(session)
            await self._be_sure()
            try:
                await self._withdraw(session)
                yield self.watch
            finally:
                self._due.set()

    async def exclude(self, home: Participant) -> None:
        """Until the transaction at the home shard is over no other process answers by what is so; PlacementBusy."""
        reminding = self._tasks.spawn(self._remind(), f"placement of {self.database}")
        try:
            await home.ask(EXCLUSIVE.encode())
        except StatementFailed as error:
            if error.sqlstate != _LOCKED:
                raise
            holders: list[str] = []
            with suppress(TrunklineError):
                holders = await self.lock.holders()
            text = "another process that serves this database does not give way"
            raise PlacementBusy(text, detail=f"It is: {'; '.join(holders)}." if holders else None) from None
        finally:
            reminding.cancel()

    async def _remind(self) -> None:
        """A notification that comes before the lock is waited for is for nothing."""
        with suppress(TrunklineError):
            while True:
                await self.lock.ask_others()
                await asyncio.sleep(REMIND_S)


def _is_busy(pool: Pool) -> bool:
    """Whether a server of it is in the middle of something that was asked before."""
    return bool(len(pool.canceled) or len(pool.draining)) or any(not server.session.free for server in pool.active)
