"""The catalog of one database: the query that reads it, and what its rows mean.

One round trip for everything, as any role and on any PostgreSQL from 13 on. `SETUP` goes before `QUERY` in the same
session: without user schemas in the search_path, PostgreSQL writes every name in the SQL that it renders with its
schema, so that definitions mean the same whoever reads them, and can be compared between servers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trunkline.routing.schema.catalog import (
    OF_UNIQUE,
    UNIQUE_SCHEMA,
    Catalog,
    Column,
    ForeignKey,
    Function,
    Index,
    Name,
    Relation,
    Trigger,
)

Row = Sequence[str | None]

# The planner's guess at the rows of so many joins is far too high, and compiling the query for them takes seconds.
SETUP = "SET search_path = pg_catalog, pg_temp; SET jit = off"

# Names and types of columns; of a domain the type that it is made of, however many domains lie between.
_TYPES = """
base AS (
  SELECT oid, oid AS root, -1 AS modifier FROM pg_type WHERE typtype <> 'd'
  UNION ALL
  SELECT t.oid, base.root, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE base.modifier END
  FROM base JOIN pg_type t ON t.typbasetype = base.oid AND t.typtype = 'd'
)"""
_COLUMNS = """
columns AS (
  SELECT a.attrelid AS oid, json_agg(json_build_array(
      a.attname, t.typname, a.attnotnull,
      CASE WHEN a.attidentity <> '' THEN format('nextval(%L::regclass)', pg_get_serial_sequence(
             format('%I.%I', n.nspname, c.relname), a.attname))
           ELSE pg_get_expr(d.adbin, d.adrelid) END,
      a.attgenerated <> '' OR a.attidentity = 'a',
      coalesce(l.collisdeterministic, true), t.typtype = 'e',
      CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE base.modifier END,
      CASE WHEN l.collnamespace = 'pg_catalog'::regnamespace THEN l.collname
           ELSE coalesce(l.collnamespace::regnamespace || '.' || l.collname, '') END) ORDER BY a.attnum) AS list
  FROM pg_attribute a JOIN user_relations c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN base ON base.oid = a.atttypid JOIN pg_type t ON t.oid = base.root
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  WHERE a.attnum > 0 AND NOT a.attisdropped
  GROUP BY 1
)"""
# Partial indexes and those on expressions keep nothing unique that the planner could use.
_KEYS = """
keys AS (
  SELECT i.indrelid AS oid, json_agg((
      SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts
    ) ORDER BY i.indisprimary DESC, i.indexrelid) AS list
  FROM pg_index i JOIN user_relations c ON c.oid = i.indrelid
  WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  GROUP BY 1
)"""
_INDEXES = """
indexes AS (
  SELECT i.indrelid AS oid, json_agg(json_build_array(x.relname, pg_get_indexdef(i.indexrelid), i.indisvalid)
                                     ORDER BY x.relname) AS list
  FROM pg_index i JOIN user_relations c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
  GROUP BY 1
)"""
_FOREIGN_KEYS = """
foreign_keys AS (
  SELECT f.conrelid AS oid, json_agg(json_build_array(
      (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY AS k(attnum, n)
       JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
      json_build_array(n.nspname, c.relname),
      (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY AS k(attnum, n)
       JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)) ORDER BY f.conname) AS list
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE f.contype = 'f' AND f.conparentid = 0
  GROUP BY 1
)"""
_CODE = """
triggers AS (
  SELECT t.tgrelid AS oid, json_agg(json_build_array(t.tgname, n.nspname, p.proname, t.tgtype & 1 = 0)
                                ORDER BY t.tgname) AS list
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE NOT t.tgisinternal GROUP BY 1
),
policies AS (
  SELECT p.polrelid AS oid, json_agg(part ORDER BY p.polname, part) AS list
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid AND c.relrowsecurity
  CROSS JOIN LATERAL unnest(ARRAY[pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)]) AS part
  WHERE part IS NOT NULL GROUP BY 1
),
rules AS (
  SELECT ev_class AS oid, json_agg(pg_get_ruledef(oid) ORDER BY rulename) AS list
  FROM pg_rewrite WHERE rulename <> '_RETURN' GROUP BY 1
)"""
_PART = 8000  # characters: of an answer to ourselves, a row that is larger than our buffer would not be kept
_USERS_OWN = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp|toast_temp)'"
QUERY = f"""
WITH RECURSIVE {_TYPES.strip()},
user_relations AS (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_USERS_OWN}
),{_COLUMNS},{_KEYS},{_INDEXES},{_FOREIGN_KEYS},{_CODE},
found(kind, schema, name, rest) AS (
SELECT 'relation', n.nspname::text, c.relname::text, json_build_array(
    c.relkind, CASE WHEN c.relkind <> 'S' THEN columns.list END,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
    CASE WHEN i.inhparent IS NOT NULL THEN json_build_array(pn.nspname, pc.relname) END,
    keys.list, foreign_keys.list, triggers.list, policies.list, rules.list, c.relpersistence,
    indexes.list)::text
FROM user_relations c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN columns ON columns.oid = c.oid LEFT JOIN keys ON keys.oid = c.oid
LEFT JOIN foreign_keys ON foreign_keys.oid = c.oid LEFT JOIN triggers ON triggers.oid = c.oid
LEFT JOIN policies ON policies.oid = c.oid LEFT JOIN rules ON rules.oid = c.oid
LEFT JOIN indexes ON indexes.oid = c.oid
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhseqno = 1
LEFT JOIN pg_class pc ON pc.oid = i.inhparent LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
UNION ALL
SELECT 'relation', 'pg_catalog', relname::text, json_build_array(relkind)::text FROM pg_class
WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
UNION ALL
SELECT 'function', n.nspname::text, p.proname::text, json_build_array(
    ARRAY(SELECT t.typname FROM unnest(p.proargtypes) WITH ORDINALITY AS a(oid, n) JOIN pg_type t ON t.oid = a.oid
          ORDER BY a.n),
    p.prokind, p.provolatile, l.lanname,
    CASE WHEN p.prokind = 'a' AND p.oid >= 16384 THEN
           (SELECT string_agg(sn.nspname || '.' || s.proname, ' ' ORDER BY s.oid)
            FROM pg_aggregate g JOIN pg_proc s ON s.oid IN (
              g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn,
              g.aggminvtransfn, g.aggmfinalfn)
            JOIN pg_namespace sn ON sn.oid = s.pronamespace WHERE g.aggfnoid = p.oid)
         WHEN l.lanname IN ('internal', 'c') OR p.oid < 16384 THEN ''
         WHEN p.prosrc = '' AND l.lanname = 'sql' THEN pg_get_functiondef(p.oid) ELSE p.prosrc END,
    p.proretset, p.pronargdefaults, p.provariadic <> 0)::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname <> 'information_schema'
UNION ALL
SELECT 'server', 'version', '', current_setting('server_version_num')
UNION ALL
SELECT 'server', 'encoding', '', pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT 'server', 'collation', '', CASE WHEN coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' THEN datcollate::text
  ELSE concat(to_jsonb(d)->>'datlocprovider', ':', to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') END
FROM pg_database AS d WHERE datname = current_database()
UNION ALL
SELECT 'server', 'max_prepared_transactions', '', current_setting('max_prepared_transactions')
),
numbered AS (SELECT *, row_number() OVER () AS id FROM found)
SELECT kind, schema, name, part::text, substr(rest, part * {_PART} + 1, {_PART})
FROM numbered CROSS JOIN LATERAL generate_series(0, (length(rest) - 1) / {_PART}) AS part
ORDER BY id, part
"""
"""(kind, schema, name, number of the part, part of the rest as JSON) of relations, functions and the server itself."""

COLUMNS = 5

# pg_get_functiondef of a body that PostgreSQL keeps parsed: what comes behind the options, each on a line that begins
# with a blank.
_PARSED_BODY = re.compile(r"^(?:BEGIN ATOMIC\n(?P<list>.*)^END\s*\Z|RETURN (?P<value>.*)\Z)", re.MULTILINE | re.DOTALL)


def build(rows: Iterable[Row], version: int = 0) -> Catalog:
    """The catalog, from the answer to QUERY."""
    relations: dict[Name, Relation] = {}
    functions: dict[Name, list[Function]] = {}
    server: dict[str, str] = {}
    for kind, key, rest in _whole(rows):
        if kind == "relation":
            relations[key] = _relation(key, json.loads(rest))
        elif kind == "function":
            functions.setdefault(key, []).append(_function(key, json.loads(rest)))
        else:
            server[key[0]] = rest
    return Catalog(relations, {key: tuple(found) for key, found in functions.items()}, version, server)


def _whole(rows: Iterable[Row]) -> Iterator[tuple[str, Name, str]]:
    """Kind, name and rest, whose parts come one behind the other."""
    head: tuple[str, Name] | None = None
    parts: list[str] = []
    for kind, schema, name, part, text in rows:
        if part == "0":
            if head is not None:
                yield *head, "".join(parts)
            head, parts = (kind or "", (schema or "", name or "")), []
        parts.append(text or "")
    if head is not None:
        yield *head, "".join(parts)


def _relation(name: Name, rest: list[Any]) -> Relation:
    if len(rest) == 1:  # of the system's own only the names are read
        return Relation(*name, rest[0])
    kind, columns, definition, parent, keys, foreign_keys, triggers, policies, rules, persistence, indexes = rest
    own = [(trigger, (schema, function), whole) for trigger, schema, function, whole in triggers or ()]
    return Relation(
        *name,
        kind,
        tuple(Column(*column) for column in columns or ()),
        definition,
        None if parent is None else (parent[0], parent[1]),
        tuple(tuple(key) for key in keys or ()),
        tuple(
            ForeignKey(tuple(own), (target[0], target[1]), tuple(there)) for own, target, there in foreign_keys or ()
        ),
        tuple(Trigger(trigger, function, whole) for trigger, function, whole in own if not _keeps_unique(function)),
        tuple(policies or ()),
        tuple(rules or ()),
        persistence,
        tuple(Index(*index) for index in indexes or ()),
        tuple(dict.fromkeys(function[1].removeprefix(OF_UNIQUE) for _, function, _ in own if _keeps_unique(function))),
    )


def _keeps_unique(function: Name) -> bool:
    """Whether a trigger's function notes the values of a global unique index."""
    return function[0] == UNIQUE_SCHEMA and function[1].startswith(OF_UNIQUE) and function[1] != f"{OF_UNIQUE}changes"


def _function(name: Name, rest: list[Any]) -> Function:
    arguments, kind, volatility, language, body, returns_set, defaults, variadic = rest
    if language == "sql" and body.startswith("CREATE OR REPLACE "):
        body = _statements(body)
    return Function(*name, tuple(arguments), kind, volatility, language, body, returns_set, defaults, variadic)


def _statements(definition: str) -> str:
    """The statements of a body that was written without quotes, as prosrc has those of all others."""
    found = _PARSED_BODY.search(definition)
    if found is None:
        return definition
    return found["list"] if found["value"] is None else f"SELECT {found['value']}"
