"""The tables of settings: name, default, kind, unit, whether a reload applies it, and its line of documentation.

Everything else about settings is derived from the metadata of these fields: reading and checking of every source,
SHOW CONFIG, the diff of a reload, docs/settings.md. Rules:
1. Names and meanings are PgBouncer's wherever PgBouncer has the setting; where a default differs the doc line says so.
2. Durations are float seconds and 0 means "never" or "no limit", sizes are bytes, lists are tuples.
3. ``None`` in a database or user setting means: inherit. The user's value wins over the database's, and that over the
   global one.
4. No secret is in any ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trunkline.config import parts
from trunkline.config.address import DEFAULT_PORT, ServerAddress
from trunkline.config.choices import BALANCE, MODES, SESSION_STATES, PoolMode
from trunkline.config.diagnostics import Diagnostic
from trunkline.config.global_settings import Settings
from trunkline.config.hba import Hba
from trunkline.config.kinds import BOOL, CHOICE, INT, NAMES, SECONDS, SECRET, TEXT
from trunkline.config.ldap_options import LdapOptions
from trunkline.config.replica_kinds import AFTER_WRITE, LAG, REPLICAS, LagLimit
from trunkline.config.rest_kinds import REST_URLS
from trunkline.config.sharding import MAX_BUCKETS, ShardingSettings
from trunkline.config.table import setting

RESERVED_DATABASES = ("trunkline", "pgbouncer")
WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """One database that clients may ask for; ``None`` inherits the global setting, or the client's own value."""

    name: str
    hosts: tuple[str, ...] = setting((), NAMES, "Hosts or socket directories of the server, with commas.", key="host")
    port: int = setting(DEFAULT_PORT, INT, "Port of the server.", low=1, high=65535)
    dbname: str | None = setting(None, TEXT, "Name of the database on the server; by default the name clients ask for.")
    user: str | None = setting(None, TEXT, "User of all server connections; by default each client's own.")
    password: str | None = setting(None, SECRET, "Password of that user; by default from auth_file.")
    replicas: tuple[ServerAddress, ...] = setting(
        (), REPLICAS, 'URLs of streaming replicas, or tables as in { url = URL, weight = 3, zone = "eu-1" }.'
    )
    patroni: tuple[str, ...] = setting(
        (), REST_URLS, "URLs of Patroni's REST API, with commas: who it lists is looked at too, besides `replicas`."
    )
    unread: tuple[str, ...] = ()
    """Servers that Patroni wants nobody to read from, as host:port."""
    health_check_user: str | None = setting(
        None, TEXT, "User of health checks, if `user` is not set; by default the first one who logs in."
    )
    reads: str = setting(
        "primary",
        CHOICE,
        "Where statements go that a replica may answer: to one that is up, or to the primary.",
        choices=("primary", "replica"),
    )
    read_after_write: str = setting(
        "lsn",
        AFTER_WRITE,
        "Whether a client's reads wait for its own writes: lsn is exact, off does not ask, and with sticky:5s they are "
        "the primary's for so long.",
    )
    balance: str = setting(
        "least",
        CHOICE,
        "Which replica is read from, always by weight: the one with the fewest in flight, each in turn, or any.",
        choices=("least", "round-robin", "random"),
    )
    max_replica_lag: LagLimit | None = setting(  # noqa: RUF009
        None, LAG, 'A replica further behind is not read from: a time as in "10s", or a size as in "16MB".'
    )
    replica_fallback: str = setting(
        "primary",
        CHOICE,
        "Who answers a read when no replica will do: the primary, or an error does.",
        choices=("primary", "error"),
    )
    answers_reads: bool = False  # one server, as a part of its database
    ports: tuple[int, ...] = ()
    """One for each of ``hosts`` where a URL gave them different ports, else empty: ``port`` is for all."""
    shard_by: str = setting(
        "", CHOICE, "Of databases named by a pattern: each of them is wholly on one shard.", choices=("database",)
    )
    home: str = setting("", TEXT, "Shard of all tables that are not named; by default the first.")
    buckets: int = setting(
        1024, INT, "Buckets that keys are hashed into; they are what moves.", low=1, high=MAX_BUCKETS
    )
    transaction_mode: str = setting(
        "two_phase",
        CHOICE,
        "Transactions that write to several shards commit in two phases, are refused, or each shard commits alone.",
        choices=("two_phase", "single", "best_effort"),
    )
    cross_shard_snapshot: str = setting(
        "consistent",
        CHOICE,
        "What statements over several shards read: of each commit over several shards all or nothing, or as each shard "
        "has it when it is asked.",
        choices=("consistent", "shard"),
    )
    sharding: ShardingSettings | None = None
    shards: tuple[DatabaseSettings, ...] = ()
    """Of a sharded database: each shard as a database of its own, named `shop/s0`; its own addresses are the home's."""
    disabled: bool = setting(False, BOOL, "Refuse new clients.")
    pool_size: int | None = setting(None, INT, "Overrides default_pool_size.")
    min_pool_size: int | None = setting(None, INT, "Overrides min_pool_size.")
    reserve_pool_size: int | None = setting(None, INT, "Overrides reserve_pool_size.")
    pool_mode: PoolMode | None = setting(None, CHOICE, "Overrides pool_mode.", **MODES)  # noqa: RUF009
    max_db_connections: int | None = setting(None, INT, "Overrides max_db_connections.")
    max_db_client_connections: int | None = setting(None, INT, "Overrides max_db_client_connections.")
    server_lifetime: float | None = setting(None, SECONDS, "Overrides server_lifetime.")
    query_wait_timeout: float | None = setting(None, SECONDS, "Overrides query_wait_timeout.")
    load_balance_hosts: str | None = setting(None, CHOICE, "Overrides load_balance_hosts.", choices=BALANCE)
    connect_query: str | None = setting(None, TEXT, "Overrides connect_query.")
    session_state: str | None = setting(None, CHOICE, "Overrides session_state.", choices=SESSION_STATES)
    auth_user: str | None = setting(None, TEXT, "Overrides auth_user.")
    auth_query: str | None = setting(None, TEXT, "Overrides auth_query.")
    auth_dbname: str | None = setting(None, TEXT, "Overrides auth_dbname.")
    application_name: str | None = setting(None, TEXT, "Parameter sent to the server at its login.")
    client_encoding: str | None = setting(None, TEXT, "Parameter sent to the server at its login.")
    datestyle: str | None = setting(None, TEXT, "Parameter sent to the server at its login.")
    timezone: str | None = setting(None, TEXT, "Parameter sent to the server at its login.")

    @property
    def addresses(self) -> tuple[ServerAddress, ...]:
        """Where the server is: one address for each host, with what is fixed for all of them."""
        ports = self.ports or (self.port,) * len(self.hosts)
        pairs = zip(self.hosts, ports, strict=True)
        return tuple(ServerAddress(h, p, self.dbname, self.user, self.password) for h, p in pairs)

    @property
    def servers(self) -> tuple[ServerAddress, ...]:
        """Everywhere its primary and its replicas may be; the URL of a replica takes what it does not say from here."""
        own = ServerAddress("", 0, self.dbname, self.user, self.password)
        plain = (replace(replica, weight=1, zone="") for replica in self.replicas)
        return (*self.addresses, *(replica.filled_from(own) for replica in plain))

    @property
    def splits_reads(self) -> bool:
        return self.reads == "replica" and bool(self.replicas or self.patroni)


