"""The functions of the console's SELECT: name and number of arguments -> types and what they come to.

What is not in the tables here does not exist (42883): nothing is evaluated that nobody has thought of.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from trunkline.admin import catalog
from trunkline.admin.arrays import ARRAY_OF, OID
from trunkline.admin.probes import PARAMETERS_OF_SESSION, VERSION
from trunkline.admin.result import ConsoleError
from trunkline.admin.scopes import Evaluate, Scope
from trunkline.admin.types import named_or_none, shown
from trunkline.config.pattern_search import PatternTooSlow, search
from trunkline.protocol.messages import BOOL, INT4, INT8, TEXT, TIMESTAMPTZ

TEXTS: Final = ARRAY_OF[TEXT]
ANYTHING: Final = 0  # as the type of an argument
RECORD: Final = 2249
EXPANDED: Final = ("x", "n")  # the fields of what _pg_expandarray gives, the only record there is


class Function(NamedTuple):
    gives: int
    takes: tuple[int, ...]
    call: Callable[..., Any]
    strict: bool = True


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        raise ConsoleError("22012", "division by zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return Decimal(left) / Decimal(right)


def matches(text: str, pattern: str, *, fold: bool = False) -> bool:
    """`~`; patterns are Python's where PostgreSQL's differ, and have little time."""
    try:
        return search(re.compile(pattern, re.IGNORECASE if fold else 0), text) is not None
    except PatternTooSlow:
        raise ConsoleError("54001", "the regular expression takes too long") from None
    except (re.error, OverflowError, RecursionError) as problem:
        raise ConsoleError("2201B", f"invalid regular expression: {problem}") from None


# --- what the catalog's functions say ------------------------------------------------------------------------------


def _format_type(oid: int | None, modifier: int | None) -> str | None:
    return None if oid is None else catalog.TYPES[oid].called if oid in catalog.TYPES else "-" if oid == 0 else "???"


def _schemas(implicit: bool) -> tuple[str, ...]:
    return ("pg_catalog", "public") if implicit else ("public",)


def _setting(name: str) -> str:
    for known, value in PARAMETERS_OF_SESSION.items():
        if known.lower() == name.lower():
            return value
    raise ConsoleError("42704", f'unrecognized configuration parameter "{name[:100]}"')


def _quoted(name: str) -> str:
    plain = name.isidentifier() and name.isascii() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if separator and text else (text,) if text else ()


def _joined(values: tuple[Any, ...], separator: str) -> str:
    return separator.join(shown(value) for value in values if value is not None)


def _upper_bound(values: tuple[Any, ...], dimension: int) -> int | None:
    return len(values) if values and dimension == 1 else None


def _lower_bound(values: tuple[Any, ...], dimension: int) -> int | None:
    return 1 if values and dimension == 1 else None


def _nothing(*_: Any) -> None:
    return None


FUNCTIONS: dict[tuple[str, int], Function] = {
    ("lower", 1): Function(TEXT, (TEXT,), str.lower),
    ("upper", 1): Function(TEXT, (TEXT,), str.upper),
    ("length", 1): Function(INT4, (TEXT,), len),
    ("btrim", 1): Function(TEXT, (TEXT,), lambda text: text.strip(" ")),
    ("substring", 2): Function(TEXT, (TEXT, INT4), lambda text, start: text[max(start - 1, 0) :]),
    ("replace", 3): Function(TEXT, (TEXT, TEXT, TEXT), lambda text, old, new: text.replace(old, new) if old else text),
    ("quote_ident", 1): Function(TEXT, (TEXT,), _quoted),
    ("string_to_array", 2): Function(TEXTS, (TEXT, TEXT), _split),
    ("array_to_string", 2): Function(TEXT, (ANYTHING, TEXT), _joined),
    ("array_upper", 2): Function(INT4, (ANYTHING, INT4), _upper_bound),
    ("array_length", 2): Function(INT4, (ANYTHING, INT4), _upper_bound),
    ("array_lower", 2): Function(INT4, (ANYTHING, INT4), _lower_bound),
    ("now", 0): Function(TIMESTAMPTZ, (), lambda: datetime.now(UTC)),
    ("version", 0): Function(TEXT, (), lambda: VERSION),
    ("current_schema", 0): Function(TEXT, (), lambda: "public"),
    ("current_schemas", 1): Function(TEXTS, (BOOL,), _schemas),
    ("current_setting", 1): Function(TEXT, (TEXT,), _setting),
    ("pg_is_in_recovery", 0): Function(BOOL, (), lambda: False),
    ("pg_encoding_to_char", 1): Function(TEXT, (INT4,), lambda number: "UTF8" if number == 6 else ""),
    ("pg_size_pretty", 1): Function(TEXT, (INT8,), lambda size: f"{size} bytes"),
    ("format_type", 2): Function(TEXT, (OID, INT4), _format_type, strict=False),
    ("_pg_expandarray", 1): Function(RECORD, (ANYTHING,), _nothing),  # is asked of the columns of indexes
    ("to_regtype", 1): Function(2206, (TEXT,), lambda name: named_or_none(name, 2206)),
    ("to_regclass", 1): Function(2205, (TEXT,), lambda name: named_or_none(name, 2205)),
    ("pg_get_userbyid", 1): Function(
        TEXT, (OID,), lambda oid: catalog.OWNER if oid == catalog.OWNER_OID else f"unknown (OID={oid})"
    ),
}
FUNCTIONS.update(
    {(name, count): Function(TEXT, (ANYTHING,) * count, _nothing) for name, count in (
        ("pg_get_expr", 2), ("pg_get_expr", 3), ("obj_description", 1), ("obj_description", 2),
        ("col_description", 2), ("shobj_description", 2), ("pg_get_constraintdef", 1), ("pg_get_constraintdef", 2),
        ("pg_get_indexdef", 1), ("pg_get_indexdef", 3), ("pg_get_viewdef", 1), ("pg_get_viewdef", 2),
        ("pg_get_partkeydef", 1), ("pg_tablespace_location", 1), ("pg_get_function_result", 1),
        ("pg_get_function_identity_arguments", 1), ("pg_get_function_arguments", 1),
    )}
)  # fmt: skip
FUNCTIONS.update(
    {(f"has_{what}_privilege", count): Function(BOOL, (ANYTHING,) * count, lambda *_: True)
     for what in ("database", "schema", "table", "any_column") for count in (2, 3)}
)  # fmt: skip
FUNCTIONS.update(
    {(f"pg_{what}_is_visible", 1): Function(BOOL, (OID,), lambda _: True) for what in ("table", "type", "function")}
)
FUNCTIONS.update(
    {(f"pg_{what}", 1): Function(INT8, (OID,), lambda _: 0)
     for what in ("relation_size", "total_relation_size", "table_size", "stat_get_numscans")}
)  # fmt: skip

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge
}  # fmt: skip
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divide
}  # fmt: skip


# --- aggregates -----------------------------------------------------------------------------------------------------


def _average(values: list[Any]) -> Decimal | None:
    return Decimal(sum(values)) / len(values) if values else None


def _total(values: Iterable[Any]) -> Any:
    values = list(values)
    return sum(values) if values else None


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "sum": _total,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "avg": _average,
    "bool_or": lambda values: any(values) if values else None,
    "bool_and": lambda values: all(values) if values else None,
}


def over_rows(function: Callable[[list[Any]], Any], evaluate: Evaluate, *, nulls: bool = False) -> Evaluate:
    """An aggregate over the rows of a group; over what is not NULL there, unless NULL counts too."""

    def aggregate(scope: Scope) -> Any:
        inner = (evaluate(Scope(row, (), scope.run, scope.outer)) for row in scope.rows)
        return function([value for value in inner if nulls or value is not None])

    return aggregate
