"""Directories of keys that are looked up: the questions to the home shard, and what its rows say.

A directory is read whole, a few hundred rows at a time, and replaced whole. A row that names no shard of ours says
nothing of its key, and neither do rows that contradict each other: a statement with such a key is refused, not guessed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from trunkline.pool.probe import columns
from trunkline.routing.keys.directory import NO_SHARD, Entries
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.sharding_builder import DirectoryTable
from trunkline.routing.keys.values import from_text
from trunkline.routing.keys.written import to_text

log = logging.getLogger("trunkline.pool")

CHANNEL = "trunkline_directory"
# Texts must mean the same whatever the server's settings are, and nobody may wait for a lock that a client holds.
SETUP = (
    "SET search_path = pg_catalog, pg_temp; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; "
    "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET bytea_output = 'hex'; "
    f"SET lock_timeout = '2s'; SET statement_timeout = '60s'; LISTEN {CHANNEL}"
)
BEGIN_S = 65.0  # PostgreSQL gathers all rows before the first: its own limit is to come first
FETCHED_ROWS = 500  # at a time: everybody else waits while so many are looked at
FETCH = f"FETCH {FETCHED_ROWS} FROM trunkline_directory"
END = "CLOSE trunkline_directory"


def begin(table: DirectoryTable) -> str:
    """The query behind which all entries can be fetched, as they are at one time; other questions may come between."""
    return f"DECLARE trunkline_directory NO SCROLL CURSOR WITH HOLD FOR {_select(table)}"


def question(table: DirectoryTable, keys: Iterable[Value]) -> str:
    """The query for some keys."""
    texts = (_quoted(to_text(key, table.type), "'") for key in keys)
    listed = f"ARRAY[{', '.join(texts)}]::{table.type}[]"
    return f"{_select(table)} WHERE {_quoted(table.lookup.key)} = ANY ({listed})"


def _select(table: DirectoryTable) -> str:
    lookup = table.lookup
    relation = ".".join(map(_quoted, table.relation))
    return f"SELECT {_quoted(lookup.key)}::text, {_quoted(lookup.shard)}::text FROM {relation}"


def _quoted(name: str, quote: str = '"') -> str:
    return quote + name.replace(quote, quote * 2) + quote


def concerns(payload: str, table: DirectoryTable) -> bool:
    """Whether a notification is about this directory; without a name it is about all."""
    return payload in ("", ".".join(table.relation))


def gather(entries: Entries, table: DirectoryTable, bodies: Iterable[bytes]) -> int:
    """Take over rows, bodies of DataRow messages; returns how many have no key, or no shard that is known."""
    odd = 0
    for body in bodies:
        key, shard = columns(body)
        value = _value(key, table.type)
        number = _number(shard, table.shards)
        odd += value is None or number == NO_SHARD
        if value is not None:
            entries.put(value, number)
    return odd


def learn(table: DirectoryTable, keys: Sequence[Value], bodies: Iterable[bytes]) -> None:
    """Take over the answer to a `question`."""
    entries = Entries()
    gather(entries, table, bodies)
    for key in keys:
        shard = entries.find(key)
        if shard is None:
            table.directory.learn_absent(key, f"the directory {table.lookup.table} does not have it")
        elif shard == NO_SHARD:
            table.directory.learn_absent(key, f"the directory {table.lookup.table} does not name one shard for it")
        else:
            table.directory.learn(key, shard)


def _value(key: bytes | None, type: str) -> Value | None:
    try:
        return from_text(key, type) if key is not None else None
    except (NotCoercible, KeyUnknown):
        return None


def _number(shard: bytes | None, shards: Sequence[str]) -> int:
    name = (shard or b"").decode(errors="replace")
    return shards.index(name) if name in shards else NO_SHARD
