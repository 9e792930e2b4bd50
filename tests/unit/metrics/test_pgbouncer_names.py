"""The exporter's metrics: its names and labels to the letter, and what SHOW says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from trunkline.admin import columns
from trunkline.admin.result import Row
from trunkline.admin.show_pools import show_databases, show_pools
from trunkline.admin.show_stats import show_stats_totals
from trunkline.metrics import readings
from trunkline.metrics.exposition import exposition
from trunkline.metrics.families import Family, Kind
from trunkline.metrics.pgbouncer_names import PGBOUNCER_FAMILIES
from trunkline.metrics.readings import Source, Times
from trunkline.proxy.instance import Instance

# As pgbouncer_exporter 0.12.1 serves them: name of the series, type, labels in alphabetical order.
SERVED = """
pgbouncer_client_connections gauge application_name database state user
pgbouncer_config_max_client_connections gauge
pgbouncer_config_max_user_connections gauge
pgbouncer_cached_dns_names gauge
pgbouncer_cached_dns_zones gauge
pgbouncer_databases gauge
pgbouncer_databases_current_connections gauge database force_user host name pool_mode port
pgbouncer_databases_disabled gauge database force_user host name pool_mode port
pgbouncer_databases_max_connections gauge database force_user host name pool_mode port
pgbouncer_databases_paused gauge database force_user host name pool_mode port
pgbouncer_databases_pool_size gauge database force_user host name pool_mode port
pgbouncer_databases_reserve_pool gauge database force_user host name pool_mode port
pgbouncer_free_clients gauge
pgbouncer_free_servers gauge
pgbouncer_in_flight_dns_queries gauge
pgbouncer_login_clients gauge
pgbouncer_pools gauge
pgbouncer_pools_client_active_cancel_connections gauge database user
pgbouncer_pools_client_active_connections gauge database user
pgbouncer_pools_client_maxwait_seconds gauge database user
pgbouncer_pools_client_waiting_cancel_connections gauge database user
pgbouncer_pools_client_waiting_connections gauge database user
pgbouncer_pools_server_active_cancel_connections gauge database user
pgbouncer_pools_server_active_connections gauge database user
pgbouncer_pools_server_being_canceled_connections gauge database user
pgbouncer_pools_server_idle_connections gauge database user
pgbouncer_pools_server_login_connections gauge database user
pgbouncer_pools_server_testing_connections gauge database user
pgbouncer_pools_server_used_connections gauge database user
pgbouncer_stats_totals_binds_total counter database
pgbouncer_stats_totals_client_parses_total counter database
pgbouncer_stats_totals_client_wait_seconds_total counter database
pgbouncer_stats_totals_queries_duration_seconds_total counter database
pgbouncer_stats_totals_queries_pooled_total counter database
pgbouncer_stats_totals_received_bytes_total counter database
pgbouncer_stats_totals_sent_bytes_total counter database
pgbouncer_stats_totals_server_assignments_total counter database
pgbouncer_stats_totals_server_in_transaction_seconds_total counter database
pgbouncer_stats_totals_server_parses_total counter database
pgbouncer_stats_totals_sql_transactions_pooled_total counter database
pgbouncer_up gauge
pgbouncer_used_clients gauge
pgbouncer_used_servers gauge
pgbouncer_users gauge
pgbouncer_version_info gauge version
"""
COUNTED = {
    "server_assignments": "server_assignment_count",
    "sql_transactions_pooled": "xact_count",
    "queries_pooled": "query_count",
    "received_bytes": "bytes_received",
    "sent_bytes": "bytes_sent",
    "client_parses": "client_parse_count",
    "server_parses": "server_parse_count",
    "binds": "bind_count",
}


def value_of(source: Source, name: str, *labels: str) -> float:
    (family,) = (family for family in PGBOUNCER_FAMILIES if family.name == f"pgbouncer_{name}")
    value = dict(family.read(source))[labels]
    assert not isinstance(value, Times)
    return value


def test_names_types_and_labels_are_the_exporter_s() -> None:
    served = [" ".join((f.shown_name, f.kind, *sorted(f.labels))) for f in PGBOUNCER_FAMILIES]
    assert sorted(served) == sorted(SERVED.strip().splitlines())


@pytest.fixture
async def used(instance: Instance) -> Instance:
    for number, user in enumerate(("ann", "bob"), 1):
        pool = instance.pools.pool("app", user)
        pool.assignment_count, pool.xact_count, pool.query_count = number, 2 * number, 3 * number
        pool.bytes_received, pool.bytes_sent, pool.bind_count = 4 * number, 5 * number, 6 * number
        pool.client_parse_count, pool.server_parse_count = 7 * number, 8 * number
        pool.query_times.note(0.5 * number)
    return instance


def as_dicts(rows: list[Row], shown: columns.Columns) -> list[dict[str, object]]:
    return [dict(zip((name for name, _ in shown), row, strict=True)) for row in rows]


async def test_totals_are_those_of_show_in_seconds_over_all_users(used: Instance, source: Source) -> None:
    (row,) = (r for r in as_dicts(list(show_stats_totals(used)), columns.STATS_TOTALS) if r["database"] == "app")
    for name, column in COUNTED.items():
        assert value_of(source, f"stats_totals_{name}", "app") == row[column] != 0
    assert value_of(source, "stats_totals_queries_duration_seconds", "app") == pytest.approx(1.5)
    assert value_of(source, "stats_totals_queries_pooled", "shop") == 0


async def test_pools_and_databases_are_those_of_show_the_console_included(used: Instance, source: Source) -> None:
    pools = as_dicts(list(show_pools(used)), columns.POOLS)
    assert {(row["database"], row["user"]) for row in pools} == {
        ("app", "ann"), ("app", "bob"), ("pgbouncer", "pgbouncer"),
    }  # fmt: skip
    for row in pools:
        assert value_of(source, "pools_server_idle_connections", row["database"], row["user"]) == row["sv_idle"]  # type: ignore[arg-type]
    for row in as_dicts(list(show_databases(used)), columns.DATABASES):
        shown = (row[name] for name in ("name", "host", "port", "database", "force_user", "pool_mode"))
        labels = tuple("" if value is None else str(value) for value in shown)
        assert value_of(source, "databases_pool_size", *labels) == row["pool_size"]
    used.pools.paused.add("app")
    assert value_of(source, "databases_paused", "app", "h", "5432", "app", "", "") == 1


async def test_lists_and_limits_are_numbers_without_labels(used: Instance, source: Source) -> None:
    assert (value_of(source, "pools"), value_of(source, "used_clients")) == (3, 0)
    assert value_of(source, "config_max_client_connections") == 10000


async def test_only_so_many_rows_are_told(used: Instance, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MAX_POOLS", 1)
    (family,) = (f for f in PGBOUNCER_FAMILIES if f.name == "pgbouncer_pools_server_idle_connections")
    assert [labels for labels, _ in family.read(source)] == [("app", "ann")]


async def test_both_formats_have_them_unless_they_are_not_wanted(used: Instance, source: Source) -> None:
    def text() -> str:
        return b"".join(exposition(source, "application/openmetrics-text; version=1.0.0")[1]).decode()

    found = {family.name for family in text_string_to_metric_families(text())}
    # Nobody is connected, so there is no client to tell of.
    assert {f.name for f in PGBOUNCER_FAMILIES} - found == {"pgbouncer_client_connections"}
    settings = replace(used.config.settings, metrics_pgbouncer_names=False)
    used.config = replace(used.config, settings=settings)
    assert "pgbouncer" not in text()


@pytest.mark.parametrize("family", PGBOUNCER_FAMILIES, ids=lambda family: family.name)
def test_a_family_has_a_sentence_and_is_no_histogram(family: Family) -> None:
    assert family.help.endswith(".") and "|" not in family.help
    assert family.kind is not Kind.HISTOGRAM
