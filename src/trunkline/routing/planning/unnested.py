"""Rows that are given as arrays, one for each column: `INSERT INTO t (...) SELECT * FROM unnest($1::int[], ...)`.

So drivers and frameworks insert many rows at once. The keys of the rows are the elements of one array. Where arrays are
of different lengths the shorter ones are filled up with NULL, so this is read for a key that may not be NULL only.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.keys.sharding import TableRule
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.constants import family_of, fits
from trunkline.routing.plans.plan import InArray, Where
from trunkline.routing.sql import Node, only

# Types besides those with a family of which it is certain that an array of them gives one column, as of a row type it
# does not.
_ONE_COLUMN = frozenset(["bit", "json", "jsonb", "money", "varbit", "xml"])
_PARTS_OF_A_QUERY = frozenset(["targetList", "fromClause", "limitOption", "op"])
_PARTS_OF_A_SOURCE = frozenset(["functions", "alias", "lateral"])
_PARTS_OF_A_CALL = frozenset(["funcname", "args", "funcformat", "location"])


def where_of_arrays(
    analysis: Analysis, found: Found, rule: TableRule, columns: Sequence[str], select: Node
) -> Where | None:
    """The shards of the rows that are inserted; None if they are not given like this, or their keys are not known."""
    arrays = _arrays(analysis, select)
    if arrays is None or rule.function is None or len(rule.columns) != 1 or rule.columns[0] not in columns:
        return None
    name = rule.columns[0]
    place, column = columns.index(name), found.relation.column(name) if found.relation is not None else None
    if place >= len(arrays) or column is None or not column.not_null or not all(map(_gives_one_column, arrays)):
        return None
    source = analysis.constant(arrays[place])
    if source is None or not fits(found.columns.get(name), source):
        return None
    analysis.facts.move(
        f"The rows for {found.full_name} are given as arrays, and belong to more than one shard.",
        "Insert the rows of each shard by themselves.",
    )
    return InArray(rule.function, source)


def _arrays(analysis: Analysis, select: Node) -> Sequence[Node] | None:
    """The arguments of unnest, if all that is selected is what it gives."""
    if not set(select) <= _PARTS_OF_A_QUERY or len(select.get("fromClause", ())) != 1:
        return None
    if len(select["targetList"]) != 1 or not _is_star(select["targetList"][0]["ResTarget"]["val"]):
        return None
    kind, node = only(select["fromClause"][0])
    if kind != "RangeFunction" or not set(node) <= _PARTS_OF_A_SOURCE or len(node["functions"]) != 1:
        return None
    call, *_ = node["functions"][0]["List"]["items"]
    return _arguments(analysis, call["FuncCall"]) if "FuncCall" in call else None


def _is_star(target: Node) -> bool:
    return [set(field) for field in target.get("ColumnRef", {}).get("fields", ())] == [{"A_Star"}]


def _arguments(analysis: Analysis, call: Node) -> Sequence[Node] | None:
    """Those of PostgreSQL's own unnest; anybody else's could be meant by the types of its arguments."""
    if not set(call) <= _PARTS_OF_A_CALL or not analysis.trusts_names:
        return None
    names = [part["String"].get("sval", "") for part in call["funcname"]]
    if names[-1] != "unnest" or names[:-1] not in ([], ["pg_catalog"]):
        return None
    others = analysis.catalog.find_functions(None, "unnest", analysis.search_path) if len(names) == 1 else ()
    if any(one.schema != "pg_catalog" for one in others):
        return None
    arguments: Sequence[Node] = call.get("args", ())
    return arguments


def _gives_one_column(argument: Node) -> bool:
    """Whether it is cast to an array of what is no row."""
    cast = argument.get("TypeCast")
    if cast is None or not cast["typeName"].get("arrayBounds"):
        return False
    names = [part["String"].get("sval", "") for part in cast["typeName"].get("names", ())]
    is_builtin = len(names) == 1 or names[0] == "pg_catalog"
    return is_builtin and (family_of(names[-1]) is not None or names[-1] in _ONE_COLUMN)
