"""Alert rules for Prometheus over our metrics: a table, made into the file that `rule_files` names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule: when, for how long, how bad, and what to do, where `{{ $labels.x }}` is the series's label."""

    name: str
    expression: str
    lasts: str
    severity: str
    summary: str
    advice: str


_POOL = "the pool of {{ $labels.database }} {{ $labels.shard }} for {{ $labels.user }}"
_SERVER = "{{ $labels.host }}:{{ $labels.port }} ({{ $labels.database }} {{ $labels.shard }})"

ALERTS = (
    Alert(
        "TrunklineAbsent",
        "absent(trunkline_build_info)",
        "1m",
        "critical",
        "no Trunkline is scraped",
        "Look whether the process lives, and whether metrics_addr is reached.",
    ),
    Alert(
        "TrunklinePoolInTrouble",
        "trunkline_pool_in_trouble == 1",
        "1m",
        "critical",
        f"servers cannot be opened for {_POOL}",
        "The log tells why; `trunkline check --online` tries every server.",
    ),
    Alert(
        "TrunklineClientsWait",
        "trunkline_maxwait_seconds > 5",
        "1m",
        "warning",
        f"a client waits {{{{ $value }}}} seconds in {_POOL}",
        "SHOW POOLS and SHOW PINS tell who has the servers; pool_size may be too small, or transactions too long.",
    ),
    Alert(
        "TrunklinePoolSaturated",
        'trunkline_pool_saturation_ratio >= 1 and ignoring (state) trunkline_clients{state="waiting"} > 0',
        "5m",
        "warning",
        f"all servers are in use, and clients wait, in {_POOL}",
        "Raise pool_size if PostgreSQL has room, or shorten transactions.",
    ),
    Alert(
        "TrunklineSlowToGiveServers",
        "histogram_quantile(0.99, sum by (instance, job, database, le) "
        "(rate(trunkline_client_wait_duration_seconds_bucket[5m]))) > 1",
        "5m",
        "warning",
        "one request in a hundred waits more than a second for a server of {{ $labels.database }}",
        "See TrunklinePoolSaturated; max_db_connections may hold pools back, too.",
    ),
    Alert(
        "TrunklineClientsNearLimit",
        "sum by (instance, job) (trunkline_database_clients) "
        "/ on (instance, job) trunkline_max_client_connections > 0.9",
        "5m",
        "warning",
        "nine tenths of max_client_conn are in use",
        "Raise max_client_conn and the limit of descriptors; beyond it clients are refused (53300).",
    ),
    Alert(
        "TrunklineDescriptorsNearLimit",
        "(process_open_fds / process_max_fds > 0.9) and on (instance, job) trunkline_build_info",
        "5m",
        "warning",
        "nine tenths of the process's descriptors are in use",
        "Raise LimitNOFILE (systemd) or `ulimit -n`.",
    ),
    Alert(
        "TrunklineLoginsFail",
        'rate(trunkline_errors_told_total{sqlstate=~"28.*"}[5m]) > 1',
        "5m",
        "warning",
        "more than one login a second fails ({{ $labels.sqlstate }})",
        "The log names users and addresses.",
    ),
    Alert(
        "TrunklineInternalErrors",
        'increase(trunkline_errors_told_total{sqlstate="XX000"}[5m]) > 0',
        "0m",
        "critical",
        "Trunkline met an error of its own",
        "The log has the incident by its number; it is a bug, and worth a report.",
    ),
    Alert(
        "TrunklineLosesLogLines",
        "increase(trunkline_log_lines_dropped_total[5m]) > 0",
        "0m",
        "warning",
        "lines of the log are lost ({{ $labels.target }})",
        "The disk is full, or whoever reads standard error or syslog is stuck.",
    ),
    Alert(
        "TrunklineEventLoopLags",
        "trunkline_event_loop_lag_seconds > 0.1",
        "5m",
        "warning",
        "the event loop was {{ $value }} seconds late",
        "The processor is overloaded, or something holds up all clients; `workers` adds processes.",
    ),
    Alert(
        "TrunklineDatabasePaused",
        "trunkline_database_paused == 1",
        "15m",
        "warning",
        "{{ $labels.database }} has been paused for a quarter of an hour",
        "RESUME, unless it is meant.",
    ),
    Alert(
        "TrunklineNoPrimary",
        "max by (instance, job, database, shard) (trunkline_replica_is_primary) == 0",
        "30s",
        "critical",
        "no server of {{ $labels.database }} {{ $labels.shard }} is the primary",
        "SHOW REPLICAS tells what each of them says.",
    ),
    Alert(
        "TrunklineReplicaDown",
        "trunkline_replica_up == 0",
        "1m",
        "warning",
        f"{_SERVER} is not what it says that it is, or cannot be reached",
        "SHOW REPLICAS has the error.",
    ),
    Alert(
        "TrunklineReplicaLags",
        "trunkline_replica_lag_seconds > 30",
        "5m",
        "warning",
        f"{_SERVER} is {{{{ $value }}}} seconds behind",
        "Reads go to other servers once max_replica_lag is passed.",
    ),
    Alert(
        "TrunklineBreakerOpen",
        "trunkline_replica_breaker_state == 2",
        "1m",
        "warning",
        f"{_SERVER} fails, and is not asked",
        "SHOW REPLICAS has the error.",
    ),
    Alert(
        "TrunklineFailover",
        "increase(trunkline_failovers_total[5m]) > 0",
        "0m",
        "info",
        "{{ $labels.database }} {{ $labels.shard }} has another primary",
        "The log tells which, and when.",
    ),
    Alert(
        "TrunklineTransactionInDoubt",
        "trunkline_transaction_in_doubt_seconds > 60",
        "1m",
        "critical",
        "{{ $labels.database }} has had a transaction in doubt for {{ $value }} seconds",
        "It holds its locks: SHOW TRANSACTIONS says what it waits for, RESOLVE ends it by hand.",
    ),
    Alert(
        "TrunklineSchemasDiffer",
        "trunkline_schema_differences > 0",
        "10m",
        "warning",
        "the shards of {{ $labels.database }} differ, or do not fit the rules",
        "SHOW DRIFT lists the differences.",
    ),
)


def alert_rules() -> str:
    """The file, as YAML."""
    return "groups:\n  - name: trunkline\n    rules:\n" + "".join(line + "\n" for line in _lines())


def _lines() -> Iterator[str]:
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {_quoted(alert.expression)}"
        yield f"        for: {alert.lasts}"
        yield f"        labels: {{severity: {alert.severity}}}"
        yield "        annotations:"
        yield f"          summary: {_quoted(alert.summary)}"
        yield f"          description: {_quoted(alert.advice)}"


def _quoted(text: str) -> str:
    """JSON's strings are YAML's."""
    return json.dumps(text)
