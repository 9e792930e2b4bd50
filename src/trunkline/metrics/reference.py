"""The reference page of all metrics, made from the table.

Run as ``python -m trunkline.metrics.reference > docs/metrics.md``; the page in the tree must be the current one.
"""

from __future__ import annotations

from trunkline.metrics.families import FAMILIES, Family
from trunkline.metrics.http import MAX_CONNECTIONS, MAX_REQUEST_BYTES, REQUEST_S
from trunkline.metrics.pgbouncer_names import PGBOUNCER_FAMILIES
from trunkline.metrics.readings import MAX_POOLS

MAX_KB = MAX_REQUEST_BYTES // 1000

_HEAD = """| metric | type | labels | meaning |
|---|---|---|---|
"""

_PGBOUNCER = f"""
## By the names of PgBouncer's exporter

What prometheus-community/pgbouncer_exporter would say of the console (SHOW), by its names, labels and units: its
dashboards and alerts go on as they are, without it. They are served unless `metrics_pgbouncer_names = false`. A pool of
a shard is a database of its own here, as in SHOW POOLS (`shop/s0`); {MAX_POOLS} rows of each are told.

{_HEAD}"""

_INTRODUCTION = f"""# Metrics and health

Made by `python -m trunkline.metrics.reference` from the table in `trunkline.metrics.families`; do not edit.

`metrics_addr = "127.0.0.1:9127"` serves over HTTP, to anybody who gets there (there is no password and no TLS: keep it
on this machine or on a network of your own):

- `/metrics`: what stands below, as Prometheus's text or as OpenMetrics, whichever the scraper accepts; with gzip if it
  does.
- `/healthz`: 200 while the process lives.
- `/readyz`: 200 while clients may come; else 503 and a word: `starting`, `paused` (PAUSE of everything) or `draining`.

Scrapes share the event loop with the clients. They read what SHOW reads and take at most a tenth of the loop's time:
one that comes too soon after another waits. {MAX_CONNECTIONS} connections at a time, requests of {MAX_KB} kB within \
{REQUEST_S:g} seconds.

A pool is of one database, shard (empty where there are none) and user; `sum by (database)` adds them up. Users, and
databases behind a wildcard, are as many as come: {MAX_POOLS} pools are told, the oldest. A database that a RELOAD
removes takes its series along when its last clients have left; one that comes again begins at 0, and so do the
statements of a database whose shards change. What the process itself uses is in the usual names:
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_start_time_seconds`, `process_open_fds`, `process_max_fds`.

`trunkline export dashboards --directory DIR` writes a dashboard for Grafana and alert rules for Prometheus over them.

{_HEAD}"""


def page() -> str:
    """The whole page, in Markdown."""
    own, others = ("".join(map(_row, families)) for families in (FAMILIES, PGBOUNCER_FAMILIES))
    return _INTRODUCTION + own + _PGBOUNCER + others


def _row(family: Family) -> str:
    return f"| `{family.shown_name}` | {family.kind} | {', '.join(family.labels)} | {family.help} |\n"


if __name__ == "__main__":
    print(page(), end="")
