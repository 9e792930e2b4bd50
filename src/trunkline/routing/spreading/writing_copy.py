"""COPY FROM STDIN of a sharded table: which columns of the data are the key, and how the data is written.

The data itself is cut by execution/spread/copy_split.pyx; each shard gets the client's own COPY with its part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.routing.keys.binary_forms import READERS as BINARY_TYPES
from trunkline.routing.keys.sharding import Kind, NotCoercible, ShardFunction, Value
from trunkline.routing.keys.values import base_of, from_binary, from_text
from trunkline.routing.planning.writes import of_null_key
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.masks import mask_of
from trunkline.routing.plans.plan import Equals, Parameter, Refusal, RoutePlan, Verdict, Where
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.spreading.moments import Template, asks_time, cut, is_of_time, places_of
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.writing_reading import Written, analysed, default_of
from trunkline.routing.sql import Node, walk
from trunkline.routing.text.fingerprint import Fingerprint

_KNOWN = frozenset(
    [
        "format", "delimiter", "null", "header", "quote", "escape", "force_null", "force_not_null", "encoding",
        "default", "freeze", "log_verbosity",
    ]
)  # fmt: skip
MARKER_IS_DATA = 180000  # from this version on, in CSV
_TRUE = ("true", "on", "1", "match")
OTHER_ENCODING = Refusal("COPY data in another encoding than UTF8 is not split over shards.", "Send it as UTF8.")


@dataclass(frozen=True, slots=True)
class CopyRows:
    """`keys` are the places of the key's columns in a row; the marks are bytes as the data has them."""

    text: Template
    asks_time: bool
    form: str
    keys: tuple[int, ...]
    function: ShardFunction
    ready: ReadyPlan
    nowhere: Where  # where a row is put whose key is NULL
    home: int
    header: bool
    delimiter: bytes
    null: bytes
    quote: bytes
    escape: bytes
    default: bytes | None
    force_null: bool
    force_not_null: bool
    says_encoding: bool  # so it does not depend on the session's
    csv_marker: bool  # a line with a backslash and a dot alone ends CSV data too
    times: tuple[int, ...] = ()  # places of columns whose data may say `now`

    def place(self, key: tuple[bytes | None, ...]) -> int:
        """The mask of a row's key as it stands in the data; KeyUnknown if only PostgreSQL can read it."""
        read = from_binary if self.form == "binary" else from_text
        try:
            values: list[Value | None] = [
                None if one is None else read(one, type) for one, type in zip(key, self.function.types, strict=True)
            ]
        except NotCoercible:
            return 1 << self.home
        return mask_of(self.nowhere, Call()) if None in values else self.function.shards_of(tuple(values))


def plan(written: Written) -> CopyRows | Refusal:
    """A COPY FROM."""
    node, found, rule = written.node, written.found, written.use.rule
    assert rule.function is not None
    assert found.relation is not None
    options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in node.get("options", ())}
    columns = columns_of_data(found.relation, node)
    refusal = _not_understood(written, options, columns)
    if refusal is not None:
        return refusal
    places = places_of(written.analysis, written.analysis.text, node.get("whereClause", {}))
    if isinstance(places, Refusal):
        return places
    form = text_of(options.get("format"), "text")
    is_csv = form == "csv"
    quote = text_of(options.get("quote"), '"')
    text = cut(written.analysis.text, 0, len(written.analysis.text), places)
    where = Equals(rule.function, tuple(Parameter(number) for number, _ in enumerate(rule.columns, 1)))
    return CopyRows(
        text,
        asks_time([text]),
        form,
        tuple(columns.index(name) for name in rule.columns),
        rule.function,
        ReadyPlan(RoutePlan(Verdict.ROUTED, where), Fingerprint(b""), b""),
        of_null_key(written.analysis, found, written.use),
        written.analysis.sharding.home,
        "header" in options and is_true(options["header"]),
        text_of(options.get("delimiter"), "," if is_csv else "\t").encode(),
        text_of(options.get("null"), "" if is_csv else "\\N").encode(),
        quote.encode(),
        text_of(options.get("escape"), quote).encode(),
        text_of(options["default"], "").encode() if "default" in options else None,
        _names_any(options.get("force_null"), rule.columns),
        _names_any(options.get("force_not_null"), rule.columns),
        "encoding" in options,
        int(written.analysis.catalog.server.get("version", "0")) < MARKER_IS_DATA,
        times=times_of(found.relation, columns) if form != "binary" else (),
    )


