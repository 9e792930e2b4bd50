"""The columns of every SHOW command, once: names, order and types are PgBouncer's: monitors read by position.

Nothing is ever added to one of these; what PgBouncer does not have gets a command of its own.
"""

from __future__ import annotations

from typing import TypeAlias

from trunkline.protocol.messages import BYTEA, INT4, INT8, NUMERIC, TEXT

Column: TypeAlias = tuple[str, int]
Columns: TypeAlias = tuple[Column, ...]


def _of(oid: int, names: str) -> Columns:
    return tuple((name, oid) for name in names.split())


CONFIG = _of(TEXT, "key value default changeable")
VERSION = _of(TEXT, "version")
STATE = _of(TEXT, "key value")
WORKERS = _of(INT4, "worker pid") + _of(TEXT, "state") + _of(INT4, "clients") + _of(TEXT, "start_time")
LISTS = _of(TEXT, "list") + _of(INT4, "items")

POOLS = (
    _of(TEXT, "database user")
    + _of(INT4, "cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req")
    + _of(INT4, "sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us")
    + _of(TEXT, "pool_mode load_balance_hosts")
)

DATABASES = (
    _of(TEXT, "name host")
    + _of(INT4, "port")
    + _of(TEXT, "database force_user")
    + _of(INT4, "pool_size min_pool_size reserve_pool_size server_lifetime")
    + _of(TEXT, "pool_mode load_balance_hosts")
    + _of(INT4, "max_connections current_connections max_client_connections current_client_connections")
    + _of(INT4, "paused disabled")
)

USERS = _of(TEXT, "name pool_size reserve_pool_size pool_mode") + _of(
    INT4, "max_user_connections current_connections max_user_client_connections current_client_connections"
)

SOCKETS = (
    _of(TEXT, "type user database replication state addr")
    + _of(INT4, "port")
    + _of(TEXT, "local_addr")
    + _of(INT4, "local_port")
    + _of(TEXT, "connect_time request_time")
    + _of(INT4, "wait wait_us close_needed")
    + _of(TEXT, "ptr link")
    + _of(INT4, "remote_pid")
    + _of(TEXT, "tls application_name")
    + _of(INT4, "prepared_statements id")
)
"""SHOW CLIENTS and SHOW SERVERS."""

SOCKET_DETAILS = SOCKETS + _of(INT4, "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail")
"""SHOW SOCKETS and SHOW ACTIVE_SOCKETS."""

FDS = (
    _of(INT4, "fd")
    + _of(TEXT, "task user database addr")
    + _of(INT4, "port")
    + _of(INT8, "cancel")
    + _of(INT4, "link")
    + _of(TEXT, "client_encoding std_strings datestyle timezone password")
    + _of(BYTEA, "scram_client_key scram_server_key")
)
MEM = _of(TEXT, "name") + _of(INT4, "size used free memtotal")
DNS_HOSTS = _of(TEXT, "hostname") + _of(INT8, "ttl") + _of(TEXT, "addrs")
DNS_ZONES = _of(TEXT, "zonename") + _of(INT8, "serial") + _of(INT4, "count")
PEERS = _of(INT4, "peer_id") + _of(TEXT, "host") + _of(INT4, "port pool_size")
PEER_POOLS = _of(INT4, "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login")

LATENCIES = _of(TEXT, "database kind") + _of(NUMERIC, "count p50_us p90_us p95_us p99_us p99_9_us max_us")

LISTENERS = _of(TEXT, "database host") + _of(INT4, "port server_pid") + _of(TEXT, "channel") + _of(INT4, "clients")
PINS = _of(TEXT, "database user addr") + _of(INT4, "port") + _of(TEXT, "reasons") + _of(INT4, "pinned_s server_pid id")
PIN_COUNTS = _of(TEXT, "database user reason") + _of(NUMERIC, "pinned")

SHARDS = (
    _of(TEXT, "database shard host")
    + _of(INT4, "port")
    + _of(TEXT, "dbname")
    + _of(INT4, "home buckets sv_active sv_idle servers cl_waiting")
)
TABLES = _of(TEXT, "database table kind key method group shards")
REPLICAS = (
    _of(TEXT, "database shard host")
    + _of(INT4, "port")
    + _of(TEXT, "role state")
    + _of(INT4, "timeline")
    + _of(TEXT, "lsn")
    + _of(NUMERIC, "lag_ms lag_bytes seen_ms")
    + _of(TEXT, "error breaker")
    + _of(INT4, "failures weight")
    + _of(TEXT, "zone")
    + _of(NUMERIC, "in_flight reads")
)
DIRECTORIES = _of(TEXT, "database directory tables") + _of(INT4, "entries absent readings age pid")
TRANSACTIONS = _of(TEXT, "database name state shards user") + _of(INT4, "age_s") + _of(TEXT, "waits_for")
QUERIES = (
    _of(TEXT, "database user addr")
    + _of(INT4, "port")
    + _of(TEXT, "state shards")
    + _of(INT8, "bytes max_bytes age_ms")
    + _of(TEXT, "statement")
    + _of(INT4, "id")
)
JOBS = (
    _of(INT8, "id") + _of(TEXT, "database user statement shard state") + _of(INT4, "tries") + _of(TEXT, "error since")
)
DRIFT = _of(TEXT, "database shard kind name difference")
ROUTES = _of(TEXT, "database template route reason shards") + _of(NUMERIC, "calls query_time")
ROUTE_COUNTS = _of(TEXT, "database outcome shard") + _of(NUMERIC, "statements")
ROUTE_CACHES = _of(TEXT, "database") + _of(NUMERIC, "templates bytes hits misses evictions")

STATS_TOTALS = _of(TEXT, "database") + _of(
    NUMERIC,
    "server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time "
    "client_parse_count server_parse_count bind_count client_login_count",
)

# PgBouncer names four of these differently from the others; dashboards know them so.
STATS_AVERAGES = _of(TEXT, "database") + _of(
    NUMERIC,
    "server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time "
    "avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count",
)

_COUNTED = (
    "server_assignment_count xact_count query_count {0} {1} xact_time query_time wait_time "
    "client_parse_count server_parse_count bind_count client_login_count"
)


def _with(prefix: str, names: str) -> str:
    return " ".join(prefix + name for name in names.split())


STATS = (
    _of(TEXT, "database")
    + _of(NUMERIC, _with("total_", _COUNTED.format("received", "sent")))
    + _of(NUMERIC, _with("avg_", _COUNTED.format("recv", "sent")))
)

TOTALS = _of(TEXT, "name") + _of(NUMERIC, "value")
