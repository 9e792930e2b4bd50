"""The lock by which processes agree where the tables of a database lie, on a connection to its home shard.

Theory of operation. While a process answers by what it knows of the placement it has an advisory lock of the home
shard, shared with all others that do. Who changes the placement takes the same lock exclusively, in the very
transaction by which the change is committed: so nobody answers by the old one from then on, whatever has become of
anybody. The exclusive lock is waited for, and who has the shared one is asked to give it up meanwhile, by NOTIFY. Other
DDL is told to all by a NOTIFY too, once it is committed.

Rules:
1. A process that has lost the connection has lost the lock, and knows nothing for sure until it has another one.
2. It asks over the connection every PROBE_S, and gives it up without an answer within ANSWER_S. The server is told to
   drop it, and the lock, only after a multiple of that: what a broken network hides from one side is over for both.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from trunkline.errors import ServerLost
from trunkline.net.inbox import ConnectionEnded, MessageTooLong
from trunkline.net.tasks import Tasks
from trunkline.pool.home_link import HomeLink
from trunkline.pool.listening import Unleased
from trunkline.pool.probe import columns

if TYPE_CHECKING:
    from trunkline.pool.pool import Pool
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.pool")

PROBE_S = 2.0
ANSWER_S = 3.0
TAKE_S = 120.0  # how long a change of others may take, before the connection is made anew
CHANNEL = "trunkline_placement"
_HIGH, _LOW = 0x54524E4B, 0x504C4143
KEY = _HIGH << 32 | _LOW
EXCLUSIVE = f"SELECT pg_catalog.pg_advisory_xact_lock({KEY})"
_SHARED = f"SELECT pg_catalog.pg_advisory_lock_shared({KEY})"
_UNLOCK = f"SELECT pg_catalog.pg_advisory_unlock_shared({KEY})"
_NOTIFY = f"SELECT pg_catalog.pg_notify('{CHANNEL}', '{{}}')"
_SCHEMA = "schema "  # and the process id of who tells it
_OURS = (
    "locktype = 'advisory' AND database = (SELECT oid FROM pg_catalog.pg_database"
    f" WHERE datname = pg_catalog.current_database()) AND classid = {_HIGH} AND objid = {_LOW} AND objsubid = 1"
)
_WANTED = f"SELECT FROM pg_catalog.pg_locks WHERE {_OURS} AND NOT granted AND mode = 'ExclusiveLock' LIMIT 1"
_HOLDERS = (
    "SELECT a.application_name || ', server process ' || a.pid FROM pg_catalog.pg_locks AS l"
    f" JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid WHERE {_OURS} AND granted ORDER BY 1"
)
SETUP = (
    "SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8'; SET lock_timeout = 0;"
    " SET statement_timeout = 0; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;"
    " SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000;"
    " SET application_name = '{name}'; LISTEN " + CHANNEL
)


class PlacementLock:
    """Of one process and database. `on_lost` is called when a lock that was held is held no more, and nobody gave it
    up; `on_asked` when somebody may want it; `on_schema` when another process has changed the schema."""

    def __init__(self, pools: Pools, database: str, tasks: Tasks) -> None:
        self.pools = pools
        self._tasks = tasks
        self.database = database
        self.user = ""  # to ask as
        self.held = False
        self.on_lost: Callable[[], None] = lambda: None
        self.on_asked: Callable[[], None] = lambda: None
        self.on_schema: Callable[[], None] = lambda: None
        self._link: HomeLink | None = None

    def __repr__(self) -> str:
        return f"<PlacementLock {self.database} {'held' if self.held else 'not held'} {self._link!r}>"

    async def take(self) -> None:
        """Return once it is held, which waits for the end of a change; a TrunklineError if it cannot be had."""
        if self._link is None or not self._link.server.opened:
            self._link = await self._open()
        if self.held:
            return
        try:
            await self._link.ask(_SHARED, TAKE_S)
        except BaseException:
            self.close("its lock may be held")  # twice would be given up once
            raise
        self.held = True

    async def give_up(self) -> None:
        """For somebody else; a TrunklineError where it has been lost."""
        link = self._linked()
        self.held = False
        await link.ask(_UNLOCK, ANSWER_S)

    async def is_wanted(self) -> bool:
        """Whether somebody waits for it to be given up."""
        return bool(await self._linked().ask(_WANTED, ANSWER_S))

    async def ask_others(self) -> None:
        """All who hold it should give it up."""
        await self._linked().ask(_NOTIFY.format(""), ANSWER_S)

    async def tell_of_schema(self) -> None:
        """All others should read the catalog anew."""
        link = self._linked()
        await link.ask(_NOTIFY.format(f"{_SCHEMA}{link.server.pid}"), ANSWER_S)

    async def holders(self) -> list[str]:
        """Who holds it now, in words for an operator."""
        rows = await self._linked().ask(_HOLDERS, ANSWER_S)
        return [(columns(row)[0] or b"").decode(errors="replace") for row in rows]

    async def probe(self) -> None:
        """A TrunklineError if it is lost, or may be soon."""
        await self._linked().ask("", ANSWER_S)
        home = self._home()
        if self._linked().server.address != self.pools.address_of(home, 0):
            raise ServerLost("the home shard is elsewhere now")

    def close(self, reason: str) -> None:
        """Nobody needs it any more, or it has to be had anew; `on_lost` is not called."""
        self.held = False
        if self._link is not None:
            self._link.close(reason)

    # --- the connection -------------------------------------------------------------------------------------------

    def _linked(self) -> HomeLink:
        if self._link is None or not self._link.server.opened:
            raise ServerLost("the connection to the home shard was lost")
        return self._link

    def _home(self) -> Pool:
        sharding = self.pools.database(self.database).sharding
        assert sharding is not None
        return self.pools.pool(f"{self.database}/{sharding.home}", self.user)

    async def _open(self) -> HomeLink:
        home = self._home()
        await home.until_primary()
        target = self.pools.target_of(home, self.pools.address_of(home, 0))
        server = await self.pools.opener.open(Unleased(), target, lambda new: new.move_to(self.pools.directories))
        link = HomeLink(server, self._on_notification)
        self._tasks.spawn(self._read(link), f"placement of {self.database}")
        name = f"trunkline placement, {socket.gethostname()[:24]} pid {os.getpid()}".replace("'", "")
        try:
            await link.ask(SETUP.format(name=name))
        except BaseException:
            link.close("the home shard could not be listened to")
            raise
        return link

    def _on_notification(self, payload: str) -> None:
        if not payload.startswith(_SCHEMA):
            self.on_asked()
        elif payload != f"{_SCHEMA}{self._linked().server.pid}":
            self.on_schema()

    async def _read(self, link: HomeLink) -> None:
        """Hear what it says until it is lost."""
        try:
            await link.read()
        except (ConnectionEnded, MessageTooLong):
            log.info("%r is closed", link)
        finally:
            link.close("the connection to the home shard was lost")
            if self._link is link:
                was_held, self.held = self.held, False
                if was_held:
                    self.on_lost()
