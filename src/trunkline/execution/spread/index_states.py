"""What a shard has of an index: asked in its catalog, and mended where a failed attempt has left something there."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.execution.spread.participant import Participant
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.quoting import full, identifier, literal
from trunkline.routing.spreading.shard_jobs import Has, ShardJobs

CANDIDATES = 16  # names that PostgreSQL would choose, one after the other

# What somebody builds, drops or rebuilds just now is locked by him: it is not left over. The definition is without
# the name of the table, so that those of two tables can be compared.
_STATE = """\
SELECT i.indisvalid, t.relname = {name} AND n.nspname = {schema}, EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'relation' AND l.relation = i.indexrelid
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.pid <> pg_catalog.pg_backend_pid() AND l.mode LIKE '%Exclusive%'),
  pg_catalog.replace(pg_catalog.pg_get_indexdef(i.indexrelid),
    ' ON ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) || ' ', ' ON ')
FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
WHERE c.oid = pg_catalog.to_regclass({index})"""

# What REINDEX CONCURRENTLY makes beside an index, and what it takes away, has these names (index.c).
_UNFINISHED = """\
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = pg_catalog.to_regclass({table}) AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'relation' AND l.relation = c.oid
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.pid <> pg_catalog.pg_backend_pid() AND l.mode LIKE '%Exclusive%')"""

_DEFINITION = """\
SELECT c.relname, pg_catalog.replace(pg_catalog.replace(pg_catalog.pg_get_indexdef(i.indexrelid),
    pg_catalog.format(' ON pg_temp.%I ', t.relname), ' ON '),
    pg_catalog.format(' ON %I.%I ', n.nspname, t.relname), ' ON ')
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
WHERE t.oid = pg_catalog.to_regclass({table}) ORDER BY i.indexrelid"""

_TRUE = b"t"


async def look(one: Participant, index: str, table: Name | None) -> tuple[Has, bytes]:
    """What is there by this name, and its definition; `table`: whose index it has to be, None for any."""
    schema, name = table or ("", "")
    said = _STATE.format(index=literal(index), schema=literal(schema), name=literal(name))
    rows = await one.ask(said.encode())
    if not rows:
        return Has.NOTHING, b""
    ((valid, of_table, locked, definition),) = rows
    if valid is None or (table is not None and of_table != _TRUE):
        return Has.OTHER, b""
    if valid == _TRUE:
        return Has.VALID, definition or b""
    return (Has.OTHER if locked == _TRUE else Has.LEFTOVER), b""


async def wanted(one: Participant, program: ShardJobs) -> list[tuple[str, bytes]]:
    """The names that PostgreSQL would give, and definitions: of the same index on an empty table, which is undone."""
    assert program.table is not None
    copy = f"pg_temp.{identifier(program.table[1])}"
    one.keeps_tables_to_itself()
    texts = [f"CREATE TEMP TABLE {copy} (LIKE {full(*program.table)})".encode()]
    texts += [program.empty] * (1 if program.index else CANDIDATES)
    try:
        await one.ask(b"BEGIN; " + b"; ".join(texts))
        rows = await one.ask(_DEFINITION.format(table=literal(copy)).encode())
    finally:
        if one.status != "I":
            await one.ask(b"ROLLBACK")
    return [((name or b"").decode(), definition or b"") for name, definition in rows]


async def unfinished(one: Participant, table: Name) -> Sequence[str]:
    """What REINDEX has left half done of a table's indexes, as names in SQL."""
    rows = await one.ask(_UNFINISHED.format(table=literal(full(*table))).encode())
    return [(name or b"").decode() for (name,) in rows]


async def drop(one: Participant, index: str) -> None:
    """An index that is not valid goes; others read and write meanwhile."""
    await one.ask(f"DROP INDEX CONCURRENTLY IF EXISTS {index}".encode())


async def wait_for_others(one: Participant, table: Name) -> None:
    """Until nobody builds an index of the table any more: a server goes on with that when it has lost who asked."""
    await one.ask(f"LOCK TABLE {full(*table)} IN SHARE UPDATE EXCLUSIVE MODE; SELECT 1".encode())
