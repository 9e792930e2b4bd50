"""A Grafana dashboard over our metrics: a table of panels, made into what Grafana imports.

Selectors are not written here: `{}` behind a metric is filled by the labels that the table of metrics gives it, and a
panel's description is what that table says of its first metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trunkline.metrics.families import FAMILIES, Family, Kind

_WIDTH, _COLUMNS, _HEIGHT = 24, 3, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SELECTOR = re.compile(r"\b(trunkline_\w+)\{([^}]*)\}")
_FILTERS = ("instance", "database")
"""Variables of the dashboard; every series has an instance, which the scraper adds."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it shows, in Grafana's name of a unit, and each of its expressions with its legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _quantile(share: str, metric: str) -> tuple[str, str]:
    rates = f"sum by (le, database) (rate(trunkline_{metric}_bucket{{}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {rates})", f"{{{{database}}}} p{float(share) * 100:g}"


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    return _quantile("0.5", metric), _quantile("0.95", metric), _quantile("0.99", metric)


def _rate(metric: str, *by: str) -> tuple[str, str]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return f"sum by ({', '.join(by)}) (rate(trunkline_{metric}_total{{}}[$__rate_interval]))", legend


def _sum(metric: str, *by: str) -> tuple[str, str]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return f"sum by ({', '.join(by)}) (trunkline_{metric}{{}})", legend


def _max(metric: str, *by: str) -> tuple[str, str]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return f"max by ({', '.join(by)}) (trunkline_{metric}{{}})", legend


def _of_process(usual: str) -> tuple[str, str]:
    """Of a metric that every process has: those of Trunkline."""
    return f"{usual} and on (instance, job) trunkline_build_info{{}}", "{{instance}}"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Traffic",
        (
            Panel("Queries", "reqps", (_rate("queries", "database"),)),
            Panel("Transactions", "reqps", (_rate("transactions", "database"),)),
            Panel("Bytes", "Bps", (_rate("received_bytes", "database"), _rate("sent_bytes", "database"))),
        ),
    ),
    (
        "Clients and servers",
        (
            Panel("Clients", "short", (_sum("clients", "database", "state"),)),
            Panel("Servers", "short", (_sum("servers", "database", "state"),)),
            Panel("Saturation of pools", "percentunit", (_max("pool_saturation_ratio", "database", "shard", "user"),)),
            Panel("Longest wait", "s", (_max("maxwait_seconds", "database", "shard", "user"),)),
            Panel("Pools in trouble", "short", (_sum("pool_in_trouble", "database", "shard", "user"),)),
            Panel("Clients of all", "short", (_sum("database_clients", "instance"), _sum("login_clients", "instance"))),
        ),
    ),
    (
        "Latency",
        (
            Panel("Queries", "s", _quantiles("query_duration_seconds")),
            Panel("Transactions", "s", _quantiles("transaction_duration_seconds")),
            Panel("Waits for a server", "s", _quantiles("client_wait_duration_seconds")),
        ),
    ),
    (
        "Errors and what holds servers",
        (
            Panel("Errors told", "reqps", (_rate("errors_told", "sqlstate"),)),
            Panel("Clients refused or ended", "reqps", (_rate("client_errors", "reason"),)),
            Panel("Cancels", "reqps", (_rate("cancel_requests", "outcome"),)),
            Panel("Pins", "reqps", (_rate("pins", "database", "reason"),)),
            Panel("Prepared on servers", "reqps", (_rate("server_parses", "database"),)),
            Panel("Logins", "reqps", (_rate("logins", "database"),)),
        ),
    ),
    (
        "Replicas",
        (
            Panel("Lag", "s", (_max("replica_lag_seconds", "database", "shard", "host", "port"),)),
            Panel("Reads", "reqps", (_rate("replica_reads", "database", "shard", "host", "port"),)),
            Panel("Up", "short", (_max("replica_up", "database", "shard", "host", "port"),)),
            Panel("Circuit breakers", "short", (_max("replica_breaker_state", "database", "shard", "host", "port"),)),
            Panel("Failovers", "short", (_sum("failovers_total", "database", "shard"),)),
        ),
    ),
    (
        "Shards",
        (
            Panel("Statements by shard", "reqps", (_rate("routed_statements", "database", "shard"),)),
            Panel("Statements by outcome", "reqps", (_rate("routed_statements", "database", "outcome"),)),
            Panel("Plans made", "reqps", (_rate("plan_cache_misses", "database"),)),
            Panel("Differences of schemas", "short", (_max("schema_differences", "database"),)),
            Panel("Transactions in doubt", "short", (_max("transactions_in_doubt", "database"),)),
            Panel("Deadlocks over shards", "short", (_sum("cross_shard_deadlocks_total", "database"),)),
        ),
    ),
    (
        "Process",
        (
            Panel("Event loop lag", "s", (_max("event_loop_lag_seconds", "instance"),)),
            Panel("CPU", "percentunit", (_of_process("rate(process_cpu_seconds_total[$__rate_interval])"),)),
            Panel("Memory", "bytes", (_of_process("process_resident_memory_bytes"),)),
        ),
    ),
)


def dashboard() -> str:
    """What Grafana's "Import dashboard" takes."""
    board = {
        "title": "Trunkline",
        "uid": "trunkline",
        "tags": ["trunkline", "postgresql"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }
    return json.dumps(board, indent=2) + "\n"


def families_of(expression: str) -> Iterator[Family]:
    """The metrics of ours that an expression names, as the table has them; KeyError for one that it has not."""
    for name in re.findall(r"\btrunkline_\w+", expression):
        yield _BY_SERIES[name]


def _series() -> Iterator[tuple[str, Family]]:
    for family in FAMILIES:
        if family.kind is Kind.HISTOGRAM:
            yield from ((f"{family.name}_{part}", family) for part in ("bucket", "sum", "count"))
        else:
            yield family.shown_name, family


_BY_SERIES = dict(_series())


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus"}
    for name, metric in (("instance", "trunkline_build_info"), ("database", "trunkline_database_clients")):
        yield {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({metric}, {name})",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for title, panels in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}}
        top += 1
        for place, panel in enumerate(panels):
            number += 1
            at = {
                "x": place % _COLUMNS * (_WIDTH // _COLUMNS),
                "y": top + place // _COLUMNS * _HEIGHT,
                "w": _WIDTH // _COLUMNS,
                "h": _HEIGHT,
            }
            yield _panel(number, panel, at)
        top += -(-len(panels) // _COLUMNS) * _HEIGHT


def _panel(number: int, panel: Panel, at: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": next(families_of(panel.queries[0][0])).help,
        "datasource": _SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": _SELECTOR.sub(_selected, expression), "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _selected(found: re.Match[str]) -> str:
    name, written = found[1], found[2]
    labels = ("instance", *_BY_SERIES[name].labels)
    chosen = [f'{label}=~"${label}"' for label in _FILTERS if label in labels]
    return f"{name}{{{','.join([written, *chosen] if written else chosen)}}}"
