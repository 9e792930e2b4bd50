"""What a client that has proved who it is finds: its parameters, and in session pooling a server of its own.

Three ways, all judged by a server:
1. Transaction pooling: a profile, which clients with the same startup settings share; only the first of them waits.
2. Session pooling: a server is leased at once, as a direct connection would have one. The client is told that server's
   process id, so that pg_backend_pid(), pg_terminate_backend() and the sender of a NOTIFY mean what they should.
3. Settings that PostgreSQL takes only in a startup packet (ignore_system_indexes and its like), or takes otherwise
   there: a server that is opened with them, for this client alone.

A client that leaves while it waits in line gives its place up at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings as Config
from trunkline.errors import ServerRefused
from trunkline.net.inbox import ConnectionEnded, Inbox
from trunkline.pool.own import open_own
from trunkline.pool.pool import Pool
from trunkline.pool.profile import Profile
from trunkline.proxy.borrower import borrow, judge

if TYPE_CHECKING:
    from trunkline.pool.server import ServerLink
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.routed import Route

StartupSettings = tuple[tuple[bytes, bytes], ...]

_TOO_LATE = "55P02"  # what a server says of a setting that it does not take from a session that is logged in
_ONLY_AT_STARTUP = (b"session_authorization",)  # there it is checked and has no effect; later it would have one


class Arrival:
    """One client on its way into its pool, with a `route` home's; `limit` does not run while it waits."""

    __slots__ = ("_config", "_inbox", "_limit", "_link", "_pool", "_route")

    def __init__(
        self,
        pool: Pool,
        config: Config,
        link: ClientLink,
        inbox: Inbox,
        limit: asyncio.Timeout,
        route: Route | None = None,
    ) -> None:
        self._pool = pool
        self._route = route
        self._config = config
        self._link = link
        self._inbox = inbox
        self._limit = limit

    async def enter(self, settings: StartupSettings) -> Profile:
        """Make the link a client of its pool with these startup settings; what to greet it with."""
        try:
            if not any(name.lower() in _ONLY_AT_STARTUP for name, _ in settings):
                return await self._share(settings)
        except ServerRefused as refusal:
            if refusal.sqlstate != _TOO_LATE:
                raise
        server = await open_own(self._pool, settings)
        try:
            return self._keep(server)
        except BaseException:
            server.drop("client left")
            raise

    async def _share(self, settings: StartupSettings) -> Profile:
        if self._pool.settings.pool_mode is PoolMode.SESSION:
            return await self._take_server(settings)
        return self._begin(await self._profile(settings), sticky=False)

    async def _profile(self, settings: StartupSettings) -> Profile:
        profiles = self._pool.profiles
        known = profiles.find(settings)
        if known is not None:
            return known
        async with self._borrowed() as server:
            return profiles.learn(settings, await judge(self._pool, server, settings))

    async def _take_server(self, settings: StartupSettings) -> Profile:
        async with self._borrowed() as server:
            await judge(self._pool, server, settings)
            if not self._link.opened:
                raise ConnectionEnded
            self._pool.unlease(server)
            return self._keep(server)

    def _keep(self, server: ServerLink) -> Profile:
        """The server is this client's until it leaves."""
        profile = self._begin(Profile(server.params), sticky=True)
        self._link.bind_to(server)
        return profile

    def _begin(self, profile: Profile, *, sticky: bool) -> Profile:
        if not self._link.opened:
            raise ConnectionEnded
        self._link.begin(self._pool, profile.params, sticky, self._config.max_packet_size, self._route)
        self._pool.place_client(self._link, self._pool.clients)
        return profile

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[ServerLink]:
        """A server of the pool; how long to wait for one is query_wait_timeout's to say."""
        self._limit.reschedule(None)
        async with borrow(self._pool, self._pool.pools.engine, self._inbox) as server:
            limit = self._config.client_login_timeout
            self._limit.reschedule(asyncio.get_running_loop().time() + limit if limit else None)
            yield server
