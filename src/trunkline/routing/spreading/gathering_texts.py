"""The statement as it runs over gathered rows: each gathered table, and each view over one, is named in pg_temp."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.gathering_names import Text
from trunkline.routing.sql import walk
from trunkline.routing.text.tokens import tokens_of

_TEMPORARY = b"pg_temp"


def over(text: Text, shadowed: Collection[Name]) -> bytes:
    """The text, in which these relations are those in pg_temp. A table without an alias keeps its name."""
    edits = sorted({*_tables(text, shadowed), *_columns(text, shadowed)}, reverse=True)
    if not edits:
        return text.sql
    sql = text.sql
    found = tokens_of(sql)
    tokens = {start: place for place, (_, start, _) in enumerate(found)}
    for at, qualifiers in edits:
        if qualifiers:  # the last of them is the schema
            end = found[tokens[at] + 2 * (qualifiers - 1)][2]
            sql = sql[:at] + _TEMPORARY + sql[end:]
        else:
            sql = sql[:at] + _TEMPORARY + b"." + sql[at:]
    return sql


def _tables(text: Text, shadowed: Collection[Name]) -> Iterator[tuple[int, int]]:
    """Where a name begins, and how many names stand before that of the table."""
    for one in text.named:
        if (one.found.schema, one.found.name) in shadowed:
            yield one.node.get("location", 0), ("schemaname" in one.node) + ("catalogname" in one.node)


def _columns(text: Text, shadowed: Collection[Name]) -> Iterator[tuple[int, int]]:
    """schema.table.column, and the same with a star."""
    for name, value in walk(text.tree):
        if name != "ColumnRef" or len(value["fields"]) < 3:
            continue
        names = [part.get("String", {}).get("sval", "") for part in value["fields"]]
        if (names[-3], names[-2]) in shadowed:
            yield value.get("location", 0), len(names) - 2
