"""All settings of PgBouncer's file: how it reads each, its default, and what becomes of those that we do not have.

A setting of ours with the same name is simply set. The others are in ``IGNORED``: they have no meaning here, which is
told with the reason unless the value is the default, or empty.
"""

from __future__ import annotations

from collections.abc import Mapping

INTEGERS: Mapping[str, str] = {
    "application_name_add_host": "0",
    "default_pool_size": "20",
    "disable_pqexec": "0",
    "listen_backlog": "128",
    "listen_port": "6432",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_pooler_errors": "1",
    "log_stats": "1",
    "max_client_conn": "100",
    "max_db_client_connections": "0",
    "max_db_connections": "0",
    "max_packet_size": "2147483647",
    "max_prepared_statements": "200",
    "max_user_client_connections": "0",
    "max_user_connections": "0",
    "min_pool_size": "0",
    "peer_id": "0",
    "pkt_buf": "4096",
    "query_wait_notify": "5",
    "reserve_pool_size": "0",
    "sbuf_loopcnt": "5",
    "scram_iterations": "4096",
    "server_fast_close": "0",
    "server_reset_query_always": "0",
    "server_round_robin": "0",
    "so_reuseport": "0",
    "stats_period": "60",
    "syslog": "0",
    "tcp_defer_accept": "1",
    "tcp_keepalive": "1",
    "tcp_keepcnt": "0",
    "tcp_keepidle": "0",
    "tcp_keepintvl": "0",
    "tcp_socket_buffer": "0",
    "tcp_user_timeout": "0",
    "unix_socket_mode": "0777",
    "verbose": "0",
}
SECONDS: Mapping[str, str] = {
    "autodb_idle_timeout": "3600",
    "cancel_wait_timeout": "10",
    "client_idle_timeout": "0",
    "client_login_timeout": "60",
    "dns_max_ttl": "15",
    "dns_nxdomain_ttl": "15",
    "dns_zone_check_period": "0",
    "idle_transaction_timeout": "0",
    "pool_idle_timeout": "0",
    "query_timeout": "0",
    "query_wait_timeout": "120",
    "reserve_pool_timeout": "5",
    "server_check_delay": "30",
    "server_connect_timeout": "15",
    "server_idle_timeout": "600",
    "server_lifetime": "3600",
    "server_login_retry": "15",
    "suspend_timeout": "10",
    "transaction_timeout": "0",
}
WORDS: Mapping[str, str] = {
    "auth_type": "md5",
    "client_tls_sslmode": "disable",
    "pool_mode": "session",
    "server_tls_sslmode": "prefer",
}
"""Case does not matter in these."""
LISTS: Mapping[str, str] = {
    "admin_users": "",
    "ignore_startup_parameters": "",
    "stats_users": "",
    "track_extra_parameters": "IntervalStyle",
}
TEXTS: Mapping[str, str] = {
    "auth_dbname": "",
    "auth_file": "",
    "auth_hba_file": "",
    "auth_ident_file": "",
    "auth_ldap_options": "",
    "auth_query": "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END"
    " FROM pg_authid WHERE rolname=$1 AND rolcanlogin",
    "auth_user": "",
    "client_tls13_ciphers": "",
    "client_tls_ca_file": "",
    "client_tls_cert_file": "",
    "client_tls_ciphers": "default",
    "client_tls_dheparams": "auto",
    "client_tls_ecdhcurve": "auto",
    "client_tls_key_file": "",
    "client_tls_protocols": "secure",
    "conffile": "",
    "job_name": "pgbouncer",
    "listen_addr": "",
    "login_notify_message": "",
    "logfile": "",
    "pidfile": "",
    "resolv_conf": "",
    "server_check_query": "<empty>",
    "server_reset_query": "DISCARD ALL",
    "server_tls13_ciphers": "",
    "server_tls_ca_file": "",
    "server_tls_cert_file": "",
    "server_tls_ciphers": "default",
    "server_tls_key_file": "",
    "server_tls_protocols": "secure",
    "service_name": "",
    "syslog_facility": "daemon",
    "syslog_ident": "pgbouncer",
    "unix_socket_dir": "/tmp",
    "unix_socket_group": "",
    "user": "",
}
DEFAULTS: Mapping[str, str] = {**INTEGERS, **SECONDS, **WORDS, **LISTS, **TEXTS}
OURS_HOLD = frozenset(("auth_query",))
"""Defaults that say the same, but better: the names in this query are qualified."""
# A second [pgbouncer] header sets everything back, but for what has no default.
KEPT_BY_A_SECOND_HEADER = frozenset(
    "auth_dbname auth_file auth_ident_file auth_ldap_options auth_user client_tls13_ciphers "  # noqa: SIM905
    "conffile server_tls13_ciphers user verbose".split()
)

IGNORED: Mapping[str, str] = {
    "autodb_idle_timeout": "a database that `*` stands for costs nothing while nobody uses it",
    "client_tls_dheparams": "OpenSSL chooses the parameters",
    "client_tls_ecdhcurve": "OpenSSL chooses the curve",
    "conffile": "a reload reads the file that was given on the command line",
    "dns_nxdomain_ttl": "a name that was not found is looked up again when a server is needed",
    "dns_zone_check_period": "names of servers in use are looked up again after dns_max_ttl",
    "job_name": "it names a service of Windows",
    "pkt_buf": "the process has one buffer, which fits what arrives",
    "pool_idle_timeout": "an idle pool costs nothing but its line in SHOW POOLS",
    "resolv_conf": "names are looked up as the system does it",
    "sbuf_loopcnt": "every socket gets its turn after one read",
    "service_name": "it names a service of Windows",
}
