"""Columns by the names that they had in older versions of PgBouncer, for monitors that know no other.

Contract: they come behind all others, only where `console_former_columns` asks for them, and only in what SHOW answers
in the simple protocol: those monitors say nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from trunkline.admin.columns import Columns
from trunkline.admin.result import Row

FORMER: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("SHOW", "STATS"): {"total_requests": "total_query_count"},  # until 1.7
    ("SHOW", "DATABASES"): {"reserve_pool": "reserve_pool_size"},  # until 1.23
}


def with_former(words: tuple[str, ...], columns: Columns, rows: Iterable[Row]) -> tuple[Columns, Iterator[Row]]:
    """The columns and rows of a command, and behind them those that have other names now."""
    names = FORMER.get(words, {})
    places = {name: place for place, (name, _) in enumerate(columns)}
    added = tuple((former, columns[places[now]][1]) for former, now in names.items())
    copied = [places[now] for now in names.values()]
    return columns + added, ((*row, *(row[place] for place in copied)) for row in rows)
