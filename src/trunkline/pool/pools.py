"""Pools: all pools of a process, the limits that they share, and the clock that drives them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from trunkline.auth.secret import Secret
from trunkline.config.address import ServerAddress
from trunkline.config.parts import family_of
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.errors import ServerUnavailable, UnknownDatabase
from trunkline.net.engine import Engine
from trunkline.net.place import Place
from trunkline.net.tasks import Tasks
from trunkline.pool import sharing
from trunkline.pool.breakers import Breakers
from trunkline.pool.cancel import cancel_query
from trunkline.pool.code_watch import CodeWatch
from trunkline.pool.leases import Leases
from trunkline.pool.listening import Listeners
from trunkline.pool.opening import Credentials, Opener, Target
from trunkline.pool.pool import Pool
from trunkline.pool.server import Lessee, ServerLink
from trunkline.pool.sharing import Budget
from trunkline.pool.standing import Standing

if TYPE_CHECKING:
    from trunkline.pool.replica_watch import ReplicaWatch

_SERVER_PARAMETERS = ("application_name", "client_encoding", "datestyle", "timezone")


class Pools:
    """Pools by (database, user); a database with a forced user has one."""

    def __init__(self, config: Config, engine: Engine, opener: Opener) -> None:
        self.config = config
        self.engine = engine
        self.opener = opener
        self.tasks = Tasks()
        self.listeners = Listeners(self)
        self.control: Place[ServerLink] = Place("control")  # connections of our own, apart from all pools
        self.directories: Place[ServerLink] = Place("directories")  # and those that listen for changes of directories
        self.watches: Mapping[str, ReplicaWatch] = {}  # by the names of the databases, or shards, that have replicas
        self.paused: set[str] = set()  # by operators; "" is all
        self.disabled: set[str] = set()  # by operators: new clients are refused
        self.switching: set[str] = set()  # databases and shards that are on their way to another server
        self.budget: Budget | None = None  # of a worker
        self.breakers = Breakers(self)
        self.lessee_done: Callable[[Lessee], None]
        self.notify_waiting: Callable[[Lessee], None]
        self.schema_changed: Callable[[str], None] = lambda database: None  # DDL has run there
        self._pools: dict[tuple[str, str], Pool] = {}
        self._code: dict[str, CodeWatch] = {}
        self._proved: dict[tuple[str, str], Credentials] = {}  # by database, if it was asked for the user, and user
        self._salt = secrets.randbits(32)

    def __iter__(self) -> Iterator[Pool]:
        return iter(list(self._pools.values()))

    @property
    def now(self) -> float:
        return self.engine.time()

    def soon(self, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(call)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, call)

    # --- finding ------------------------------------------------------------------------------------------------

    def pool(self, database: str, user: str) -> Pool:
        """The pool for clients of `user` at `database`; UnknownDatabase if no such database is configured."""
        settings = self.database(database)
        key = (database, settings.user or user)
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = Pool(self, *key)
            if self.holds(found):
                found.pause()
            self._tell_where(found)
        return found

    def _tell_where(self, pool: Pool) -> None:
        """A new pool: its user may be the first as whom its servers can be asked."""
        watch = self.watch_of(pool.database)
        if watch is not None:
            watch.stand()
            watch.hurry()
        pool.follow(self.standing_for(pool.database))

    def watch_of(self, name: str) -> ReplicaWatch | None:
        """Who finds out where the primary of this database, or shard, is; None if its settings say it."""
        settings = self.config.database(name)
        return self.watches.get(settings.name) if settings is not None and not settings.answers_reads else None

    def standing_for(self, name: str) -> Standing | None:
        watch = self.watch_of(name)
        return watch.standing if watch is not None else None

    def database(self, name: str) -> DatabaseSettings:
        settings = self.config.database(name)
        if settings is None or settings.disabled:
            raise UnknownDatabase(f'database "{name}" does not exist')
        return settings

    def family_of(self, name: str) -> str:
        """The database that clients know, if this is the name of one of its shards or replicas."""
        return family_of(self.config, name)

    def code_of(self, name: str) -> CodeWatch:
        """What is known of the code in a database."""
        if name not in self._code:
            self._code[name] = CodeWatch(lambda: iter(self.of_database(name)))
        return self._code[name]

    def holds(self, pool: Pool) -> bool:
        """Whether a pool is to give out no servers now: it was paused, or its database is being switched."""
        return self.name_of(pool) in self.switching or not self.paused.isdisjoint((pool.database, pool.family, ""))

    def name_of(self, pool: Pool) -> str:
        """What the settings call its database: a pattern, where they have no name for it."""
        settings = self.config.database(pool.database)
        return settings.name if settings is not None else pool.database

    def of_database(self, name: str) -> list[Pool]:
        """Its pools, those of its shards among them."""
        return [pool for pool in self if name in (pool.database, pool.family)]

    # --- where and as whom --------------------------------------------------------------------------------------

    def prove(self, user: str, password: bytes | None, keys: tuple[bytes, bytes] | None) -> None:
        """What a client has just shown to know, for logins to servers as the same user."""
        if password is not None or keys is not None:
            self._proved["", user] = Credentials(user, password, None, keys)

    def learn(self, database: str, known: Credentials) -> None:
        """The same of a user whom only the servers of this database know, with the secret that they have said."""
        self._proved[database, known.user] = known

    def forget_proofs(self) -> None:
        """After a reload: what was proved against the configuration may have been changed in it."""
        self._proved = {key: known for key, known in self._proved.items() if key[0]}

    def address_of(self, pool: Pool, turn: int) -> ServerAddress:
        """Where its next server is opened; NoPrimary while nobody is known to be the primary."""
        addresses = self.database(pool.database).addresses
        watch = self.watch_of(pool.database)
        if watch is not None:
            addresses = tuple(watch.addresses[name] for name in watch.standing.at)
            if not addresses:
                raise pool.no_primary()
        if not addresses:
            raise ServerUnavailable("this database has no server")
        return addresses[turn % len(addresses)]

    def target_of(self, pool: Pool, address: ServerAddress) -> Target:
        settings = self.database(pool.database)
        extra = [(n, getattr(settings, n)) for n in _SERVER_PARAMETERS]
        parameters = [(n.encode(), v.encode()) for n, v in extra if v is not None]
        database = address.dbname or pool.family
        credentials = self._credentials(settings, pool)
        return Target(address, database, credentials, parameters, pool.settings.connect_query)

    def reads_from(self, name: str) -> str:
        """The one server that this part of a database is for, by its name; empty if it is no such part."""
        settings = self.config.database(name)
        return str(settings.addresses[0]) if settings is not None and settings.answers_reads else ""

    def forces_user(self, pool: Pool) -> bool:
        """Whether its servers are logged in to as a user that the operator chose, whoever the client is."""
        settings = self.config.database(pool.database)
        return settings is not None and settings.user is not None

    def _credentials(self, settings: DatabaseSettings, pool: Pool) -> Credentials:
        if settings.password is not None and settings.user in (None, pool.user):
            return Credentials(pool.user, settings.password, None, None)
        return self.credentials_of(pool.user, pool.family)

    def credentials_of(self, user: str, database: str = "") -> Credentials:
        """What is known of a user, from the configuration, else from the database's servers, and from his own login."""
        stored = self.config.user(user).password or self.config.secrets.get(user)
        learned = self._proved.get((database, user))
        if not stored and learned is not None:
            return learned
        proved = self._proved.get(("", user))
        secret = Secret.parse(stored) if stored else None
        return (
            Credentials(user, proved.password, secret, proved.scram_keys)
            if proved
            else Credentials(user, None, secret, None)
        )

    # --- limits over pools --------------------------------------------------------------------------------------

    def room_for(self, pool: Pool) -> int | None:
        """How many servers the limits of its database and its user still allow; None is no limit."""
        room = sharing.room_for(self, pool, self.now)
        if self.budget is None:
            return room
        granted = self.budget.room_for(pool)
        return granted if room is None else min(room, granted)

    def make_room(self, pool: Pool) -> bool:
        """Whether another pool has given way to this one."""
        return sharing.make_room(self, pool, self.now)

    def distrust(self, address: ServerAddress, since: float) -> None:
        """What was asked there at that time has found no answer: connections that nobody has used since are closed."""
        for pool in self:
            for server in pool.idle:
                if server.address == address and server.idle_since <= since:
                    server.drop("another connection to this server did not answer")

    def server_closed(self, pool: Pool) -> None:
        """A server is gone: its own pool, and those that share a limit with that, may have waited for this."""
        for other in sharing.in_turn(self, pool, self.now):
            self.soon(other.open_more)

    def cancel(self, owner: Leases, server: ServerLink) -> asyncio.Task[None]:
        """Stop the query that runs for the lessee; the server is held back until that is over."""
        timeout = self.config.settings.cancel_wait_timeout
        server.stopping = self.tasks.spawn(cancel_query(self.opener, owner, server, timeout), "cancel")
        return server.stopping

    # --- time and operation -------------------------------------------------------------------------------------

    def reconfigure(self, config: Config) -> None:
        """A reload: take over what changed; servers of what is no longer the same close when they are free."""
        old, self.config = self.config, config
        same_for_all = old.settings == config.settings
        same = {name: same_for_all and old.database(name) == config.database(name) for name in self._databases}
        for pool in self:
            if same[pool.database] and old.user(pool.user) == config.user(pool.user):
                continue  # as most are, where only secrets have changed, and there may be thousands
            settings = config.database(pool.database)
            if settings is None:
                pool.renew()
                continue
            pool.reconfigure()
            if _identity(old.database(pool.database)) != _identity(settings):
                pool.renew()

    @property
    def _databases(self) -> set[str]:
        return {pool.database for pool in self}

    def drop_empty(self, pool: Pool) -> None:
        """Forget a pool that nobody uses."""
        if not (pool.servers or pool.clients or pool.waiting):
            self._pools.pop((pool.database, pool.user), None)


def _identity(settings: DatabaseSettings | None) -> tuple[object, ...] | None:
    """What makes the servers of a database other servers when it changes (PgBouncer's "dirty" database)."""
    if settings is None:
        return None
    return (settings.addresses, settings.user, settings.connect_query, settings.load_balance_hosts, settings.timezone)
