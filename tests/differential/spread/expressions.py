"""Random expressions over the columns that are in scope, each of a known type, so that nearly all of them are valid.

Arithmetic stays far from overflow, since whether a row that a condition drops is computed first is not SQL's to say.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.differential.spread.columns import (
    BOOL,
    FLOAT8,
    INT4,
    INT4S,
    INT8,
    JSON,
    JSONB,
    NUMERIC,
    ROUNDED,
    TEXT,
    Type,
)
from tests.differential.spread.saying import Parameter

BIGGEST = replace(INT8, name="sum_int8")
PLAIN_NUMERIC = replace(NUMERIC, name="any_numeric")
TEXTS = replace(TEXT, name="texts", sql="text[]", family="array_of_others")


@dataclass(frozen=True)
class Expression:
    """Some SQL and its type."""

    sql: str
    type: Type


@dataclass(frozen=True)
class Relation:
    """What FROM has under one name; ``group`` is that of a sharded table whose key is column k."""

    alias: str
    columns: tuple[tuple[str, Type], ...]
    group: str = ""

    def column(self, name: str) -> Expression:
        kind = next(kind for known, kind in self.columns if known == name)
        return Expression(f"{self.alias}.{name}", kind)

    def all(self) -> list[Expression]:
        return [Expression(f"{self.alias}.{name}", kind) for name, kind in self.columns]


Scope = Sequence[Relation]


def is_ordered(kind: Type) -> bool:
    return kind.family != "unordered"


class Expressions:
    """Makes them; with ``parameters`` a list, some constants become parameters of the extended protocol."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.parameters: list[Parameter] | None = None

    # --- values -------------------------------------------------------------------------------------------------

    def constant(self, kind: Type, *, null: bool = False) -> str:
        """A value of this type, rarely NULL."""
        value = None if null and self.rng.random() < 0.05 else self.rng.choice(kind.values)
        if self.parameters is not None and kind.oid and self.rng.random() < 0.5:
            return self._parameter(kind, value)
        return kind.literal(value)

    def _parameter(self, kind: Type, value: str | None) -> str:
        assert self.parameters is not None
        binary = kind.binary is not None and value is not None and self.rng.random() < 0.5
        declared = kind.oid if binary or self.rng.random() < 0.5 else 0
        said = kind.said(value, int(binary))
        self.parameters.append(Parameter(declared, int(binary), said, f"({kind.literal(value)})", kind))
        return f"${len(self.parameters)}::{kind.sql}"

    def column(self, scope: Scope, *, families: Sequence[str] = ()) -> Expression | None:
        found = [one for relation in scope for one in relation.all() if not families or one.type.family in families]
        return self.rng.choice(found) if found else None

    def value(self, scope: Scope) -> Expression:
        """A column, mostly, or something computed."""
        column = self.column(scope)
        if column is None:
            return Expression(self.constant(INT4), INT4)
        return column if self.rng.random() < 0.65 else self.computed(column, scope)

    def computed(self, of: Expression, scope: Scope) -> Expression:
        rng, kind = self.rng, of.type
        if rng.random() < 0.15:
            other = self.constant(kind) if kind.values else of.sql
            return Expression(f"CASE WHEN {self.predicate(scope, 0)} THEN {of.sql} ELSE {other} END", kind)
        if rng.random() < 0.15 and kind.values:
            return Expression(f"coalesce({of.sql}, {self.constant(kind)})", kind)
        if rng.random() < 0.1 and kind.values:
            return Expression(f"nullif({of.sql}, {self.constant(kind)})", kind)
        return Expression(*rng.choice(COMPUTED.get(kind.family, UNARY))(of.sql, self))

    # --- conditions ---------------------------------------------------------------------------------------------

    def predicate(self, scope: Scope, depth: int = 1) -> str:
        rng = self.rng
        if depth > 0 and rng.random() < 0.35:
            parts = [self.predicate(scope, depth - 1) for _ in range(rng.randint(2, 3))]
            return "(" + rng.choice([" AND ", " OR "]).join(parts) + ")"
        if rng.random() < 0.1:
            return f"NOT ({self.predicate(scope, depth - 1)})"
        column = self.column(scope)
        if column is None:
            return rng.choice(["true", "1 = 1", "NULL::bool"])
        return self._about(column, scope)

    def key_is(self, relation: Relation) -> str:
        """A condition that says the key, or a few."""
        key = relation.column("k")
        if self.rng.random() < 0.4:
            return f"{key.sql} = {self.constant(key.type)}"
        return f"{key.sql} IN ({', '.join(self.constant(key.type) for _ in range(self.rng.randint(2, 3)))})"

    def _about(self, one: Expression, scope: Scope) -> str:
        rng, kind = self.rng, one.type
        chance = rng.random()
        if chance < 0.12 or not kind.values:
            return f"{one.sql} IS {rng.choice(['', 'NOT '])}NULL"
        if chance < 0.2:
            return f"{one.sql} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {self.constant(kind)}"
        if chance < 0.32:
            return f"{one.sql} {rng.choice(['', 'NOT '])}IN ({self.constant(kind)}, {self.constant(kind, null=True)})"
        if chance < 0.4:
            return f"{one.sql} BETWEEN {self.constant(kind)} AND {self.constant(kind)}"
        if chance < 0.48 and kind.family not in ("array", "array_of_others"):
            return f"{one.sql} = ANY (ARRAY[{self.constant(kind)}, {self.constant(kind)}])"
        others = [other for relation in scope for other in relation.all() if other.type == kind and other != one]
        if chance < 0.65 and others:
            return f"{one.sql} {rng.choice(COMPARISONS)} {rng.choice(others).sql}"
        if kind.family == "text" and chance < 0.75:
            return f"{one.sql} LIKE {rng.choice(_PATTERNS)}"
        if kind.family == "json":
            return rng.choice(
                [f"{one.sql} @> '{{\"a\": 1}}'", f"{one.sql} ? 'a'", f"jsonb_typeof({one.sql}) = 'object'"]
            )
        if kind is INT4S:
            return rng.choice([f"{one.sql} @> ARRAY[1]", f"1 = ANY ({one.sql})", f"cardinality({one.sql}) > 1"])
        if kind.family == "bool":
            return rng.choice([one.sql, f"NOT {one.sql}", f"{one.sql} IS TRUE"])
        return f"{one.sql} {rng.choice(COMPARISONS)} {self.constant(kind)}"


