"""What a home shard says of one table: the statements that make it anew elsewhere, and what may forbid that.

The query is asked with a search_path of pg_catalog alone, so that PostgreSQL writes all other names with their schemas.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trunkline.routing.schema.catalog import Name


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index, or an exclusion constraint: the columns that it compares for equality as they are."""

    name: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Action:
    """A foreign key that may change or empty these columns by itself."""

    name: str
    columns: frozenset[str]


@dataclass(slots=True)
class TableDefinition:
    """`before` and `after` are statements that come before and after the rows."""

    columns: list[str] = field(default_factory=list)  # that rows are given for
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)  # those of them by which a trigger fires otherwise than usual
    unique: list[Unique] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    referencing: list[Name] = field(default_factory=list)  # other tables with a foreign key to it
    dependent: list[str] = field(default_factory=list)  # views
    odd: list[str] = field(default_factory=list)  # what it is or has that is not made elsewhere


def read(rows: Iterable[Sequence[bytes | None]]) -> TableDefinition:
    """What the answer to `query` means."""
    found = TableDefinition()
    for kind, name, rest in ([None if one is None else one.decode() for one in row] for row in rows):
        what, said = name or "", rest or ""
        if kind in ("columns", "before", "after", "dependent", "odd"):
            getattr(found, kind).append(said)
        elif kind == "trigger":
            found.triggers.append(said)
            found.after.append(said)
        elif kind == "unique":
            found.unique.append(Unique(what, frozenset(json.loads(said))))
        elif kind == "action":
            found.actions.append(Action(what, frozenset(json.loads(said))))
        elif kind == "referencing":
            schema, table = json.loads(said)
            found.referencing.append((schema, table))
    return found


def query(table: str) -> str:
    """Asks for all of it, as rows of (kind, name, text); the table is given by its name as a literal."""
    return _QUERY.replace("{table}", table)


_COLUMN = """\
format('%I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
  (SELECT format(' COLLATE %I.%I', cn.nspname, l.collname) FROM pg_collation l
   JOIN pg_namespace cn ON cn.oid = l.collnamespace JOIN pg_type y ON y.oid = a.atttypid
   WHERE l.oid = a.attcollation AND a.attcollation <> y.typcollation),
  CASE WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid),
         CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
       WHEN a.attidentity <> '' THEN format(' GENERATED %s AS IDENTITY (%s)',
         CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
         (SELECT format('INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s', s.seqincrement, s.seqmin, s.seqmax,
            s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END)
          FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence(t.said, a.attname)::regclass))
       WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
  CASE WHEN a.attnotnull THEN ' NOT NULL' END)"""
_SEQUENCE = """\
format('CREATE SEQUENCE %I.%I AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s', sn.nspname, sc.relname,
  format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache,
  CASE WHEN s.seqcycle THEN ' CYCLE' END)"""
