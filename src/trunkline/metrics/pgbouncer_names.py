"""The metrics of PgBouncer's common exporter, by its names, so that its dashboards and alerts work unchanged.

They say what prometheus-community/pgbouncer_exporter 0.12 would say of our console: the rows of SHOW, under its names,
labels and units. Counters are summed up here, as SHOW STATS_TOTALS would take longer than the clients may be kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from trunkline.admin import columns
from trunkline.admin.columns import Columns
from trunkline.admin.probes import VERSION_LINE
from trunkline.admin.result import Row, Value
from trunkline.admin.show_clients import application_name, client_state
from trunkline.admin.show_pools import CONSOLE, database_names, show_databases, show_lists, show_pools
from trunkline.metrics import readings
from trunkline.metrics.families import Family, Kind
from trunkline.metrics.readings import Of, Read, Reading, Source, one
from trunkline.proxy.instance import Instance

_POOL = ("database", "user")
_DATABASE = ("name", "host", "port", "database", "force_user", "pool_mode")
_CLIENT = ("database", "user", "application_name", "state")


def _rows(rows_of: Callable[[Instance], Iterable[Row]], shown: Columns, labels: tuple[str, ...], column: str) -> Read:
    """One column of a SHOW command, for each of its rows."""
    places = {name: place for place, (name, _) in enumerate(shown)}
    at, label_places = places[column], [places[label] for label in labels]

    def read(source: Source) -> Iterator[Reading]:
        for row in islice(rows_of(source.instance), readings.MAX_POOLS):
            yield tuple(_text(row[place]) for place in label_places), _number(row[at])

    return read


def _number(value: Value) -> float:
    assert isinstance(value, int)
    return value


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _pools(name: str, column: str, help: str) -> Family:
    return Family(f"pgbouncer_pools_{name}", Kind.GAUGE, help, _POOL, _rows(show_pools, columns.POOLS, _POOL, column))


def _databases(column: str, help: str, shown_as: str = "") -> Family:
    read = _rows(show_databases, columns.DATABASES, _DATABASE, column)
    return Family(f"pgbouncer_databases_{shown_as or column}", Kind.GAUGE, help, _DATABASE, read)


def _lists(name: str, item: str, help: str) -> Family:
    def read(source: Source) -> Iterable[Reading]:
        yield from (((), _number(count)) for name, count in show_lists(source.instance) if name == item)

    return Family(f"pgbouncer_{name}", Kind.GAUGE, help, (), read)


def _totals(name: str, value: Of, help: str) -> Family:
    def read(source: Source) -> Iterable[Reading]:
        sums: Counter[str] = Counter()
        for pool in source.instance.pools:
            sums[pool.database] += value(pool)  # type: ignore[assignment]
        return [((database,), sums[database]) for database in database_names(source.instance)]

    return Family(f"pgbouncer_stats_totals_{name}", Kind.COUNTER, help, ("database",), read)


def _clients(source: Source) -> Iterable[Reading]:
    """Names of applications are the clients' choice: so many series are told, those of most clients."""
    found = Counter(
        (
            CONSOLE if link.session.kind == "console" else link.session.database,
            link.session.user,
            application_name(link.params),
            client_state(link),
        )
        for link in source.instance.clients
    )
    return found.most_common(readings.MAX_POOLS)