COMPARISONS = ("=", "=", "<>", "<", "<=", ">", ">=")
_PATTERNS = ("'a%'", "'%b'", "'_'", "'%%'", "'A%'")
Computing = Callable[[str, Expressions], tuple[str, Type]]


def _as(kind: Type, form: str) -> Computing:
    return lambda sql, _: (form.format(sql), kind)


UNARY: Sequence[Computing] = (_as(BOOL, "({} IS NULL)"), _as(TEXT, "md5({}::text)"))
COMPUTED: dict[str, Sequence[Computing]] = {
    "integer": (
        _as(PLAIN_NUMERIC, "({}::numeric * 2)"),
        _as(BIGGEST, "({} % 3)::int8"),
        _as(INT4, "(({} % 5)::int4 + 1)"),
        _as(INT4, "sign({}::float8)::int4"),
        _as(TEXT, "({}::text)"),
        _as(BOOL, "({} > 1)"),
    ),
    "numeric": (
        _as(PLAIN_NUMERIC, "round({}, 1)"),
        _as(PLAIN_NUMERIC, "({} / 3)"),
        _as(PLAIN_NUMERIC, "abs({})"),
        _as(BOOL, "({} > 1)"),
    ),
    "float": (_as(FLOAT8, "({} * 2)::float8"), _as(FLOAT8, "floor({})::float8"), _as(BOOL, "({} > 0.5)")),
    "rounded": (_as(ROUNDED, "({} * 2)::float8"),),
    "text": (
        _as(INT4, "length({})"),
        _as(TEXT, 'upper({}::text) COLLATE "default"'),
        _as(TEXT, "(({}::text) || 'x') COLLATE \"default\""),
        _as(TEXT, 'left({}::text, 1) COLLATE "default"'),
    ),
    "time": (
        _as(INT4, "CASE WHEN isfinite({0}) THEN extract(year FROM {0})::int4 END"),
        _as(TEXT, "({}::text)"),
    ),
    "json": (_as(TEXT, "({} ->> 'a')"), _as(JSONB, "({} -> 'a')"), _as(TEXT, "jsonb_typeof({})")),
    "array": (_as(INT4, "cardinality({})"), _as(INT4, "{}[1]"), _as(INT4S, "({} || 7)")),
    "bool": (_as(BOOL, "(NOT {})"), _as(INT4, "({}::int4)")),
    "enum": (_as(TEXT, "({}::text)"),),
}


