"""The table of global settings: name, default, kind, unit, whether a reload applies it, and its line of documentation.

The rules for all tables of settings are in `settings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.config.address import ListenAddress
from trunkline.config.choices import BALANCE, MODES, SESSION_STATES, PoolMode
from trunkline.config.kinds import (
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
from trunkline.config.table import setting

AUTH_QUERY = (
    "SELECT rolname, CASE WHEN rolvaliduntil < pg_catalog.now() THEN NULL ELSE rolpassword END "
    "FROM pg_catalog.pg_authid WHERE rolname=$1 AND rolcanlogin"
)
_SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PROTOCOLS = ("secure", "all", "tlsv1.2", "tlsv1.3")
MAX_PEER = 16383  # PgBouncer's, which leaves the highest bits of two bytes for later
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
    metrics_pgbouncer_names: bool = setting(
        True, BOOL, "Serve the metrics of PgBouncer's common exporter, too, by its names."
    )
    so_reuseport: bool = setting(False, BOOL, "Let several processes listen on the same port.", **_AT_START)

    # --- pools
    pool_mode: PoolMode = setting(  # noqa: RUF009
        PoolMode.TRANSACTION, CHOICE, "When a server goes back to its pool. PgBouncer: session.", **MODES
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
    login_notify_message: str = setting("", TEXT, "Told each client as a NOTICE once it has logged in; empty is none.")

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
        "round-robin", CHOICE, "Order of a database's hosts; disable stays on one until it fails.", choices=BALANCE
    )
    dns_max_ttl: float = setting(
        15.0, SECONDS, "Time between two looks at the addresses of a name of servers in use; 0 is never."
    )
    connect_query: str = setting("", TEXT, "Query run on every new server before its first use; empty is none.")
    health_check_interval: float = setting(
        1.0, SECONDS, "Time between two looks at each server of a database with replicas; 0 is never."
    )
    failover_wait: float = setting(
        30.0, SECONDS, "How long statements wait for a primary, in a database with replicas; 0 is no limit."
    )
    switch_timeout: float = setting(
        30.0,
        SECONDS,
        "How long SWITCH DATABASE waits for transactions to end and its target to have everything.",
        low=1,
    )
    max_prepared_statements: int = setting(
        200, INT, "Prepared statements kept on each server in transaction mode; 0 passes them through."
    )
    session_state: str = setting(
        "exact",
        CHOICE,
        "What a session holds outside its transactions: exact follows the client or keeps its server for it, "
        "pgbouncer leaves it to the next client.",
        choices=SESSION_STATES,
    )

    # --- clients
    client_login_timeout: float = setting(60.0, SECONDS, "Longest login of a client; 0 is no limit.")
    client_idle_timeout: float = setting(0.0, SECONDS, "Close a client that was idle this long; 0 is never.")
    idle_transaction_timeout: float = setting(
        0.0, SECONDS, "Close a client idle in a transaction this long; 0 is never."
    )
    transaction_timeout: float = setting(0.0, SECONDS, "Longest transaction; 0 is no limit.")
    query_timeout: float = setting(
        0.0, SECONDS, "Longest query; 0 is no limit. Cut off in its COMMIT, a client hears 08007."
    )
    cancel_wait_timeout: float = setting(
        10.0, SECONDS, "Longest wait of a cancel request for a connection; 0 is no limit."
    )
    track_extra_parameters: tuple[str, ...] = setting(
        ("IntervalStyle",), NAMES, "Reported parameters kept per client, beyond the usual ones.", **_AT_START
    )
    ignore_startup_parameters: tuple[str, ...] = setting((), NAMES, "Startup parameters accepted and dropped.")
    max_packet_size: int = setting(INT_MAX, BYTES, "Largest message a client may send.", low=1024)
    gather_max_bytes: int = setting(
        256 * 2**20, BYTES, "Most bytes of rows that are copied between shards for one statement; 0 is no limit."
    )
    gather_max_total_bytes: int = setting(
        2**30, BYTES, "The same of all statements of one worker at a time; 0 is no limit."
    )
    memory_limit: int = setting(
        0, BYTES, "Memory of a process; nine tenths used, it refuses new clients (53200). 0 is what its cgroup allows."
    )
    application_name_add_host: bool = setting(False, BOOL, "Add the client's address to its application_name.")
    disable_pqexec: bool = setting(
        False,
        BOOL,
        "Close clients that use the simple protocol, whose messages may hold several queries.",
        **_AT_START,
    )
    drain_timeout: float = setting(0.0, SECONDS, "Longest wait for clients at shutdown; 0 is no limit.")

    # --- login
    auth_type: str = setting(
        "scram-sha-256",
        CHOICE,
        "How clients prove who they are. PgBouncer: md5.",
        choices=("trust", "plain", "md5", "scram-sha-256", "cert", "any", "hba", "ldap", "pam"),
    )
    auth_hba_file: str = setting(
        "", PATH, "File of who may log in from where and how, as pg_hba.conf; for auth_type hba."
    )
    auth_ldap_options: str = setting(
        "", SECRET, "Where and how users are found, for auth_type ldap: PostgreSQL's ldap… ."
    )
    auth_ident_file: str = setting("", PATH, "File of maps for its methods cert and peer, as pg_ident.conf.")
    auth_file: str = setting("", PATH, 'File of `"user" "secret"` lines.')
    auth_user: str = setting("", TEXT, "Who asks servers about users that are not in auth_file; empty is nobody.")
    auth_query: str = setting(
        AUTH_QUERY,
        TEXT,
        "What is asked: from a user's name, $1, to its name and secret; a NULL secret matches nothing.",
    )
    auth_dbname: str = setting("", TEXT, "Database in which that is asked; by default the one a client asks for.")
    admin_users: tuple[str, ...] = setting((), NAMES, "Users who may run every console command.")
    stats_users: tuple[str, ...] = setting(
        ("*",), NAMES, "Users who may read the console; `*` is everybody who can log in. PgBouncer: empty."
    )
    console_former_columns: bool = setting(
        False, BOOL, "SHOW STATS and DATABASES also have the columns total_requests and reserve_pool of old PgBouncers."
    )
    suspend_timeout: float = setting(
        10.0, SECONDS, "Longest wait of SUSPEND for what is being sent; who does not take it by then is closed."
    )
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

    zone: str = setting(
        "", TEXT, "Where this proxy is: of replicas, those of the same zone are read from first; empty is nowhere."
    )
    breaker_failures: int = setting(
        5, INT, "Failures of a server within breaker_window from which on it is left alone; 0 is never."
    )
    breaker_window: float = setting(10.0, SECONDS, "How long a failure of a server counts.", low=0.001)
    breaker_timeout: float = setting(5.0, SECONDS, "How long a server is left alone before it is tried again.")

    # --- log
    log_connections: bool = setting(True, BOOL, "Log every login.")
    log_disconnections: bool = setting(True, BOOL, "Log every client that leaves, and why.")
    log_pooler_errors: bool = setting(True, BOOL, "Log the errors that Trunkline itself sends to clients.")
    log_stats: bool = setting(True, BOOL, "Log one line of averages every stats_period.")
    stats_period: float = setting(60.0, SECONDS, "Period of the averages.", low=1)
    verbose: int = setting(0, INT, "More detail in the log, 0 to 3.", high=3)
    logfile: str = setting("", PATH, "File that gets the log too; a reload opens it anew.")
    syslog: bool = setting(False, BOOL, "Log to the system's log too.")
    syslog_ident: str = setting("trunkline", TEXT, "Name under which the system's log has us. PgBouncer: pgbouncer.")
    syslog_facility: str = setting("daemon", TEXT, "Facility under which the system's log has us.")

    # --- the process
    workers: int = setting(
        1,
        INT,
        "Processes that serve; more than one have a supervisor, and limits hold for all.",
        low=1,
        high=64,
        **_AT_START,
    )
    upgrade_timeout: float = setting(
        300.0,
        SECONDS,
        "How long clients may stay at a process that was replaced; then each leaves after its transaction.",
    )
    peer_id: int = setting(
        0, INT, "Number of this program among `peers`, which is in its cancel keys; 0 is none.", high=MAX_PEER
    )
    pidfile: str = setting("", PATH, "File with the number of the process, while there is one.", **_AT_START)
    user: str = setting("", TEXT, "User to become at start; empty stays who starts it.", **_AT_START)

    def may_read_console(self, user: str) -> bool:
        """Whether SHOW is for this user, who has logged in."""
        return user in self.admin_users or user in self.stats_users or "*" in self.stats_users