_QUERY = f"""\
WITH t AS (
  SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS said
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {{table}}::regclass
), a AS (
  SELECT a.* FROM pg_attribute a JOIN t ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped
), owned AS (
  SELECT s.*, p.refobjsubid FROM pg_depend p JOIN pg_sequence s ON s.seqrelid = p.objid JOIN t ON t.oid = p.refobjid
  WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'a'
), acl AS (
  SELECT x.*, '' AS part FROM t, aclexplode(t.relacl) x
  UNION ALL SELECT x.*, format(' (%I)', a.attname) FROM a, aclexplode(a.attacl) x
), found(place, kind, name, rest) AS (
SELECT 0, 'columns', '', attname::text FROM a WHERE attgenerated = ''
UNION ALL SELECT 1, 'before', '', format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM t WHERE nspname <> 'public'
UNION ALL SELECT 2, 'before', '', {_SEQUENCE} FROM owned s
  JOIN pg_class sc ON sc.oid = s.seqrelid JOIN pg_namespace sn ON sn.oid = sc.relnamespace
UNION ALL SELECT 3, 'before', '', format('CREATE%s TABLE %s (%s)%s', CASE relpersistence WHEN 'u' THEN ' UNLOGGED' END,
  said, (SELECT string_agg({_COLUMN}, ', ' ORDER BY a.attnum) FROM a
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum),
  ' WITH (' || nullif(array_to_string(reloptions, ', '), '') || ')') FROM t
UNION ALL SELECT 4, 'before', '', format('ALTER SEQUENCE %s OWNED BY %s.%I', s.seqrelid::regclass, t.said, a.attname)
  FROM owned s, t, a WHERE a.attnum = s.refobjsubid
UNION ALL SELECT CASE k.contype WHEN 'c' THEN 5 WHEN 'f' THEN 8 ELSE 6 END, 'before', '',
  format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.said, k.conname, pg_get_constraintdef(k.oid))
  FROM pg_constraint k JOIN t ON k.conrelid = t.oid WHERE k.contype IN ('c', 'p', 'u', 'x', 'f')
UNION ALL SELECT 7, 'before', '', pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN t ON i.indrelid = t.oid
  WHERE i.indisvalid AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = t.oid)
UNION ALL SELECT 9, 'before', '', format('COMMENT ON TABLE %s IS %L', said, obj_description(oid, 'pg_class'))
  FROM t WHERE obj_description(oid, 'pg_class') IS NOT NULL
UNION ALL SELECT 9, 'before', '', format('COMMENT ON COLUMN %s.%I IS %L', said, attname, col_description(t.oid, attnum))
  FROM t, a WHERE col_description(t.oid, attnum) IS NOT NULL
UNION ALL SELECT 9, 'before', '', pg_get_statisticsobjdef(x.oid) FROM pg_statistic_ext x JOIN t ON x.stxrelid = t.oid
UNION ALL SELECT 9, 'before', '', format('ALTER TABLE %s REPLICA IDENTITY FULL', said) FROM t WHERE relreplident = 'f'
UNION ALL SELECT 11, 'after', '', pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN t ON g.tgrelid = t.oid
  WHERE NOT g.tgisinternal
UNION ALL SELECT 12, 'trigger', '', format('ALTER TABLE %s %s TRIGGER %I', t.said,
  CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)
  FROM pg_trigger g JOIN t ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgenabled <> 'O'
UNION ALL SELECT 13, 'after', '', format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, t.said,
  CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
    ELSE 'ALL' END,
  (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ')
   FROM unnest(p.polroles) r),
  ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
  ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
  FROM pg_policy p JOIN t ON p.polrelid = t.oid
UNION ALL SELECT 14, 'after', '', format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', said) FROM t WHERE relrowsecurity
UNION ALL SELECT 14, 'after', '', format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', said) FROM t
  WHERE relforcerowsecurity
UNION ALL SELECT 15, 'after', '', format('GRANT %s%s ON %s TO %s%s', acl.privilege_type, acl.part, t.said,
  CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,
  CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' END) FROM acl, t WHERE acl.grantee <> t.relowner
UNION ALL SELECT 16, 'after', '', format('ALTER TABLE %s OWNER TO %I', said, pg_get_userbyid(relowner)) FROM t
  WHERE pg_get_userbyid(relowner) <> current_user
UNION ALL SELECT 20, 'unique', i.indexrelid::regclass::text, (
    SELECT coalesce(json_agg(a.attname), '[]')::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
    JOIN a ON a.attnum = k.attnum LEFT JOIN pg_constraint x ON x.conindid = i.indexrelid AND x.contype = 'x'
    WHERE k.n <= i.indnkeyatts AND (x.oid IS NULL
      OR (SELECT o.oprname FROM pg_operator o WHERE o.oid = x.conexclop[k.n]) = '='))
  FROM pg_index i JOIN t ON i.indrelid = t.oid WHERE i.indisunique OR i.indisexclusion
UNION ALL SELECT 21, 'action', k.conname, (SELECT json_agg(a.attname)::text FROM a WHERE a.attnum = ANY (k.conkey))
  FROM pg_constraint k JOIN t ON k.conrelid = t.oid
  WHERE k.contype = 'f' AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('n', 'd'))
UNION ALL SELECT DISTINCT 22, 'referencing', '', json_build_array(n.nspname, c.relname)::text FROM pg_constraint k
  JOIN t ON k.confrelid = t.oid JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE k.contype = 'f' AND k.conrelid <> t.oid
UNION ALL SELECT DISTINCT 23, 'dependent', '', r.ev_class::regclass::text FROM pg_depend p
  JOIN pg_rewrite r ON r.oid = p.objid JOIN t ON t.oid = p.refobjid
  WHERE p.classid = 'pg_rewrite'::regclass AND p.refclassid = 'pg_class'::regclass AND r.ev_class <> t.oid
UNION ALL SELECT 24, 'odd', '', 'it is no ordinary table' FROM t WHERE relkind <> 'r'
UNION ALL SELECT 24, 'odd', '', 'it is of a composite type' FROM t WHERE reloftype <> 0
UNION ALL SELECT 24, 'odd', '', 'it is a partition' FROM t WHERE relispartition
UNION ALL SELECT 24, 'odd', '', 'it inherits from another table, or has children' FROM t WHERE EXISTS
  (SELECT FROM pg_inherits h WHERE t.oid IN (h.inhrelid, h.inhparent))
UNION ALL SELECT 24, 'odd', '', 'it has rules' FROM t
  WHERE EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = t.oid AND r.rulename <> '_RETURN')
)
SELECT kind, name, rest FROM found ORDER BY place, name, rest"""