@dataclass(frozen=True, slots=True)
class UserSettings:
    """What differs for one user; ``None`` inherits the database's or the global setting."""

    name: str
    password: str | None = setting(None, SECRET, "Secret of the user, as in auth_file, and before it.")
    pool_mode: PoolMode | None = setting(None, CHOICE, "Overrides pool_mode.", **MODES)  # noqa: RUF009
    pool_size: int | None = setting(None, INT, "Overrides default_pool_size.")
    reserve_pool_size: int | None = setting(None, INT, "Overrides reserve_pool_size.")
    max_user_connections: int | None = setting(None, INT, "Overrides max_user_connections.")
    max_user_client_connections: int | None = setting(None, INT, "Overrides max_user_client_connections.")
    query_timeout: float | None = setting(None, SECONDS, "Overrides query_timeout.")
    query_wait_timeout: float | None = setting(None, SECONDS, "Overrides query_wait_timeout.")
    idle_transaction_timeout: float | None = setting(None, SECONDS, "Overrides idle_transaction_timeout.")
    transaction_timeout: float | None = setting(None, SECONDS, "Overrides transaction_timeout.")
    client_idle_timeout: float | None = setting(None, SECONDS, "Overrides client_idle_timeout.")


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Another program behind the same load balancer, which may get cancel requests for clients of this one."""

    number: int
    host: str = setting("", TEXT, "Host or socket directory of the peer.")
    port: int = setting(6432, INT, "Port of the peer.", low=1, high=65535)
    pool_size: int | None = setting(None, INT, "Cancel requests passed to it at a time, instead of default_pool_size.")

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(self.host, self.port)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Every value that holds for the pool of one database and one user, after user > database > global."""

    pool_mode: PoolMode
    pool_size: int
    min_pool_size: int
    reserve_pool_size: int
    reserve_pool_timeout: float
    server_idle_timeout: float
    server_lifetime: float
    server_connect_timeout: float
    server_login_retry: float
    server_check_query: str
    server_check_delay: float
    server_reset_query: str
    server_reset_query_always: bool
    server_fast_close: bool
    server_round_robin: bool
    query_wait_timeout: float
    query_wait_notify: float
    query_timeout: float
    idle_transaction_timeout: float
    transaction_timeout: float
    client_idle_timeout: float
    connect_query: str
    load_balance_hosts: str
    max_prepared_statements: int
    session_state: str
    max_db_connections: int
    max_user_connections: int
    max_db_client_connections: int
    max_user_client_connections: int


