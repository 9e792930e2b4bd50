"""The directories of one database: read from its home shard, read again when they change, and asked for single keys.

One connection does all of it, and listens on the channel `trunkline_directory`, whose payload names the table that has
changed (`schema.table`; without a name all have). So what is learnt of a key and the notification that it has changed
come in the order in which PostgreSQL has them, and no old answer outlives a newer one.

Rules:
1. LISTEN comes before the first reading; after the connection was lost, all directories are read again.
2. One reading at a time, and after one caused by a notification as long a rest as it took: a directory that is changed
   all the time costs half of the time at most.
3. A key that is missing is asked for once, however many clients wait for it; keys that come meanwhile are one question.
   That it is not there is remembered for ABSENT_S, or until a notification.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.net.inbox import ConnectionEnded, MessageTooLong
from trunkline.pool.directories import BEGIN_S, END, FETCH, SETUP, begin, concerns, gather, learn, question
from trunkline.pool.home_link import HomeLink
from trunkline.pool.listening import Unleased
from trunkline.routing.keys.directory import Done, Entries
from trunkline.routing.keys.sharding import Value
from trunkline.routing.keys.sharding_builder import DirectoryTable

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

AGAIN_S = 2.0  # after a connection that was lost or could not be had
ABSENT_S = 1.0
PROBE_S = 10.0  # how often the connection is asked whether it is still there
ASKED_KEYS = 1000  # in one question


@dataclass(slots=True)
class _Followed:
    """What is under way for one directory."""

    table: DirectoryTable
    trouble: str = ""  # why it could not be read
    readings: int = 0
    read_at: float = 0.0
    waiting: dict[Value, list[Done]] = field(default_factory=dict)  # keys for the next question, and who wants them
    asked: dict[Value, list[Done]] = field(default_factory=dict)  # the same, of the question under way
    answering: bool = False
    forgets: bool = False  # absent keys will be forgotten soon

    @property
    def name(self) -> str:
        return self.table.lookup.table


class DirectoryWatch:
    """Begins with the first `follow`."""

    def __init__(self, pools: Pools, database: str) -> None:
        self.pools = pools
        self.database = database
        self._followed: dict[DirectoryTable, _Followed] = {}
        self._due: set[DirectoryTable] = set()
        self._link: HomeLink | None = None
        self._where: tuple[str, str] = ("", "")  # the home shard, and the user to ask as
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the server's process that listens; 0 while there is none."""
        return self._link.server.pid if self._link is not None else 0

    def readings_of(self, table: DirectoryTable) -> tuple[int, float]:
        """How often it has been read whole, and how long that is ago."""
        found = self._followed.get(table)
        return (found.readings, self.pools.now - found.read_at) if found is not None and found.readings else (0, 0.0)

    async def follow(self, tables: Iterable[DirectoryTable], home: str, user: str) -> None:
        """These are the directories from now on. New ones are read before it returns, the others soon.

        TrunklineError if the home shard cannot be asked.
        """
        tables = list(dict.fromkeys(tables))
        self._where = (home, user)
        if self._link is not None:
            await self._home().until_primary()
            if self._link.server.address != self.pools.address_of(self._home(), 0):
                self._link.close("the home shard is elsewhere now")
        self.serve(tables)
        self._due = set(tables)
        if tables:
            await self._connected()
        for followed in list(self._followed.values()):
            if not followed.readings:
                await self._try(followed)
        self._refresh()

    def serve(self, tables: Iterable[DirectoryTable]) -> None:
        """Keys that these lack are asked for from now on; whoever serves them has to `follow` them soon."""
        self._followed = {table: self._followed.get(table) or _Followed(table) for table in tables}
        for table, followed in self._followed.items():
            table.directory.ask = partial(self.ask, followed)
        self._due &= self._followed.keys()

    def close(self) -> None:
        """Nobody uses them any more."""
        self.serve(())
        if self._link is not None:
            self._link.close("its database is not served any more")

    # --- the connection -----------------------------------------------------------------------------------------

    def _home(self) -> Pool:
        home, user = self._where
        return self.pools.pool(f"{self.database}/{home}", user)

    async def _connected(self) -> HomeLink:
        async with self._opening:
            if self._link is None or not self._link.server.opened:
                self._link = await self._open()
            return self._link

    async def _open(self) -> HomeLink:
        await self._home().until_primary()
        target = self.pools.target_of(self._home(), self.pools.address_of(self._home(), 0))
        server = await self.pools.opener.open(Unleased(), target, lambda new: new.move_to(self.pools.directories))
        link = HomeLink(server, self._on_notification)
        self.pools.tasks.spawn(self._keep(link), f"directories of {self.database}")
        try:
            await link.ask(SETUP)
        except BaseException:
            link.close("the home shard could not be listened to")
            raise
        return link

    async def _keep(self, link: HomeLink) -> None:
        """Read what it says until it is lost."""
        probing = self.pools.tasks.spawn(_probe(link), f"probe directories of {self.database}")
        try:
            await link.read()
        except (ConnectionEnded, MessageTooLong):
            log.info("the connection that reads directories is closed: %s", link.server)
        finally:
            probing.cancel()
            self._link = None if self._link is link else self._link
            link.close("the connection to the home shard was lost")
            self._due |= set(self._followed)
            self.pools.later(AGAIN_S, self._refresh)

    def _on_notification(self, payload: str) -> None:
        for table in self._followed:
            if concerns(payload, table):
                table.directory.forget_absent()
                self._due.add(table)
        self._refresh()

    # --- reading ------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read what is due, in the background."""
        if self._due and (self._refreshing is None or self._refreshing.done()) and not self._home().closed:
            self._refreshing = self.pools.tasks.spawn(self._read_due(), f"read directories of {self.database}")

    async def _read_due(self) -> None:
        failed: set[DirectoryTable] = set()
        try:
            while due := [one for table, one in self._followed.items() if table in self._due - failed]:
                begun_at = self.pools.now
                failed.update([one.table for one in due if not await self._try(one)])
                await asyncio.sleep(self.pools.now - begun_at)
        finally:
            if self._due:
                self.pools.later(AGAIN_S, self._refresh)

    async def _try(self, followed: _Followed) -> bool:
        """Read it; one that cannot be read stays as it is, and its other keys are asked for one by one."""
        try:
            await self._read(followed)
        except TrunklineError as error:
            if followed.trouble != error.message:
                log.warning("the directory %s of %s: %s", followed.name, self.database, error.message)
            followed.trouble = error.message
        else:
            followed.trouble = ""
        return not followed.trouble

    async def _read(self, followed: _Followed) -> None:
        table, entries = followed.table, Entries()
        async with self._turn:
            self._due.add(table)  # until it has been read
            link = await self._connected()
            self._due.discard(table)  # a change from here on is another
            try:
                odd = await _fetch(link, table, entries)
            except BaseException:
                self._due.add(table)
                raise
        if odd:
            log.warning("%s: %d rows have no key or no shard that is known", followed.name, odd)
        old = table.directory.replace(entries)
        followed.readings += 1
        followed.read_at = self.pools.now
        for _ in old.drain():
            await asyncio.sleep(0)

    # --- single keys --------------------------------------------------------------------------------------------

    def ask(self, followed: _Followed, key: Value, done: Done) -> None:
        """Have the directory learn of this key; `done` is called later, whatever came of it."""
        keys = followed.asked if key in followed.asked else followed.waiting
        keys.setdefault(key, []).append(done)
        if not followed.answering:
            followed.answering = True
            self.pools.tasks.spawn(self._answer(followed), f"keys of {self.database}")

    async def _answer(self, followed: _Followed) -> None:
        """Ask for what is waited for, until nothing is."""
        try:
            while followed.waiting:
                followed.asked = {key: followed.waiting.pop(key) for key in list(islice(followed.waiting, ASKED_KEYS))}
                await self._learn(followed.table, list(followed.asked))
                self._forget_soon(followed)
                self._settle(followed, None)
        except BaseException as error:
            followed.asked.update(followed.waiting)
            followed.waiting = {}
            self._settle(followed, error)
            raise
        finally:
            followed.answering = False

    def _settle(self, followed: _Followed, error: BaseException | None) -> None:
        asked, followed.asked = followed.asked, {}
        for waiting in asked.values():
            for done in waiting:
                self.pools.soon(partial(done, error))

    async def _learn(self, table: DirectoryTable, keys: list[Value]) -> None:
        try:
            link = await self._connected()
            learn(table, keys, await link.ask(question(table, keys)))
        except TrunklineError as error:
            log.warning("the directory %s of %s was asked: %s", table.lookup.table, self.database, error.message)
            for key in keys:
                table.directory.learn_absent(key, f"the directory could not be asked: {error.message}")

    def _forget_soon(self, followed: _Followed) -> None:
        if followed.table.directory.absent and not followed.forgets:
            followed.forgets = True
            self.pools.later(ABSENT_S, partial(_forget, followed))


async def _fetch(link: HomeLink, table: DirectoryTable, entries: Entries) -> int:
    """All its rows; returns how many of them are odd."""
    odd = 0
    await link.ask(begin(table), BEGIN_S)
    try:
        while rows := await link.ask(FETCH):
            odd += gather(entries, table, rows)
        await link.ask(END)
    except BaseException:
        link.close("a directory was not read to its end")
        raise
    return odd


def _forget(followed: _Followed) -> None:
    followed.forgets = False
    followed.table.directory.forget_absent()


async def _probe(link: HomeLink) -> None:
    """A connection that a network has dropped without a word hears of no change."""
    while link.server.opened:
        await asyncio.sleep(PROBE_S)
        with suppress(TrunklineError):  # if that was its end, its reader knows
            await link.ask("")
