"""One table of what several processes show: which rows are the same thing, and what becomes of their numbers. Pure.

Contract: rows that are equal in their key are one: some columns are summed up, of some the greatest counts, and the
others are as the first has them, which is the process that was asked. What is not listed is one table of all rows,
equal ones once. A relation of ``OWN`` is the same everywhere, or nobody's but the asked one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.admin.columns import Columns
from trunkline.admin.result import Row

OWN = frozenset(("CONFIG", "DNS_ZONES", "PEERS", "STATE", "TABLES", "VERSION", "WORKERS"))


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows of one relation become one; of `longest`, columns in the order in
    which they decide, the greatest is taken."""

    keys: str
    sums: str = ""
    longest: str = ""


RULES: Mapping[str, Rule] = {
    "POOLS": Rule(
        "database user",
        "cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled "
        "sv_idle sv_used sv_tested sv_login",
        "maxwait maxwait_us",
    ),
    "DATABASES": Rule("name", "current_connections current_client_connections"),
    "USERS": Rule("name", "current_connections current_client_connections"),
    "MEM": Rule("name", "used free memtotal", "size"),
    "DNS_HOSTS": Rule("hostname"),
    "PEER_POOLS": Rule("peer_id", "cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login"),
    "PIN_COUNTS": Rule("database user reason", "pinned"),
    "SHARDS": Rule("database shard", "sv_active sv_idle servers cl_waiting"),
    "REPLICAS": Rule("database shard host port", "in_flight reads"),
    "DIRECTORIES": Rule("database directory tables"),
    "ROUTES": Rule("database template route reason shards", "calls query_time"),
    "ROUTE_COUNTS": Rule("database outcome shard", "statements"),
    "ROUTE_CACHES": Rule("database", "templates bytes hits misses evictions"),
}


def merged(name: str, columns: Columns, tables: Sequence[Iterable[Row]]) -> list[Row]:
    """The rows of all processes as one table; the first process is the one that was asked."""
    rule = RULES.get(name)
    rows = [tuple(row) for table in tables for row in table]
    if rule is None:
        return list(dict.fromkeys(rows))
    places = {column: place for place, (column, _) in enumerate(columns)}
    keys, sums, longest = ([places[one] for one in names.split()] for names in (rule.keys, rule.sums, rule.longest))
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        key = tuple(row[place] for place in keys)
        if key in found:
            _add(found[key], row, sums, longest)
        else:
            found[key] = list(row)
    return [tuple(row) for row in found.values()]


def _add(into: list[Any], row: Row, sums: Sequence[int], longest: Sequence[int]) -> None:
    for place in sums:
        into[place] += row[place]
    if longest and [row[place] for place in longest] > [into[place] for place in longest]:
        for place in longest:
            into[place] = row[place]