# --- aggregates ---------------------------------------------------------------------------------------------------


def aggregates(of: Expression) -> list[Expression]:
    """All that can be made of a column, whose answer does not depend on the order of the rows."""
    sql, kind = of.sql, of.type
    found = [
        Expression(f"count({sql})", BIGGEST),
        Expression(f"count(DISTINCT {sql})", BIGGEST),
        Expression(f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {sql})", kind),
        Expression(f"mode() WITHIN GROUP (ORDER BY {sql})", kind),
    ]
    if kind.family != "rounded":  # in a text all its digits would be compared
        found.append(Expression(f"jsonb_agg({sql} ORDER BY {sql})", JSONB))
        found.append(Expression(f"json_agg({sql} ORDER BY {sql} DESC NULLS LAST)", JSON))
    if kind.family not in ("array", "array_of_others", "enum", "rounded"):
        found.append(Expression(f"array_agg({sql} ORDER BY {sql})::text", TEXT))
        found.append(Expression(f"array_agg(DISTINCT {sql})::text", TEXT))
    if kind.has_extremes:
        shown = replace(TEXT, name=f"extreme_{kind.collation}") if kind.family == "text" else kind
        found += [Expression(f"{name}({sql})", shown) for name in ("min", "max", "min", "max")]
    return found + [Expression(form.format(sql), result) for form, result in AGGREGATES.get(kind.family, ())]


_SPREADS = ("stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp")
AGGREGATES: dict[str, list[tuple[str, Type]]] = {
    "integer": [
        ("sum({}::numeric)", PLAIN_NUMERIC),
        ("sum({})", PLAIN_NUMERIC),
        ("sum(DISTINCT {})", PLAIN_NUMERIC),
        ("avg({})", PLAIN_NUMERIC),
        ("avg({})", PLAIN_NUMERIC),
        ("bit_and({})::int8", BIGGEST),
        ("bit_or({})", BIGGEST),
        ("bit_xor({})", BIGGEST),
        ("total(({} % 100)::int8)", BIGGEST),
        ("corr({0}::float8, length({0}::text)::float8)", ROUNDED),
        ("percentile_cont(0.25) WITHIN GROUP (ORDER BY {}::float8)", FLOAT8),
        ("rank(2) WITHIN GROUP (ORDER BY {}::int8)", BIGGEST),
        *((f"{name}({{}})", PLAIN_NUMERIC) for name in _SPREADS),
    ],
    "numeric": [
        ("sum({})", PLAIN_NUMERIC),
        ("sum({})", PLAIN_NUMERIC),
        ("avg({})", PLAIN_NUMERIC),
        ("sum(DISTINCT {})", PLAIN_NUMERIC),
        *((f"{name}({{}})", PLAIN_NUMERIC) for name in _SPREADS),
    ],
    "float": [
        ("sum({})", ROUNDED),
        ("avg({})", ROUNDED),
        ("regr_slope({0}::float8, {0}::float8 * 2)", ROUNDED),
        *((f"{name}({{}})", ROUNDED) for name in _SPREADS),
    ],
    "text": [("string_agg({0}, ',' ORDER BY {0})", TEXT), ("string_agg(DISTINCT {0}::text, '')", TEXT)],
    "bool": [("bool_and({})", BOOL), ("bool_or({})", BOOL), ("every({})", BOOL)],
    "time": [("min({}::text)", TEXT)],
}