_GLOBAL_NAMES = {"pool_size": "default_pool_size"}


@dataclass(frozen=True, slots=True)
class Config:
    """One whole configuration, checked; a reload replaces it as one."""

    settings: Settings
    databases: Mapping[str, DatabaseSettings]
    users: Mapping[str, UserSettings]
    secrets: Mapping[str, str] = field(repr=False)
    """User name -> secret as the userlist has it: a plain password, ``md5...`` or ``SCRAM-SHA-256$...``."""
    source: str
    """Path of the file, or the URL without its password."""
    from_ini: bool = field(default=False, compare=False)
    """Whether the file is PgBouncer's: then its words are in the log, and what it starts with is started with."""
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    """What the file says and has no effect, or not the one that it seems to have."""
    hba: Hba = Hba()  # noqa: RUF009
    """What auth_hba_file and auth_ident_file say."""
    ldap: LdapOptions | None = field(default=None, repr=False)
    """What auth_ldap_options says."""
    peers: Mapping[int, PeerSettings] = field(default_factory=dict)
    """By their peer_id."""

    def database(self, name: str) -> DatabaseSettings | None:
        """The database of this name, or a shard (`shop/s0`), or what a pattern or the wildcard says, or None."""
        found = self.databases.get(name) or self.shard(name)
        if found is not None:
            return found
        patterns = (p for p, d in self.databases.items() if d.shard_by and name.startswith(p.removesuffix(WILDCARD)))
        pattern = max(patterns, key=len, default=WILDCARD)
        return parts.on_its_shard(self.databases.get(pattern), name)

    def shard(self, name: str) -> DatabaseSettings | None:
        """The shard or server of this internal name (`shop/s0`), for which no client may ask."""
        return next((part for part in parts.parts_of(self, parts.family_of(self, name)) if part.name == name), None)

    def shards_of(self, name: str) -> tuple[DatabaseSettings, ...]:
        """Each shard of a database as one of its own, by number. One whose reads are split is its own only one."""
        database = self.databases.get(name)
        if database is None or database.shard_by:
            return ()
        return database.shards or ((database,) if database.splits_reads else ())

    def user(self, name: str) -> UserSettings:
        """The user's own settings; a user who is not listed inherits everything."""
        return self.users.get(name) or UserSettings(name)

    def pool_settings(self, database_name: str, user_name: str) -> PoolSettings:
        """The effective values for a pool; an unknown database inherits everything."""
        layers = (self.user(user_name), self.database(database_name))
        return PoolSettings(**{f.name: self._effective(f.name, layers) for f in fields(PoolSettings)})

    def _effective(self, name: str, layers: tuple[UserSettings, DatabaseSettings | None]) -> Any:
        for layer in layers:
            value = getattr(layer, name, None)
            if value is not None:
                return value
        return getattr(self.settings, _GLOBAL_NAMES.get(name, name))
