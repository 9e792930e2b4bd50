"""Global unique indexes as PostgreSQL keeps them: the statements that make one, fill it, and take it away. Pure.

An index called `users_email_key` is, in the schema `trunkline`:

- on every shard the function `unique_users_email_key()`, and triggers of the table that call it: they note in
  `unique_changes` which values came and went;
- on the home shard the table `unique_users_email_key`, of the unique columns and of those of the key, whose primary key
  is `users_email_key`; and functions of the table's name: one applies what was noted, one says which rows are kept.

Rules:
1. What was noted is taken away by Trunkline in the same transaction. A deferred constraint trigger of `unique_changes`
   fails a transaction that would commit with notes: so nothing that writes the table is passed over.
2. Rows of `unique_changes` are never committed, so each transaction sees its own only.
3. What came and went is summed before it is applied: a value that went and came again is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.routing.schema.catalog import OF_UNIQUE, UNIQUE_SCHEMA
from trunkline.routing.spreading.quoting import full, identifier, literal

MAX_NAME_BYTES = 54  # of an index: a prefix or a suffix has to fit into a name
TRUNCATED = "truncated"  # in the place of values
IS_READY = "SELECT pg_catalog.to_regclass('trunkline.unique_changes') IS NOT NULL"
SETUP = """\
CREATE SCHEMA IF NOT EXISTS trunkline;
GRANT USAGE ON SCHEMA trunkline TO PUBLIC;
CREATE UNLOGGED TABLE trunkline.unique_changes (
  tx xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(), id int8 GENERATED ALWAYS AS IDENTITY,
  index_name text NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, changes text NOT NULL,
  PRIMARY KEY (tx, id));
GRANT SELECT, INSERT, DELETE ON trunkline.unique_changes TO PUBLIC;
CREATE FUNCTION trunkline.unique_changes() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM trunkline.unique_changes WHERE tx = NEW.tx AND id = NEW.id) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = NEW.table_schema, TABLE = NEW.table_name,
      MESSAGE = 'values of the global unique index '
        || NEW.index_name || ' were written without Trunkline''s knowledge',
      HINT = 'Write ' || NEW.table_name || ' through Trunkline, in a statement that names it.';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER unique_changes AFTER INSERT ON trunkline.unique_changes DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION trunkline.unique_changes();
ALTER TABLE trunkline.unique_changes ENABLE ALWAYS TRIGGER unique_changes"""
TAKE = """\
DELETE FROM trunkline.unique_changes WHERE tx OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned()
RETURNING index_name, table_schema, table_name, changes"""
_PATH = "SET search_path = pg_catalog, pg_temp"
_PLAIN = f"{_PATH} SET datestyle = 'ISO' SET intervalstyle = 'postgres' \
SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C' SET timezone = 'UTC'"
_SETTLED = frozenset(
    ("text", "character varying", "character", "bigint", "integer", "smallint", "numeric", "uuid", "boolean")
)  # types that are written alike whatever the settings are
_BATCH = 10000  # rows that are there already, in one note


@dataclass(frozen=True, slots=True)
class Column:
    """Of the table of values: its type as SQL, and for one that is unique the operator that finds equal ones."""

    name: str
    type: str
    equals: str = ""


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """One index, and what has to be unique in which table; `others` are the rest of the columns of the key."""

    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def kept(self) -> str:
        """The table of values, and the functions."""
        return full(UNIQUE_SCHEMA, OF_UNIQUE + self.name)

    @property
    def said(self) -> str:
        return full(self.schema, self.table)

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Of the table of values."""
        return (*self.columns, *self.others)


def name_for(table: str, columns: Sequence[str], taken: Iterable[str]) -> str:
    """What PostgreSQL would call the constraint, as far as there is room (indexcmds.c, ChooseIndexName)."""
    known = frozenset(taken)
    base = f"{table}_{'_'.join(columns)}"
    for number in ["", *range(1, 1000)]:
        suffix = f"_key{number}"
        room = MAX_NAME_BYTES - len(suffix)
        name = base.encode()[:room].decode(errors="ignore") + suffix
        if name not in known:
            return name
    raise ValueError("no name is left")


# --- on every shard -----------------------------------------------------------------------------------------------


def on_shard(index: UniqueIndex) -> list[str]:
    """The function and the triggers that note what comes and goes."""
    call = f"EXECUTE FUNCTION {index.kept}()"
    old, new = (_row(index, f"{who}.") for who in ("OLD", "NEW"))
    name = index.name
    made = {
        "insert": f"AFTER INSERT ON {index.said} REFERENCING NEW TABLE AS come FOR EACH STATEMENT {call}",
        "delete": f"AFTER DELETE ON {index.said} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT {call}",
        "update": f"AFTER UPDATE ON {index.said} FOR EACH ROW"
        f" WHEN (ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record) {call}",
        "truncate": f"AFTER TRUNCATE ON {index.said} FOR EACH STATEMENT {call}",
    }
    texts = [_noting(index)]
    for event, text in made.items():
        trigger = identifier(f"{name}_{event}")
        texts.append(f"CREATE TRIGGER {trigger} {text}")
        texts.append(f"ALTER TABLE {index.said} ENABLE ALWAYS TRIGGER {trigger}")
    return texts