PGBOUNCER_FAMILIES = (
    Family("pgbouncer_up", Kind.GAUGE, "Always 1.", (), one(lambda source: 1)),
    Family(
        "pgbouncer_version_info",
        Kind.GAUGE,
        "Always 1; the version is in the label.",
        ("version",),
        lambda source: [((VERSION_LINE,), 1)],
    ),
    # --- SHOW LISTS
    _lists("databases", "databases", "Databases."),
    _lists("users", "users", "Users."),
    _lists("pools", "pools", "Pools."),
    _lists("free_clients", "free_clients", "Always 0: none is kept for reuse."),
    _lists("used_clients", "used_clients", "Clients."),
    _lists("login_clients", "login_clients", "Clients that log in."),
    _lists("free_servers", "free_servers", "Always 0: none is kept for reuse."),
    _lists("used_servers", "used_servers", "Server connections."),
    _lists("cached_dns_names", "dns_names", "Always 0: names are resolved by the system."),
    _lists("cached_dns_zones", "dns_zones", "Always 0: names are resolved by the system."),
    _lists("in_flight_dns_queries", "dns_queries", "Always 0: names are resolved by the system."),
    # --- SHOW CONFIG
    Family(
        "pgbouncer_config_max_client_connections",
        Kind.GAUGE,
        "max_client_conn.",
        (),
        one(lambda source: source.instance.config.settings.max_client_conn),
    ),
    Family(
        "pgbouncer_config_max_user_connections",
        Kind.GAUGE,
        "max_user_connections; 0 is no limit.",
        (),
        one(lambda source: source.instance.config.settings.max_user_connections),
    ),
    # --- SHOW CLIENTS
    Family("pgbouncer_client_connections", Kind.GAUGE, "Clients, by what they call themselves.", _CLIENT, _clients),
    # --- SHOW DATABASES
    _databases("pool_size", "pool_size in force; 0 is no limit."),
    _databases("reserve_pool_size", "reserve_pool_size in force.", "reserve_pool"),
    _databases("max_connections", "max_db_connections in force; 0 is no limit."),
    _databases("current_connections", "Server connections of a database."),
    _databases("paused", "1 while a database is paused."),
    _databases("disabled", "1 while a database is disabled."),
    # --- SHOW STATS_TOTALS
    _totals("server_assignments", lambda p: p.assignment_count, "Times that a client got a server."),
    _totals("sql_transactions_pooled", lambda p: p.xact_count, "Transactions that have ended."),
    _totals("queries_pooled", lambda p: p.query_count, "Queries that servers have answered."),
    _totals("received_bytes", lambda p: p.bytes_received, "Bytes received from clients."),
    _totals("sent_bytes", lambda p: p.bytes_sent, "Bytes sent to clients."),
    _totals("server_in_transaction_seconds", lambda p: p.xact_times.sum_s, "How long transactions were open in all."),
    _totals("queries_duration_seconds", lambda p: p.query_times.sum_s, "How long queries have run in all."),
    _totals("client_wait_seconds", lambda p: p.wait_times.sum_s, "How long clients got no server in all."),
    _totals("client_parses", lambda p: p.client_parse_count, "Prepared statements that clients made."),
    _totals("server_parses", lambda p: p.server_parse_count, "Prepared statements made on servers."),
    _totals("binds", lambda p: p.bind_count, "Prepared statements run."),
    # --- SHOW POOLS
    _pools("client_active_connections", "cl_active", "Clients that do not wait for a server."),
    _pools("client_waiting_connections", "cl_waiting", "Clients that wait for a server."),
    _pools("client_active_cancel_connections", "cl_active_cancel_req", "Always 0: cancels are no part of a pool."),
    _pools("client_waiting_cancel_connections", "cl_waiting_cancel_req", "Always 0: cancels wait for no pool."),
    _pools("server_active_connections", "sv_active", "Servers that clients have."),
    _pools("server_active_cancel_connections", "sv_active_cancel", "Always 0: cancels are no part of a pool."),
    _pools("server_being_canceled_connections", "sv_being_canceled", "Servers that a cancel is on its way to."),
    _pools("server_idle_connections", "sv_idle", "Servers that are free."),
    _pools("server_used_connections", "sv_used", "Always 0: idle servers count as idle, however long."),
    _pools("server_testing_connections", "sv_tested", "Servers that are tested or reset."),
    _pools("server_login_connections", "sv_login", "Servers that are being opened."),
    _pools("client_maxwait_seconds", "maxwait", "How long the first client in line has waited, in whole seconds."),
)