def times_of(relation: Relation, columns: Sequence[str]) -> tuple[int, ...]:
    """The places of columns of dates and times, and of arrays and ranges of them."""
    types = {one.name: one.type for one in relation.columns}
    return tuple(place for place, name in enumerate(columns) if is_of_time(types.get(name, "")))


def columns_of_data(relation: Relation, node: Node) -> list[str]:
    """Those that the data has, in order."""
    if "attlist" in node:
        return [one["String"].get("sval", "") for one in node["attlist"]]
    return [one.name for one in relation.columns if not one.generated or "nextval(" in (one.default or "")]


def _not_understood(written: Written, options: Mapping[str, Node], columns: list[str]) -> Refusal | None:
    unknown = next((name for name in options if name not in _KNOWN), "")
    if unknown or ("freeze" in options and is_true(options["freeze"])):
        return Refusal(f"COPY with {(unknown or 'freeze').upper()} is not split over shards.", "Leave it out.")
    encoding = text_of(options.get("encoding"), "utf8").lower().replace("-", "").replace("_", "")
    if encoding not in ("utf8", "unicode"):
        return OTHER_ENCODING
    rule, relation = written.use.rule, written.found.relation
    missing = next((name for name in rule.columns if name not in columns), "")
    if missing:
        return Refusal(f"The data has no {missing}, by which {written.found.full_name} is sharded.", "Copy it as well.")
    types = rule.function.types if rule.function is not None else ()
    if text_of(options.get("format"), "") == "binary" and any(base_of(one) not in BINARY_TYPES for one in types):
        return Refusal("The key is of a type that is not read in binary.", "Copy in text or CSV format.")
    for column in relation.columns if relation is not None else ():
        if column.name not in columns or "default" in options:
            default = default_of(written, column)
            if default is not None:
                reason = f"The default of {column.name} has one value for all shards, which each would make of its own."
                return default if isinstance(default, Refusal) else Refusal(reason, f"Copy {column.name} as well.")
    return _own_function(written)


def _own_function(written: Written) -> Refusal | None:
    for name, value in walk(written.node.get("whereClause", {})):
        if name == "FuncCall":
            names = [part["String"].get("sval", "") for part in value["funcname"]]
            schema = names[-2] if len(names) > 1 else None
            analysis = written.analysis
            found = analysis.catalog.find_functions(schema, names[-1], analysis.search_path)
            if any(one.schema != "pg_catalog" for one in found):
                return Refusal(f"The WHERE of COPY calls {names[-1]}(), which is not looked into.", "Leave it out.")
    return None


def text_of(arg: Node | None, default: str) -> str:
    """What an option says as a word."""
    return default if arg is None else str(arg.get("String", {}).get("sval", default if "String" not in arg else ""))


def is_true(arg: Node) -> bool:
    """Whether an option is on."""
    if "Boolean" in arg:
        return bool(arg["Boolean"].get("boolval"))
    if "Integer" in arg:
        return bool(arg["Integer"].get("ival"))
    return "String" not in arg or arg["String"].get("sval", "").lower() in _TRUE


def _names_any(arg: Node | None, columns: tuple[str, ...]) -> bool:
    if arg is None:
        return False
    items = arg.get("List", {}).get("items", ())
    return "A_Star" in arg or any(one["String"].get("sval") in columns for one in items)


@dataclass(frozen=True, slots=True)
class CopyAll:
    """COPY TO STDOUT of a sharded table: all that each shard has."""

    sql: bytes
    is_binary: bool
    header: bool


def plan_out(request: Request) -> CopyAll | Refusal:
    """A COPY TO STDOUT."""
    written = analysed(request)
    if isinstance(written, Refusal):
        return written
    relation = written.found.relation
    if written.found.rule.kind is not Kind.SHARDED or relation is None or relation.kind not in ("r", "p"):
        return Refusal("It copies what is no sharded table.", "Copy a query for one shard.")
    options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in request.node.get("options", ())}
    header = "header" in options and is_true(options["header"])
    return CopyAll(request.sql, text_of(options.get("format"), "") == "binary", header)
