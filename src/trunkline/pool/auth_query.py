"""Users whom the configuration does not know: their secrets are asked of a server (auth_query, auth_user, auth_dbname).

1. Every login asks, as in PgBouncer: a role that was dropped, or given another password, is so from its next login on.
2. Of one user there is one question at a time. Who comes while it is under way shares the next one with others who do:
   an answer that was on its way before him may be older than he is.
3. What a client hears of a failure is that there was one; why, is the log's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.auth.secret import LoginSeed, Secret, SecretKind
from trunkline.auth.user_row import Row, read_user
from trunkline.config.settings import RESERVED_DATABASES
from trunkline.errors import AuthUnavailable, ServerRefused, TrunklineError
from trunkline.net.tasks import Tasks
from trunkline.pool.auth_link import AuthLink, Source

if TYPE_CHECKING:
    from trunkline.pool.pools import Pools

log = logging.getLogger("trunkline.client")

ROLES = (
    "WITH RECURSIVE mine AS ("
    "SELECT oid FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name "
    "UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN mine ON m.member OPERATOR(pg_catalog.=) mine.oid) "
    "SELECT r.rolname FROM pg_catalog.pg_roles r JOIN mine ON r.oid OPERATOR(pg_catalog.=) mine.oid"
)
"""As is_member_of_role_nosuper has it: a superuser is no member by that alone."""

_NO_SUCH_NAME = "22021"  # invalid byte sequence: a name that no role can have
_NO_SUCH_DATABASE = "3D000"

_Key = tuple[Source, str]
_Flight = asyncio.Future[Secret | None]


class AuthQueries:
    """Everything that is asked of servers about users; one for the process."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.tasks = Tasks()
        self._links: dict[Source, AuthLink] = {}
        self._running: dict[_Key, _Flight] = {}
        self._next: dict[_Key, _Flight] = {}
        self._kinds: dict[Source, SecretKind] = {}

    def source_of(self, database: str) -> Source | None:
        """Where the users of a database that clients ask for are looked up; None if that is nowhere."""
        config = self._pools.config
        is_console = database in RESERVED_DATABASES
        settings = None if is_console or config.shard(database) is not None else config.database(database)
        nowhere = not config.settings.auth_dbname if is_console else settings is None or settings.disabled
        if nowhere:
            return None
        user = getattr(settings, "auth_user", None) or config.settings.auth_user
        where = getattr(settings, "auth_dbname", None) or config.settings.auth_dbname or database
        sql = getattr(settings, "auth_query", None) or config.settings.auth_query
        return Source(where, user, sql) if user else None

    def seed(self, database: str, seed: LoginSeed) -> LoginSeed:
        """Mocks for who is not found there: of the kind that was found last, so that they take the same way."""
        source = self.source_of(database)
        if source is None:
            return seed
        return LoginSeed(seed.seed, self._kinds.get(source, SecretKind.SCRAM), seed.iterations)

    async def ask(self, database: str, user: str) -> Secret | None:
        """The user's secret, None for no such user; a TrunklineError if that cannot be found out."""
        source = self.source_of(database)
        if source is None:
            return None
        key = (source, user)
        flight = self._next.get(key)
        if flight is None:
            flight = self._next[key] = asyncio.get_running_loop().create_future()
            self.tasks.spawn(self._fly(key, flight), "auth_query")
        return await asyncio.shield(flight)

    async def _fly(self, key: _Key, flight: _Flight) -> None:
        try:
            before = self._running.get(key)
            if before is not None:
                await asyncio.wait([before])
            self._running[key] = self._next.pop(key)
            flight.set_result(await self._look_up(*key))
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # who asked may have gone
        finally:
            flight.cancel()  # where it has no outcome yet
            for flights in (self._running, self._next):
                if flights.get(key) is flight:
                    del flights[key]

    async def _look_up(self, source: Source, user: str) -> Secret | None:
        try:
            rows = await self._rows(source, user)
            found = read_user(rows, user) if rows is not None else None
        except TrunklineError as error:
            log.error("auth_query at %s as %s: %s", source.database, source.user, error.message)
            raise AuthUnavailable("bouncer config error") if isinstance(error, AuthUnavailable) else error from None
        if found is not None and found.text:
            self._kinds[source] = found.kind
        return found

    async def roles(self, database: str, user: str) -> frozenset[str]:
        """Those that the user is a member of, its own included; a TrunklineError if that cannot be found out."""
        source = self.source_of(database)
        if source is None:
            log.error("the rules of %s ask for members of roles, and there is no auth_user to look", database)
            raise AuthUnavailable("bouncer config error")
        rows = await self._rows(replace(source, sql=ROLES), user)
        return frozenset((name or b"").decode(errors="surrogateescape") for name, *_ in rows or ())

    async def _rows(self, source: Source, user: str) -> list[Row] | None:
        link = self._links.get(source)
        if link is None:
            link = self._links[source] = AuthLink(self._pools, source)
        try:
            return await link.ask(user)
        except ServerRefused as refusal:
            if refusal.sqlstate in (_NO_SUCH_NAME, _NO_SUCH_DATABASE):
                return None
            log.error(
                "auth_query at %s as %s: %s (%s)", source.database, source.user, refusal.message, refusal.sqlstate
            )
            raise AuthUnavailable("bouncer config error") from None

    # --- time and operation -------------------------------------------------------------------------------------

    def reconfigure(self) -> None:
        """A reload: whoever asks next does so on a new connection."""
        links, self._links = self._links, {}
        for link in links.values():
            link.retire()

    def tick(self, now: float) -> None:
        """Close the connections that nobody has needed for a while, and those that are too old."""
        settings = self._pools.config.settings
        for source, link in list(self._links.items()):
            idle = settings.server_idle_timeout and now - link.used_at >= settings.server_idle_timeout
            if not link.is_busy and (idle or now - link.opened_at >= settings.server_lifetime):
                link.close("nobody has asked for a while" if idle else "server_lifetime")
                del self._links[source]

    def close(self) -> None:
        for link in self._links.values():
            link.close("the pooler is stopping")