def _row(index: UniqueIndex, before: str = "") -> str:
    return ", ".join(before + identifier(column) for column in index.kept_columns)


def _is_whole(index: UniqueIndex, before: str = "") -> str:
    """Nothing is equal to NULL."""
    return f"num_nulls({', '.join(before + identifier(column) for column in index.columns)}) = 0"


def _change(index: UniqueIndex, sign: int, before: str = "") -> str:
    """One row as JSON: +1 or -1, and the values as texts."""
    unique = [f"concat({before}{identifier(column)})" for column in index.columns]
    others = [_text_of(column, before) for column in index.others]
    return f"json_build_array({', '.join([str(sign), *unique, *others])})"


def _text_of(column: str, before: str) -> str:
    value = before + identifier(column)
    return f"CASE WHEN num_nulls({value}) = 0 THEN concat({value}) END"


def _packed(rows: str) -> str:
    """In ASCII, so that it means the same whatever a client's encoding is."""
    return f"encode(convert_to(json_agg({rows})::text, 'UTF8'), 'base64')"


def _noting(index: UniqueIndex) -> str:
    head = "INSERT INTO trunkline.unique_changes (index_name, table_schema, table_name, changes)"
    names = f"{literal(index.name)}, TG_TABLE_SCHEMA, TG_TABLE_NAME"

    def all_of(rows: str, sign: int) -> str:
        change = _packed(_change(index, sign))
        return f"{head} SELECT {names}, {change} FROM {rows} WHERE {_is_whole(index)} HAVING count(*) > 0"

    old, new = _change(index, -1, "OLD."), _change(index, 1, "NEW.")
    changed = f"(VALUES ({old}, {_is_whole(index, 'OLD.')}), ({new}, {_is_whole(index, 'NEW.')})) AS v(change, counts)"
    body = f"""
BEGIN
  IF TG_OP = 'INSERT' THEN {all_of("come", 1)};
  ELSIF TG_OP = 'DELETE' THEN {all_of("gone", -1)};
  ELSIF TG_OP = 'UPDATE' THEN
    {head} SELECT {names}, {_packed("v.change")} FROM {changed} WHERE v.counts HAVING count(*) > 0;
  ELSE {head} VALUES ({names}, {literal(TRUNCATED)});
  END IF;
  RETURN NULL;
END """
    return f"CREATE FUNCTION {index.kept}() RETURNS trigger LANGUAGE plpgsql {_PLAIN} AS {literal(body)}"


def rows_there(index: UniqueIndex) -> str:
    """All values that a shard has, as if they came now."""
    rows = (
        f"SELECT *, row_number() OVER () / {_BATCH} AS trunkline_batch FROM ONLY {index.said} WHERE {_is_whole(index)}"
    )
    return f"SELECT {_packed(_change(index, 1))} FROM ({rows}) AS found GROUP BY trunkline_batch"


# --- at home ------------------------------------------------------------------------------------------------------


def table_of_values(index: UniqueIndex) -> list[str]:
    """An empty one: types and collations are those of the columns."""
    unique = ", ".join(identifier(column) for column in index.columns)
    return [
        f"CREATE TABLE {index.kept} AS SELECT {_row(index)} FROM {index.said} WITH NO DATA",
        f"ALTER TABLE {index.kept} ADD CONSTRAINT {identifier(index.name)} PRIMARY KEY ({unique})",
    ]


def columns_query(index: UniqueIndex) -> str:
    """Name, type and operator of its columns."""
    return f"""\
SELECT a.attname, format_type(a.atttypid, a.atttypmod), (
  SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
  FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) AS k(attnum, opclass)
  JOIN pg_opclass c ON c.oid = k.opclass
  JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3 AND m.amoplefttype = c.opcintype
    AND m.amoprighttype = c.opcintype
  JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
  WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum)
FROM pg_attribute a WHERE a.attrelid = {literal(index.kept)}::regclass AND a.attnum > 0 ORDER BY a.attnum"""


def columns_of(rows: Iterable[Sequence[bytes | None]]) -> list[Column]:
    """What the answer to that means."""
    return [Column(*((value or b"").decode() for value in row)) for row in rows]


