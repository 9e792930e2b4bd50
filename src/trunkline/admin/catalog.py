"""The catalog of the console: what SHOW shows as tables of a schema `public`, for browsers and drivers.

Only what is asked for at connect and to list tables and columns has rows; what else PostgreSQL's catalog has (indexes,
constraints, functions, ...) is there and empty, for the console has none. Names and OIDs are PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any, Final, NamedTuple

from trunkline.admin.arrays import OID
from trunkline.admin.catalog_columns import INFORMATION_SCHEMA, PG_CATALOG, REGPROC, columns_of
from trunkline.admin.columns import Columns
from trunkline.admin.commands import COMMANDS, Answer, Command, Request
from trunkline.admin.probes import PARAMETERS_OF_SESSION
from trunkline.admin.result import Named, Row
from trunkline.protocol.messages import BOOL, BYTEA, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ

DATABASES: Final = ("pgbouncer", "trunkline")
SCHEMAS: Final = {"pg_catalog": 11, "information_schema": 13000, "public": 2200}
OWNER, OWNER_OID = "pgbouncer", 10
_FIRST_OID: Final = 16384  # of what is not PostgreSQL's own
_ARRAY_IN, _ARRAY_RECV, _TEXT_IN, _TEXT_RECV = 750, 2400, 46, 2414
FUNCTIONS: Final = {"array_in": _ARRAY_IN, "array_recv": _ARRAY_RECV, "textin": _TEXT_IN, "textrecv": _TEXT_RECV}


class Type(NamedTuple):
    name: str
    called: str  # by format_type
    length: int
    category: str
    element: int = 0
    array: int = 0


def _types() -> Iterator[tuple[int, Type]]:
    for oid, name, called, length, category, array in (
        (BOOL, "bool", "boolean", 1, "B", 1000),
        (BYTEA, "bytea", "bytea", -1, "U", 1001),
        (18, "char", '"char"', 1, "Z", 1002),
        (19, "name", "name", 64, "S", 1003),
        (INT8, "int8", "bigint", 8, "N", 1016),
        (21, "int2", "smallint", 2, "N", 1005),
        (INT4, "int4", "integer", 4, "N", 1007),
        (REGPROC, "regproc", "regproc", 4, "N", 1008),
        (TEXT, "text", "text", -1, "S", 1009),
        (OID, "oid", "oid", 4, "N", 1028),
        (700, "float4", "real", 4, "N", 1021),
        (701, "float8", "double precision", 8, "N", 1022),
        (705, "unknown", "unknown", -2, "X", 0),
        (1042, "bpchar", "character", -1, "S", 1014),
        (1043, "varchar", "character varying", -1, "S", 1015),
        (1082, "date", "date", 4, "D", 1182),
        (1114, "timestamp", "timestamp without time zone", 8, "D", 1115),
        (TIMESTAMPTZ, "timestamptz", "timestamp with time zone", 8, "D", 1185),
        (NUMERIC, "numeric", "numeric", -1, "N", 1231),
        (2205, "regclass", "regclass", 4, "N", 2210),
        (2206, "regtype", "regtype", 4, "N", 2211),
        (2278, "void", "void", 4, "P", 0),
    ):
        yield oid, Type(name, called, length, category, 0, array)
        if array:
            yield array, Type(f"_{name}", f"{called}[]", -1, "A", oid)


TYPES: Final[dict[int, Type]] = dict(_types())
_TYPES_BY_NAME = {name: oid for oid, one in TYPES.items() for name in (one.name, one.called)}


class Relation(NamedTuple):
    oid: int
    schema: str
    name: str
    columns: Columns


@cache
def relations() -> tuple[Relation, ...]:
    """All of them: those of the catalog, and what SHOW shows."""
    found = [
        Relation(oid, schema, name, columns_of(text))
        for schema, of_schema in (("pg_catalog", PG_CATALOG), ("information_schema", INFORMATION_SCHEMA))
        for name, (oid, text) in of_schema.items()
    ]
    shown = sorted(shown_relations(), key=lambda command: command.words)
    for number, command in enumerate(shown, _FIRST_OID):
        found.append(Relation(number, "public", command.words[1].lower(), command.columns or ()))
    return tuple(found)


def shown_relations() -> Iterator[Command]:
    """The SHOW commands that can be read."""
    return (c for c in COMMANDS.values() if c.words[0] == "SHOW" and c.columns and c.listed)


def name_of(kind: str, oid: int) -> str:
    """As `oid::regclass` and its like show it; a number where there is no such thing."""
    if kind == "regtype":
        return TYPES[oid].called if oid in TYPES else str(oid)
    if kind == "regproc":
        return next((name for name, known in FUNCTIONS.items() if known == oid), "-" if oid == 0 else str(oid))
    return next((one.name for one in relations() if one.oid == oid), str(oid))


def oid_of(kind: str, name: str) -> int | None:
    """What `'name'::regclass` and its like mean."""
    if name.isdecimal():
        return int(name)
    schema, _, last = name.replace('"', "").rpartition(".")
    if kind == "regtype":
        return _TYPES_BY_NAME.get(last)
    if kind == "regproc":
        return FUNCTIONS.get(last)
    return next((one.oid for one in relations() if one.name == last and schema in ("", one.schema)), None)


# --- rows ---------------------------------------------------------------------------------------------------------

_Given = dict[str, Any]
_CURRENT: Final = object()  # the database of who asks


def _namespaces() -> Iterator[_Given]:
    for name, oid in SCHEMAS.items():
        yield {"oid": oid, "nspname": name, "nspowner": OWNER_OID}


def _classes() -> Iterator[_Given]:
    for one in relations():
        yield {
            "oid": one.oid, "relname": one.name, "relnamespace": SCHEMAS[one.schema], "reltype": 0, "reloftype": 0,
            "relowner": OWNER_OID, "relam": 0, "relfilenode": 0, "reltablespace": 0, "relpages": 0, "reltuples": "-1",
            "relallvisible": 0, "relallfrozen": 0, "reltoastrelid": 0, "relhasindex": False, "relisshared": False,
            "relpersistence": "p", "relkind": "r", "relnatts": len(one.columns), "relchecks": 0, "relhasrules": False,
            "relhastriggers": False, "relhassubclass": False, "relrowsecurity": False, "relforcerowsecurity": False,
            "relispopulated": True, "relreplident": "n", "relispartition": False, "relrewrite": 0,
            "relacl": (f"{OWNER}=r/{OWNER}",), "relhasoids": False,
        }  # fmt: skip


def _attributes() -> Iterator[_Given]:
    for one in relations():
        for number, (name, oid) in enumerate(one.columns, 1):
            yield {
                "attrelid": one.oid, "attname": name, "atttypid": oid, "attlen": TYPES[oid].length, "attnum": number,
                "atttypmod": -1, "attndims": 0, "attbyval": False, "attalign": "i", "attstorage": "p",
                "attcompression": "", "attnotnull": False, "atthasdef": False, "atthasmissing": False,
                "attidentity": "", "attgenerated": "", "attisdropped": False, "attislocal": True, "attinhcount": 0,
                "attcollation": 0,
            }  # fmt: skip


def _type_rows() -> Iterator[_Given]:
    for oid, one in TYPES.items():
        yield {
            "oid": oid, "typname": one.name, "typnamespace": SCHEMAS["pg_catalog"], "typowner": OWNER_OID,
            "typlen": one.length, "typbyval": 0 < one.length <= 8, "typtype": "p" if one.category in "PX" else "b",
            "typcategory": one.category, "typispreferred": False, "typisdefined": True, "typdelim": ",", "typrelid": 0,
            "typsubscript": 0, "typelem": one.element, "typarray": one.array,
            "typinput": _ARRAY_IN if one.element else _TEXT_IN, "typoutput": 0,
            "typreceive": _ARRAY_RECV if one.element else _TEXT_RECV, "typsend": 0,
            "typmodin": 0, "typmodout": 0, "typanalyze": 0, "typalign": "i", "typstorage": "p", "typnotnull": False,
            "typbasetype": 0, "typtypmod": -1, "typndims": 0, "typcollation": 0,
        }  # fmt: skip


def _procedures() -> Iterator[_Given]:
    """By which drivers know an array."""
    for name, oid in FUNCTIONS.items():
        yield {
            "oid": oid,
            "proname": name,
            "pronamespace": SCHEMAS["pg_catalog"],
            "proowner": OWNER_OID,
            "prokind": "f",
        }


def _databases() -> Iterator[_Given]:
    for number, name in enumerate(DATABASES, 1):
        yield {
            "oid": number, "datname": name, "datdba": OWNER_OID, "encoding": 6, "datlocprovider": "c",
            "datistemplate": False, "datallowconn": True, "dathasloginevt": False, "datconnlimit": -1,
            "dattablespace": 1663, "datcollate": "C", "datctype": "C",
        }  # fmt: skip


def _roles() -> Iterator[_Given]:
    yield {
        "rolname": OWNER, "rolsuper": True, "rolinherit": True, "rolcreaterole": False, "rolcreatedb": False,
        "rolcanlogin": True, "rolreplication": False, "rolconnlimit": -1, "rolpassword": "********",
        "rolbypassrls": True, "oid": OWNER_OID,
    }  # fmt: skip


def _settings() -> Iterator[_Given]:
    for name, value in {**PARAMETERS_OF_SESSION, "max_index_keys": "32"}.items():  # which JDBC asks for
        yield {"name": name, "setting": value, "boot_val": value, "reset_val": value, "pending_restart": False}


def _tables() -> Iterator[_Given]:
    flags = dict.fromkeys(("hasindexes", "hasrules", "hastriggers", "rowsecurity"), False)
    for one in relations():
        yield {"schemaname": one.schema, "tablename": one.name, "tableowner": OWNER, **flags}


def _schemata() -> Iterator[_Given]:
    for name in SCHEMAS:
        yield {"catalog_name": _CURRENT, "schema_name": name, "schema_owner": OWNER}


def _tables_of_standard() -> Iterator[_Given]:
    for one in relations():
        yield {
            "table_catalog": _CURRENT, "table_schema": one.schema, "table_name": one.name,
            "table_type": "BASE TABLE", "is_insertable_into": "NO", "is_typed": "NO",
        }  # fmt: skip


def _columns_of_standard() -> Iterator[_Given]:
    for one in relations():
        for number, (name, oid) in enumerate(one.columns, 1):
            yield {
                "table_catalog": _CURRENT, "table_schema": one.schema, "table_name": one.name, "column_name": name,
                "ordinal_position": number, "is_nullable": "YES", "data_type": TYPES[oid].called,
                "udt_catalog": _CURRENT, "udt_schema": "pg_catalog", "udt_name": TYPES[oid].name,
                "dtd_identifier": str(number), "is_self_referencing": "NO", "is_identity": "NO",
                "is_generated": "NEVER", "is_updatable": "NO",
            }  # fmt: skip


_ROWS: dict[tuple[str, str], Callable[[], Iterable[_Given]]] = {
    ("pg_catalog", "pg_namespace"): _namespaces,
    ("pg_catalog", "pg_class"): _classes,
    ("pg_catalog", "pg_attribute"): _attributes,
    ("pg_catalog", "pg_type"): _type_rows,
    ("pg_catalog", "pg_proc"): _procedures,
    ("pg_catalog", "pg_database"): _databases,
    ("pg_catalog", "pg_roles"): _roles,
    ("pg_catalog", "pg_settings"): _settings,
    ("pg_catalog", "pg_tables"): _tables,
    ("information_schema", "schemata"): _schemata,
    ("information_schema", "tables"): _tables_of_standard,
    ("information_schema", "columns"): _columns_of_standard,
}


@cache
def rows_of(schema: str, name: str, database: str) -> tuple[Row, ...]:
    """The rows of a relation of the catalog, as a client of this database sees them; what is not given is NULL."""
    columns = _columns(schema, name) or ()
    given = _ROWS.get((schema, name), tuple)()
    shown = ({key: database if value is _CURRENT else value for key, value in row.items()} for row in given)
    return tuple(tuple(_value(row.get(column), oid) for column, oid in columns) for row in shown)


def _value(value: Any, oid: int) -> Any:
    return Named(value, name_of("regproc", value)) if oid == REGPROC and value is not None else value


def find(schema: str | None, name: str) -> Command | None:
    """A relation by its name; without a schema it is looked for in pg_catalog first, as in PostgreSQL."""
    for known in ("pg_catalog", "information_schema") if schema else ("pg_catalog",):
        columns = _columns(known, name) if schema in (None, known) else None
        if columns is not None:
            return Command((), partial(_answer, known, name), "SELECT", columns)
    command = COMMANDS.get(("SHOW", name.upper())) if schema in (None, "public") else None
    return command if command is not None and command.columns and command.listed else None


def _columns(schema: str, name: str) -> Columns | None:
    found = {"pg_catalog": PG_CATALOG, "information_schema": INFORMATION_SCHEMA}[schema].get(name)
    return columns_of(found[1]) if found is not None else None


async def _answer(schema: str, name: str, request: Request) -> Answer:
    return Answer(rows_of(schema, name, request.identity.database))
