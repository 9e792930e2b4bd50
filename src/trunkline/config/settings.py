"""The one table of settings: name, default, kind, unit, whether a reload applies it, and its line of documentation.

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
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from trunkline.config import parts
from trunkline.config.address import DEFAULT_PORT, ListenAddress, ServerAddress
from trunkline.config.kinds import (
    ADDRESSES,
    BOOL,
    BYTES,
    CHOICE,
    CHOICES,
    INT,
    INT_MAX,
    LISTEN,
    MILLISECONDS,
    MODE,
    NAMES,
    PATH,
    SECONDS,
    SECRET,
    TEXT,
)
from trunkline.config.sharding import MAX_BUCKETS, ShardingSettings
from trunkline.config.table import setting

RESERVED_DATABASES = ("trunkline", "pgbouncer")
WILDCARD = "*"


class PoolMode(StrEnum):
    """When a server goes back to its pool: at logout, after a transaction, after a statement."""

    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


_MODES: dict[str, Any] = {"choices": tuple(PoolMode), "convert": PoolMode}
_SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PROTOCOLS = ("secure", "all", "tlsv1.2", "tlsv1.3")
_BALANCE = ("round-robin", "disable")
_SESSION_STATES = ("exact", "pgbouncer")
_AT_START: dict[str, Any] = {"reloadable": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """The global settings, in the order in which the reference lists them."""

    # --- listening
    listen_addr: str = setting(
        "127.0.0.1",
        TEXT,
        "Addresses to listen on, with commas; `*` is all, empty is none. PgBouncer: empty.",
        **_AT_START,
    )
    listen_port: int = setting(
        6432, INT, "TCP port and name of the Unix socket; 0 is any free port.", high=65535, **_AT_START
    )
    listen_backlog: int = setting(
        128, INT, "Connections the kernel holds before they are accepted.", low=1, **_AT_START
    )
    unix_socket_dir: str = setting(
        "", PATH, "Directory of the Unix socket; empty is none. PgBouncer: /tmp.", **_AT_START
    )
    unix_socket_mode: int = setting(0o777, MODE, "File mode of the Unix socket.", **_AT_START)
    unix_socket_group: str = setting("", TEXT, "Group of the Unix socket; empty is the process's own.", **_AT_START)
    metrics_addr: ListenAddress | None = setting(  # noqa: RUF009
        None, LISTEN, "Address and port of metrics and health over HTTP, for anybody who gets there.", **_AT_START
    )
    so_reuseport: bool = setting(False, BOOL, "Let several processes listen on the same port.", **_AT_START)

    # --- pools
    pool_mode: PoolMode = setting(  # noqa: RUF009
        PoolMode.TRANSACTION, CHOICE, "When a server goes back to its pool. PgBouncer: session.", **_MODES
    )
    default_pool_size: int = setting(20, INT, "Servers per database and user; 0 is no limit.")
    min_pool_size: int = setting(0, INT, "Servers kept ready in a pool that is in use.")
    reserve_pool_size: int = setting(0, INT, "Servers more, once a client has waited reserve_pool_timeout.")
    reserve_pool_timeout: float = setting(5.0, SECONDS, "Wait before the reserve may be used; 0 turns the reserve off.")
    max_client_conn: int = setting(10000, INT, "Clients at a time, the console's not counted. PgBouncer: 100.", low=1)
    max_db_connections: int = setting(0, INT, "Servers per database, over all its users; 0 is no limit.")
    max_user_connections: int = setting(0, INT, "Servers per user, over all databases; 0 is no limit.")
    max_db_client_connections: int = setting(0, INT, "Clients per database; 0 is no limit.")
    max_user_client_connections: int = setting(0, INT, "Clients per user; 0 is no limit.")
    query_wait_timeout: float = setting(120.0, SECONDS, "Longest wait of a client for a server; 0 is no limit.")
    query_wait_notify: float = setting(
        5.0, SECONDS, "Wait after which a client gets a NOTICE that it waits; 0 is never."
    )

    # --- servers
    server_round_robin: bool = setting(False, BOOL, "Take the server idle longest rather than shortest.")
    server_idle_timeout: float = setting(600.0, SECONDS, "Close a server that was idle this long; 0 is never.")
    server_lifetime: float = setting(3600.0, SECONDS, "Close a server this old when it is free; 0 is after one use.")
    server_connect_timeout: float = setting(15.0, SECONDS, "Longest connect and login to a server; 0 is no limit.")
    server_login_retry: float = setting(15.0, SECONDS, "Longest pause before a server that failed is tried again.")
    server_check_query: str = setting(
        "<empty>", TEXT, "Query that tests an idle server before use; `<empty>` is the empty query, empty is no test."
    )
    server_check_delay: float = setting(30.0, SECONDS, "Idle time after which a server is tested before use.")
    server_reset_query: str = setting("DISCARD ALL", TEXT, "Query that clears a server's session between clients.")
    server_reset_query_always: bool = setting(
        False, BOOL, "Run the reset query in every pool mode, not only in session mode."
    )
    server_fast_close: bool = setting(
        False, BOOL, "Close an outdated server at the end of its transaction, in session mode too."
    )
    load_balance_hosts: str = setting(
        "round-robin", CHOICE, "Order of a database's hosts; disable stays on one until it fails.", choices=_BALANCE
    )
    connect_query: str = setting("", TEXT, "Query run on every new server before its first use; empty is none.")
    health_check_interval: float = setting(
        1.0, SECONDS, "Time between two looks at each server of a database with replicas; 0 is never."
    )
    max_prepared_statements: int = setting(
        200, INT, "Prepared statements kept on each server in transaction mode; 0 passes them through."
    )
    session_state: str = setting(
        "exact",
        CHOICE,
        "What a session holds outside its transactions: exact follows the client or keeps its server for it, "
        "pgbouncer leaves it to the next client.",
        choices=_SESSION_STATES,
    )

    # --- clients
    client_login_timeout: float = setting(60.0, SECONDS, "Longest login of a client; 0 is no limit.")
    client_idle_timeout: float = setting(0.0, SECONDS, "Close a client that was idle this long; 0 is never.")
    idle_transaction_timeout: float = setting(
        0.0, SECONDS, "Close a client idle in a transaction this long; 0 is never."
    )
    transaction_timeout: float = setting(0.0, SECONDS, "Longest transaction; 0 is no limit.")
    query_timeout: float = setting(0.0, SECONDS, "Longest query; 0 is no limit.")
    cancel_wait_timeout: float = setting(
        10.0, SECONDS, "Longest wait of a cancel request for a connection; 0 is no limit."
    )
    track_extra_parameters: tuple[str, ...] = setting(
        ("IntervalStyle",), NAMES, "Reported parameters kept per client, beyond the usual ones.", **_AT_START
    )
    ignore_startup_parameters: tuple[str, ...] = setting((), NAMES, "Startup parameters accepted and dropped.")
    max_packet_size: int = setting(INT_MAX, BYTES, "Largest message a client may send.", low=1024)
    application_name_add_host: bool = setting(False, BOOL, "Add the client's address to its application_name.")
    drain_timeout: float = setting(0.0, SECONDS, "Longest wait for clients at shutdown; 0 is no limit.")

    # --- login
    auth_type: str = setting(
        "scram-sha-256",
        CHOICE,
        "How clients prove who they are. PgBouncer: md5.",
        choices=("trust", "plain", "md5", "scram-sha-256", "cert", "any"),
        later=("hba", "ldap", "pam"),
    )
    auth_file: str = setting("", PATH, 'File of `"user" "secret"` lines.')
    admin_users: tuple[str, ...] = setting((), NAMES, "Users who may run every console command.")
    stats_users: tuple[str, ...] = setting((), NAMES, "Users who may read the console.")
    scram_iterations: int = setting(
        4096, INT, "Iterations of SCRAM secrets made from plain passwords.", low=1, high=10_000_000
    )

    # --- TLS
    client_tls_sslmode: str = setting(
        "disable", CHOICE, "TLS with clients; verify-* demands certificates.", choices=_SSLMODES
    )
    client_tls_key_file: str = setting("", PATH, "Private key shown to clients.")
    client_tls_cert_file: str = setting("", PATH, "Certificate shown to clients.")
    client_tls_ca_file: str = setting("", PATH, "Authorities that sign the clients' certificates.")
    client_tls_protocols: str = setting(
        "secure", CHOICES, "TLS versions, with commas; secure is 1.2 and 1.3.", choices=_PROTOCOLS
    )
    client_tls_ciphers: str = setting("default", TEXT, "Ciphers up to TLS 1.2, as OpenSSL writes them.")
    client_tls13_ciphers: str = setting("", TEXT, "Ciphers of TLS 1.3; empty is OpenSSL's choice.")
    server_tls_sslmode: str = setting(
        "prefer", CHOICE, "TLS with servers; verify-* checks certificates.", choices=_SSLMODES
    )
    server_tls_ca_file: str = setting("", PATH, "Authorities that sign the servers' certificates.")
    server_tls_key_file: str = setting("", PATH, "Private key shown to servers.")
    server_tls_cert_file: str = setting("", PATH, "Certificate shown to servers.")
    server_tls_protocols: str = setting(
        "secure", CHOICES, "TLS versions, with commas; secure is 1.2 and 1.3.", choices=_PROTOCOLS
    )
    server_tls_ciphers: str = setting("default", TEXT, "Ciphers up to TLS 1.2, as OpenSSL writes them.")
    server_tls13_ciphers: str = setting("", TEXT, "Ciphers of TLS 1.3; empty is OpenSSL's choice.")

    # --- sockets
    tcp_defer_accept: int = setting(1, INT, "TCP_DEFER_ACCEPT, where the system has it; 0 is off.", unit="s")
    tcp_socket_buffer: int = setting(0, BYTES, "Size of the kernel's socket buffers; 0 is the system's.")
    tcp_keepalive: bool = setting(True, BOOL, "Keepalive on TCP connections.")
    tcp_keepcnt: int = setting(0, INT, "Probes lost before a connection counts as dead; 0 is the system's.")
    tcp_keepidle: int = setting(0, INT, "Idle time before the first probe; 0 is the system's.", unit="s")
    tcp_keepintvl: int = setting(0, INT, "Time between probes; 0 is the system's.", unit="s")
    tcp_user_timeout: int = setting(
        0, MILLISECONDS, "Longest time sent data may stay unacknowledged; 0 is the system's."
    )

    read_after_write_wait: float = setting(
        0.02, SECONDS, "How long a read waits for a replica to replay its client's writes; then it is the primary's."
    )

    # --- log
    log_connections: bool = setting(True, BOOL, "Log every login.")
    log_disconnections: bool = setting(True, BOOL, "Log every client that leaves, and why.")
    log_pooler_errors: bool = setting(True, BOOL, "Log the errors that Trunkline itself sends to clients.")
    log_stats: bool = setting(True, BOOL, "Log one line of averages every stats_period.")
    stats_period: float = setting(60.0, SECONDS, "Period of the averages.", low=1)
    verbose: int = setting(0, INT, "More detail in the log, 0 to 3.", high=3)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """One database that clients may ask for; ``None`` inherits the global setting, or the client's own value."""

    name: str
    hosts: tuple[str, ...] = setting((), NAMES, "Hosts or socket directories of the server, with commas.", key="host")
    port: int = setting(DEFAULT_PORT, INT, "Port of the server.", low=1, high=65535)
    dbname: str | None = setting(None, TEXT, "Name of the database on the server; by default the name clients ask for.")
    user: str | None = setting(None, TEXT, "User of all server connections; by default each client's own.")
    password: str | None = setting(None, SECRET, "Password of that user; by default from auth_file.")
    replicas: tuple[ServerAddress, ...] = setting((), ADDRESSES, "URLs of streaming replicas.")
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
        CHOICE,
        "Whether a client's reads wait for its own writes: lsn is exact, off does not ask.",
        choices=("lsn", "off"),
    )
    answers_reads: bool = False  # a replica, as a part of its database
    ports: tuple[int, ...] = ()
    """One for each of ``hosts`` where a URL gave them different ports, else empty: ``port`` is for all."""
    shard_by: str = setting(
        "", CHOICE, "Of databases named by a pattern: each of them is wholly on one shard.", choices=("database",)
    )
    home: str = setting("", TEXT, "Shard of all tables that are not named; by default the first.")
    buckets: int = setting(
        1024, INT, "Buckets that keys are hashed into; they are what moves.", low=1, high=MAX_BUCKETS
    )
    sharding: ShardingSettings | None = None
    shards: tuple[DatabaseSettings, ...] = ()
    """Of a sharded database: each shard as a database of its own, named `shop/s0`; its own addresses are the home's."""
    disabled: bool = setting(False, BOOL, "Refuse new clients.")
    pool_size: int | None = setting(None, INT, "Overrides default_pool_size.")
    min_pool_size: int | None = setting(None, INT, "Overrides min_pool_size.")
    reserve_pool_size: int | None = setting(None, INT, "Overrides reserve_pool_size.")
    pool_mode: PoolMode | None = setting(None, CHOICE, "Overrides pool_mode.", **_MODES)  # noqa: RUF009
    max_db_connections: int | None = setting(None, INT, "Overrides max_db_connections.")
    max_db_client_connections: int | None = setting(None, INT, "Overrides max_db_client_connections.")
    server_lifetime: float | None = setting(None, SECONDS, "Overrides server_lifetime.")
    query_wait_timeout: float | None = setting(None, SECONDS, "Overrides query_wait_timeout.")
    load_balance_hosts: str | None = setting(None, CHOICE, "Overrides load_balance_hosts.", choices=_BALANCE)
    connect_query: str | None = setting(None, TEXT, "Overrides connect_query.")
    session_state: str | None = setting(None, CHOICE, "Overrides session_state.", choices=_SESSION_STATES)
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
        return (*self.addresses, *(replica.filled_from(own) for replica in self.replicas))

    @property
    def splits_reads(self) -> bool:
        return self.reads == "replica" and bool(self.replicas)


@dataclass(frozen=True, slots=True)
class UserSettings:
    """What differs for one user; ``None`` inherits the database's or the global setting."""

    name: str
    password: str | None = setting(None, SECRET, "Secret of the user, as in auth_file, and before it.")
    pool_mode: PoolMode | None = setting(None, CHOICE, "Overrides pool_mode.", **_MODES)  # noqa: RUF009
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

    def database(self, name: str) -> DatabaseSettings | None:
        """The database of this name, or a shard (`shop/s0`), or what a pattern or the wildcard says, or None."""
        found = self.databases.get(name) or self.shard(name)
        if found is not None:
            return found
        patterns = (p for p, d in self.databases.items() if d.shard_by and name.startswith(p.removesuffix(WILDCARD)))
        pattern = max(patterns, key=len, default=WILDCARD)
        return parts.on_its_shard(self.databases.get(pattern), name)

    def shard(self, name: str) -> DatabaseSettings | None:
        """The shard or replica of this internal name (`shop/s0`), for which no client may ask."""
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