def applying(index: UniqueIndex, columns: Sequence[Column]) -> str:
    """The function that applies what shards have noted; of NULL, that the table was truncated."""
    texts = [f"e.change->>{place} AS c{place}" for place in range(1, len(columns) + 1)]
    groups = ", ".join(str(place) for place in range(1, len(columns) + 1))
    net = (
        f"SELECT {', '.join(texts)}, sum((e.change->>0)::int4) AS n FROM unnest(said) AS s(packed),"
        " json_array_elements(convert_from(decode(s.packed, 'base64'), 'UTF8')::json) AS e(change)"
        f" GROUP BY {groups} HAVING sum((e.change->>0)::int4) <> 0"
    )
    typed = [f"net.c{place}::{column.type}" for place, column in enumerate(columns, 1)]
    unique = typed[: len(index.columns)]
    same = [f"kept.{identifier(one.name)} {one.equals} {value}" for one, value in zip(columns, unique, strict=False)]
    body = f"""
BEGIN
  {_rights(index)}
  IF said IS NULL THEN
    TRUNCATE {index.kept};
    RETURN;
  END IF;
  DELETE FROM {index.kept} AS kept USING ({net}) AS net WHERE net.n < 0 AND {" AND ".join(same)};
  INSERT INTO {index.kept} SELECT {", ".join(typed)} FROM ({net}) AS net, generate_series(1, net.n) WHERE net.n > 0
  ORDER BY {", ".join(str(place) for place in range(1, len(unique) + 1))};
END """
    head = f"CREATE FUNCTION {index.kept}(said text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER {_PLAIN}"
    return f"{head} AS {literal(body)}"


def _rights(index: UniqueIndex) -> str:
    """Whoever may write the table, or a table whose rows it follows by a foreign key."""
    return f"""
  IF NOT EXISTS (
    WITH RECURSIVE near(oid) AS (
      SELECT {literal(index.said)}::regclass::oid
      UNION SELECT f.confrelid FROM pg_constraint f JOIN near ON f.conrelid = near.oid WHERE f.contype = 'f'
    ), caller(name) AS (SELECT coalesce(nullif(current_setting('role'), 'none')::name, session_user))
    SELECT FROM near, caller WHERE has_any_column_privilege(caller.name, near.oid, 'INSERT, UPDATE')
      OR has_table_privilege(caller.name, near.oid, 'DELETE, TRUNCATE')
  ) THEN
    RAISE insufficient_privilege USING MESSAGE = {literal(f"permission denied for table {index.table}")};
  END IF;"""


def applied(name: str, notes: Sequence[str] | None) -> str:
    """Calls it; None: the table was truncated."""
    said = "NULL" if notes is None else f"ARRAY[{', '.join(map(literal, notes))}]"
    return f"SELECT {full(UNIQUE_SCHEMA, OF_UNIQUE + name)}({said}::pg_catalog.text[])"


def answering(index: UniqueIndex, columns: Sequence[Column]) -> str:
    """The function that says, of values in JSON, what is kept with them; NULL to whom the rows would not say that."""
    unique = columns[: len(index.columns)]
    same = [f"kept.{identifier(one.name)} {one.equals} ($1->>{place})::{one.type}" for place, one in enumerate(unique)]
    texts = [_text_of(column, "kept.") for column in index.kept_columns]
    body = f"""
BEGIN
  IF NOT {_may_read(index)} THEN
    RETURN NEXT NULL;
    RETURN;
  END IF;
  RETURN QUERY SELECT json_build_array({", ".join(texts)})::text
  FROM {index.kept} AS kept WHERE {" AND ".join(same)};
END """
    settings = _PATH if all(one.type.partition("(")[0] in _SETTLED for one in columns) else _PLAIN
    head = f"CREATE FUNCTION {index.kept}(json) RETURNS SETOF text LANGUAGE plpgsql STABLE SECURITY DEFINER {settings}"
    return f"{head} AS {literal(body)}"


def _may_read(index: UniqueIndex) -> str:
    """Whether a client may select these columns of any row."""
    table = f"{literal(index.said)}::regclass"
    rights = [f"has_column_privilege(caller.name, c.oid, {literal(one)}, 'SELECT')" for one in index.kept_columns]
    return f"""EXISTS (
    SELECT FROM pg_class AS c, coalesce(nullif(current_setting('role'), 'none')::name, session_user) AS caller(name)
    WHERE c.oid = {table} AND NOT c.relrowsecurity AND {" AND ".join(rights)}
  )"""


# --- the end ------------------------------------------------------------------------------------------------------


def dropped(name: str) -> list[str]:
    """What takes it away, on any shard."""
    kept = full(UNIQUE_SCHEMA, OF_UNIQUE + name)
    return [
        f"DROP FUNCTION IF EXISTS {kept}() CASCADE",
        f"DROP FUNCTION IF EXISTS {kept}(text[])",
        f"DROP FUNCTION IF EXISTS {kept}(json)",
        f"DROP TABLE IF EXISTS {kept}",
    ]
