"""The one table of metrics: name, type, labels, what it means, and how it is read.

What is served and docs/metrics.md are derived from it. Rules:
1. Units are seconds and bytes, and the name ends with the unit.
2. A counter never falls while its series lives; a series ends with its pool (of routed statements, with the list of
   shards), and one that comes again begins at 0.
3. Nothing is counted for the sake of a metric on the way of a query: what is read here is there anyway.
4. The bounds of histograms are powers of two microseconds, where what is counted is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trunkline.log_handlers import lines_dropped
from trunkline.metrics import readings as read
from trunkline.metrics.readings import POOL, SERVER, Read, Reading, Source
from trunkline.pool.latencies import waits_of
from trunkline.pool.read_counts import reads_at
from trunkline.pool.topology import State
from trunkline.protocol.messages import errors_told

_UNITS = ("seconds", "bytes")


class Kind(StrEnum):
    """Prometheus's types, as far as there are any."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    readings: Read

    @property
    def unit(self) -> str:
        last = self.name.rpartition("_")[2]
        return last if last in _UNITS else ""

    @property
    def shown_name(self) -> str:
        """The name of its series."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name

    def read(self, source: Source) -> Iterable[Reading]:
        return self.readings(source)


def _gauge(name: str, help: str, readings: Read, labels: tuple[str, ...] = ()) -> Family:
    return Family(f"trunkline_{name}", Kind.GAUGE, help, labels, readings)


def _counter(name: str, help: str, readings: Read, labels: tuple[str, ...] = ()) -> Family:
    return Family(f"trunkline_{name}", Kind.COUNTER, help, labels, readings)


def _histogram(name: str, help: str, readings: Read) -> Family:
    return Family(f"trunkline_{name}", Kind.HISTOGRAM, help, POOL, readings)


_DATABASE = ("database",)

FAMILIES = (
    # --- the process
    _gauge("build_info", "Always 1; the version is in the labels.", read.build_info, ("version", "python")),
    _gauge(
        "event_loop_lag_seconds",
        "Longest delay of the event loop in the last 30 to 60 seconds.",
        read.one(lambda s: s.lag.longest_s),
    ),
    _gauge(
        "pools",
        f"Pools, also beyond the {read.MAX_POOLS} that are told.",
        read.one(lambda s: sum(1 for _ in s.instance.pools)),
    ),
    _gauge(
        "max_client_connections", "max_client_conn.", read.one(lambda s: s.instance.config.settings.max_client_conn)
    ),
    _gauge("login_clients", "Clients that log in.", read.one(lambda s: len(s.instance.clients.logging_in))),
    _gauge("console_clients", "Clients of the console.", read.one(lambda s: len(s.instance.clients.consoles))),
    _counter(
        "client_errors",
        "Clients that were refused or ended, by the code of the error; TL02 are failed logins.",
        read.of_each(lambda s: s.instance.clients.refusals),
        ("reason",),
    ),
    _counter(
        "errors_told",
        "Errors of our own that clients were told, by SQLSTATE; those of servers are passed on and not counted.",
        read.of_each(lambda s: errors_told),
        ("sqlstate",),
    ),
    _counter(
        "log_lines_dropped",
        "Lines of the log that could not be written at once, by where to: a full disk, or a reader that is stuck.",
        read.of_each(lambda s: lines_dropped),
        ("target",),
    ),
    _counter(
        "cancel_requests",
        "Cancel requests: accepted, with a wrong key, or ignored after too many of those.",
        read.of_each(lambda s: s.instance.clients.cancels.counts),
        ("outcome",),
    ),
    # --- pools, now
    _gauge(
        "clients",
        "Clients in a pool: waiting for a server, or not.",
        read.by_pool_and(read.CLIENT_STATES),
        (*POOL, "state"),
    ),
    _gauge("servers", "Server connections of a pool.", read.by_pool_and(read.SERVER_STATES), (*POOL, "state")),
    _gauge(
        "maxwait_seconds",
        "How long the first client in line has waited.",
        lambda s: ((read.labels_of(pool), pool.oldest_wait(s.instance.pools.now)) for pool in s.pools),
        POOL,
    ),
    _gauge(
        "pool_in_trouble",
        "1 while servers of a pool cannot be opened.",
        read.by_pool(lambda pool: pool.trouble is not None),
        POOL,
    ),
    _gauge(
        "pool_saturation_ratio",
        "Servers that clients have, of pool_size; 0 where there is no limit.",
        read.by_pool(lambda p: len(p.active) / p.settings.pool_size if p.settings.pool_size else 0),
        POOL,
    ),
    _gauge("pool_size", "pool_size in force; 0 is no limit.", read.by_pool(lambda p: p.settings.pool_size), POOL),
    _gauge("pool_min_size", "min_pool_size in force.", read.by_pool(lambda p: p.settings.min_pool_size), POOL),
    _gauge(
        "pool_reserve_size", "reserve_pool_size in force.", read.by_pool(lambda p: p.settings.reserve_pool_size), POOL
    ),
    # --- pools, since start
    _counter("queries", "Queries that servers have answered.", read.by_pool(lambda p: p.query_count), POOL),
    _counter("transactions", "Transactions that have ended.", read.by_pool(lambda p: p.xact_count), POOL),
    _counter("logins", "Clients that have logged in.", read.by_pool(lambda p: p.login_count), POOL),
    _counter(
        "server_assignments", "Times that a client got a server.", read.by_pool(lambda p: p.assignment_count), POOL
    ),
    _counter("received_bytes", "Bytes received from clients.", read.by_pool(lambda p: p.bytes_received), POOL),
    _counter("sent_bytes", "Bytes sent to clients.", read.by_pool(lambda p: p.bytes_sent), POOL),
    _histogram("query_duration_seconds", "How long queries have run.", read.by_pool_times(lambda p: p.query_times)),
    _histogram(
        "transaction_duration_seconds", "How long transactions were open.", read.by_pool_times(lambda p: p.xact_times)
    ),
    _histogram("client_wait_duration_seconds", "How long clients got no server.", read.by_pool_times(waits_of)),
    _counter(
        "client_parses", "Prepared statements that clients made.", read.by_pool(lambda p: p.client_parse_count), POOL
    ),
    _counter(
        "server_parses", "Prepared statements made on servers.", read.by_pool(lambda p: p.server_parse_count), POOL
    ),
    _counter("binds", "Prepared statements run.", read.by_pool(lambda p: p.bind_count), POOL),
    _counter(
        "pins", "Times that a client began to keep its server, by why (SHOW PIN_COUNTS).", read.pins, (*POOL, "reason")
    ),
    # --- databases
    _gauge(
        "database_clients",
        "Clients of a database, over all users and shards.",
        read.by_database(lambda instance, name: instance.clients.databases[name]),
        _DATABASE,
    ),
    _gauge(
        "database_max_client_connections",
        "max_db_client_connections in force; 0 is no limit.",
        read.limit_of(lambda settings: settings.max_db_client_connections),
        _DATABASE,
    ),
    _gauge(
        "database_max_server_connections",
        "max_db_connections in force, of each shard if there are any; 0 is no limit.",
        read.limit_of(lambda settings: settings.max_db_connections),
        _DATABASE,
    ),
    _gauge("database_paused", "1 while a database is paused.", read.by_database(read.is_paused), _DATABASE),
    # --- databases with replicas
    _gauge(
        "replica_up",
        "1 for a server of SHOW REPLICAS that is believed to be what it says that it is.",
        read.by_server(lambda watch, member: member.state is State.UP),
        SERVER,
    ),
    _gauge(
        "replica_is_primary",
        "1 for the server that is believed to be the primary.",
        read.by_server(lambda watch, member: member is watch.topology.primary),
        SERVER,
    ),
    _gauge(
        "replica_lag_seconds",
        "How long a replica was behind the primary at its last check.",
        read.by_server(read.lag_seconds),
        SERVER,
    ),
    _gauge("replica_lag_bytes", "And by how much.", read.by_server(read.lag_bytes), SERVER),
    _gauge(
        "replica_breaker_state",
        "A server's circuit breaker: 0 is closed, 1 half-open, 2 open.",
        read.by_server(read.breaker_state),
        SERVER,
    ),
    _counter(
        "replica_reads",
        "Queries that a server has answered as a replica, of all users.",
        read.by_server(lambda watch, member: reads_at(watch, member.name).answered),
        SERVER,
    ),
    _counter(
        "failovers", "Times that another server than before was the primary.", read.failovers, ("database", "shard")
    ),
    # --- databases with shards
    _counter(
        "routed_statements",
        "Statements by what became of them and the shard, empty for none (SHOW ROUTE_COUNTS).",
        read.statements,
        ("database", "shard", "outcome"),
    ),
    _gauge(
        "plan_cache_entries", "Templates whose plan is known.", read.by_router(lambda r: r.cache.entries), _DATABASE
    ),
    _gauge("plan_cache_bytes", "Memory of the plans.", read.by_router(lambda r: r.cache.used_bytes), _DATABASE),
    _counter("plan_cache_hits", "Plans that were found.", read.by_router(lambda r: r.cache.hits), _DATABASE),
    _counter("plan_cache_misses", "Plans that had to be made.", read.by_router(lambda r: r.cache.misses), _DATABASE),
    _counter(
        "plan_cache_evictions", "Plans given up for others.", read.by_router(lambda r: r.cache.evictions), _DATABASE
    ),
    _gauge(
        "transactions_in_doubt",
        "Transactions that are prepared at a shard and not ended (SHOW TRANSACTIONS).",
        read.by_coordination(lambda one: len(one.recovery.doubts)),
        _DATABASE,
    ),
    _gauge(
        "transaction_in_doubt_seconds",
        "Age of the oldest of them.",
        read.by_coordination(lambda one: max((doubt.age_s for doubt in one.recovery.doubts), default=0)),
        _DATABASE,
    ),
    _counter(
        "cross_shard_deadlocks",
        "Deadlocks over several shards that were ended.",
        read.by_coordination(lambda one: one.deadlocks.found),
        _DATABASE,
    ),
    _gauge(
        "schema_differences",
        "Differences between the shards' schemas and the rules (SHOW DRIFT).",
        read.differences,
        _DATABASE,
    ),
)
