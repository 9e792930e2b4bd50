"""Directories of keys that are looked up: the question to the home shard, and what its rows say.

A directory is read whole, and replaced whole. A row that names no shard of ours says nothing of its key, so that a
statement with that key is refused and not sent anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from trunkline.pool.probe import columns
from trunkline.routing.keys.shard_functions import Key
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.keys.sharding_builder import DirectoryTable
from trunkline.routing.keys.values import from_text

log = logging.getLogger("trunkline.pool")


def question(table: DirectoryTable) -> str:
    """The query for all entries of one directory."""
    lookup = table.lookup
    schema, dot, name = lookup.table.partition(".")
    relation = f"{_quoted(schema)}.{_quoted(name)}" if dot else f"public.{_quoted(schema)}"
    return f"SELECT {_quoted(lookup.key)}::text, {_quoted(lookup.shard)}::text FROM {relation}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def fill(table: DirectoryTable, shards: Sequence[str], bodies: Iterable[bytes]) -> None:
    """Replace the directory by the answer to `question`, bodies of DataRow messages."""
    entries: dict[Key, int] = {}
    odd = 0
    for body in bodies:
        key, shard = columns(body)
        name = (shard or b"").decode(errors="replace")
        try:
            value = from_text(key, table.type) if key is not None else None
        except (NotCoercible, KeyUnknown):
            value = None
        if value is None or name not in shards:
            odd += 1
        else:
            entries[(value,)] = shards.index(name)
    if odd:
        log.warning("%s: %d rows have no key or no shard that is known", table.lookup.table, odd)
    table.directory.replace(entries)
