"""Which functions are known to read no table and to touch nothing that there is one of: proved from their bodies.

A function that reads a table would read what one shard has of it. PostgreSQL's own read none but for those in the
tables below; of somebody's own function every statement is looked at, and those of the functions that it calls. What
is written in another language than SQL and PL/pgSQL is not known; what is compiled, as extensions are, is trusted.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.routing.planning.programs import Unseen, statements_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, Function, Name
from trunkline.routing.sql import Node, walk

Called = tuple[str | None, str]  # schema, if it is written, and name

_ONE_OF_IT = frozenset(
    [
        *("currval", "lastval", "nextval", "setval", "pg_notify", "set_config", "setseed"),
        *("txid_current", "txid_current_if_assigned", "txid_current_snapshot", "pg_current_snapshot"),
        *("pg_current_xact_id", "pg_current_xact_id_if_assigned"),
        *("pg_my_temp_schema", "current_schemas", "pg_export_snapshot", "pg_cursor"),
        *("lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_open"),
        *("lo_put", "lo_truncate", "lo_unlink", "loread", "lowrite"),
    ]
)
_OF_TABLES = frozenset(
    [
        *("cursor_to_xml", "cursor_to_xmlschema", "database_to_xml", "query_to_xml", "query_to_xmlschema"),
        *("query_to_xml_and_xmlschema", "schema_to_xml", "table_to_xml", "table_to_xmlschema"),
        *("to_regclass", "to_regtype", "pg_relation_size", "pg_table_size", "pg_total_relation_size"),
        *("ts_rewrite", "ts_stat", "pg_get_viewdef", "pg_relation_filepath",),
        *("pg_indexes_size", "has_table_privilege", "has_column_privilege", "has_any_column_privilege", "pg_typeof"),
        *("connectby", "crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabN", "xpath_table"),
        *("row_security_active", "pg_relation_filenode"),
    ]
)  # fmt: skip
_PREFIXES = ("pg_advisory_", "pg_try_advisory_", "dblink")
_COMPILED = ("c", "internal")
MAX_NESTING = 10
_HINT = "Name the key of every sharded table, or write what the function does into the statement."


def why_not_free_call(
    catalog: Catalog, search_path: tuple[str, ...], called: Called, arguments: int, depth: int = 0
) -> Refusal | None:
    """Why a call may read tables, of any function that may be meant; None: it does not."""
    schema, name = called
    own = () if schema == "pg_catalog" else catalog.find_functions(schema, name, search_path)
    for function in own:
        if function.schema != "pg_catalog" and _takes(function, arguments):
            found = why_not_free(catalog, search_path, function, depth)
            if found is not None:
                return found
    return _builtin(name)


def _takes(function: Function, given: int) -> bool:
    most = len(function.arguments)
    return function.variadic or function.kind == "a" or most - function.defaults <= given <= most


def _builtin(name: str) -> Refusal | None:
    if name in _ONE_OF_IT or name.startswith(_PREFIXES):
        return Refusal(f"It calls {name}(), which concerns what there is one of.", "Call it in a statement of its own.")
    if name in _OF_TABLES:
        return Refusal(f"{name}() means a table or a type of one shard.", _HINT)
    return None


def why_not_free(catalog: Catalog, search_path: tuple[str, ...], function: Function, depth: int = 0) -> Refusal | None:
    """The same of one function of somebody's own."""
    name = f"The function {function.schema}.{function.name}()"
    if depth > MAX_NESTING:
        return Refusal(f"{name} calls functions that call functions, too deep to be looked into.", _HINT)
    if function.kind == "a":
        return _first(_by_name(catalog, search_path, one, depth + 1) for one in parts_of(function))
    if function.language in _COMPILED:
        return None
    try:
        statements = statements_of(function.language, function.body)
    except Unseen:
        return Refusal(f"{name} may read tables: what it does is not in its text.", _HINT)
    return _first(_statement(catalog, search_path, name, kind, node, depth) for _, kind, node in statements)


def parts_of(aggregate: Function) -> list[Name]:
    """The functions that an aggregate is made of, which stand in place of its body: `schema.name schema.name`."""
    names = [one.partition(".") for one in aggregate.body.split()]
    return [(schema, name) for schema, _, name in names]


def _by_name(catalog: Catalog, search_path: tuple[str, ...], name: Name, depth: int) -> Refusal | None:
    if name[0] == "pg_catalog":
        return None
    found = catalog.functions.get(name)
    if found is None:
        return Refusal(f"Nothing is known of the function {'.'.join(name)}().", _HINT)
    return _first(why_not_free(catalog, search_path, one, depth) for one in found)


def _statement(
    catalog: Catalog, search_path: tuple[str, ...], name: str, kind: str, node: Node, depth: int
) -> Refusal | None:
    if kind != "SelectStmt":
        return Refusal(f"{name} has a statement that is no SELECT.", _HINT)
    for key, value in walk(node):
        if key == "RangeVar":
            return Refusal(f"{name} reads {value['relname']}.", _HINT)
        if key == "FuncCall":
            parts = [part["String"].get("sval", "") for part in value["funcname"]]
            called = (parts[-2] if len(parts) > 1 else None, parts[-1])
            if found := why_not_free_call(catalog, search_path, called, len(value.get("args", ())), depth + 1):
                return found
    return None


def _first(found: Iterable[Refusal | None]) -> Refusal | None:
    return next((one for one in found if one is not None), None)
