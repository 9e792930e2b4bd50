"""Statements made by chance over small sharded tables, and the shards that a plan gives for them.

Tables a, b and c have the key k and lie together; r is a reference table, v and w are views. All columns are small
integers, some of them NULL, so that joins meet and conditions are sometimes true.
"""

from __future__ import annotations

import random
import re

from trunkline.routing.keys.sharding import Kind, Sharding, TableRule, Value
from trunkline.routing.plans.plan import (
    All,
    AnyOf,
    Between,
    Constant,
    Equals,
    Fixed,
    In,
    InArray,
    Literal,
    Source,
    Where,
)
from trunkline.routing.schema.catalog import Catalog, Column, Relation

SHARDS = 3
EVERY = (1 << SHARDS) - 1


class Remainder:
    """Shard by the remainder of the key; rows without a key are on the first shard."""

    name = "range"  # so that ranges are asked for
    types = ("int4",)
    every = EVERY

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        return 1 << (int(str(key[0])) % SHARDS) if key[0] is not None else 1

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        if low is None or high is None or int(str(high)) - int(str(low)) >= SHARDS:
            return EVERY
        return sum({1 << (key % SHARDS) for key in range(int(str(low)), int(str(high)) + 1)})


KEY = TableRule(Kind.SHARDED, ("k",), Remainder(), "a")
SHARDING = Sharding(
    tuple(f"s{n}" for n in range(SHARDS)), 0, {"a": KEY, "b": KEY, "c": KEY, "r": TableRule(Kind.REFERENCE)}
)
COLUMNS = ("k", "id", "x")
VIEWS = {
    "v": "SELECT a.k, b.id, b.x FROM a LEFT JOIN b ON b.k = a.k AND b.id = a.id",
    "w": "SELECT k, count(*)::int AS id, max(x) AS x FROM a GROUP BY k",
}


def _relation(name: str, kind: str = "r", definition: str | None = None) -> Relation:
    return Relation("public", name, kind, tuple(Column(column, "int4") for column in COLUMNS), definition)


CATALOG = Catalog(
    {("public", name): _relation(name) for name in "abcr"}
    | {("public", name): _relation(name, "v", text) for name, text in VIEWS.items()}
)


def setup_sql() -> list[str]:
    """Schema `whole` has all rows; s0, s1 and so on have those of one shard."""
    done = []
    for schema in ("whole", *SHARDING.shards):
        number = SHARDING.shards.index(schema) if schema != "whole" else -1
        done += [f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}", f"SET search_path TO {schema}"]
        for table, seed in (("a", 1), ("b", 2), ("c", 3), ("r", 4)):
            done.append(f"CREATE TABLE {table} (k int, id int, x int)")
            rng = random.Random(seed)
            for _ in range(16):
                k, i, x = (rng.choice([None, 0, 1, 2, 3, 4, 5]), rng.randrange(4), rng.choice([None, 0, 1, 2, 3]))
                here = table == "r" or number < 0 or (0 if k is None else k % SHARDS) == number
                if here:
                    values = ", ".join("NULL" if value is None else str(value) for value in (k, i, x))
                    done.append(f"INSERT INTO {table} VALUES ({values})")
        done += [f"CREATE VIEW {name} AS {text}" for name, text in VIEWS.items()]
    return done


def mask_of(where: Where, text: str) -> int:
    """The shards of a plan, by a reading of its own."""
    if isinstance(where, Fixed):
        return where.mask
    if isinstance(where, AnyOf | All):
        masks = [mask_of(part, text) for part in where.parts]
        result = 0 if isinstance(where, AnyOf) else EVERY
        for mask in masks:
            result = result | mask if isinstance(where, AnyOf) else result & mask
        return result
    if isinstance(where, Between):
        return where.function.shards_between(_value(where.low, text), _value(where.high, text))
    if isinstance(where, InArray):
        return EVERY
    rows = [where.sources] if isinstance(where, Equals) else where.rows if isinstance(where, In) else []
    result = 0
    for row in rows:
        result |= where.function.shards_of((_value(row[0], text),))
    return result


def _value(source: Source | None, text: str) -> int | None:
    if isinstance(source, Literal):
        found = re.match(r"-?\s*'?(-?\d+)", text[source.location :])
        assert found is not None, (source, text)
        return -int(found[1]) if source.negative else int(found[1])
    if isinstance(source, Constant) and source.text is not None:
        return int(source.text)
    return None


class Maker:
    """Makes statements; `names` are the aliases that are seen, innermost last."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._count = 0
        self._ctes: list[str] = []

    def statement(self) -> str:
        self._count, self._ctes = 0, []
        head = ""
        if self._chance(0.25):
            ctes = []
            for _ in range(self._rng.randint(1, 2)):
                body = self._query([], 2)
                name = self._rng.choice(["c1", "c2", "a"]) if self._chance(0.2) else self._alias("c")
                if name in self._ctes:
                    continue
                ctes.append(f"{name} AS ({body})")
                self._ctes.append(name)
            head = f"WITH {', '.join(ctes)} "
        return head + self._query([], 3)

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _alias(self, letter: str = "t") -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def _query(self, outer: list[str], depth: int) -> str:
        """Three columns named k, id and x."""
        if depth > 1 and self._chance(0.15):
            operator = self._rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
            return f"({self._query(outer, depth - 1)}) {operator} ({self._query(outer, depth - 1)})"
        if self._chance(0.05):
            return f"VALUES ({self._number()}, {self._number()}, {self._number()}), ({self._number()}, 1, 2)"
        source, names = self._from(outer, depth)
        one = self._rng.choice(names)
        where = self._condition(names, outer, depth) if self._chance(0.9) else ""
        if self._chance(0.85) or not where:
            extra = f"{self._rng.choice(names)}.k = {self._number()}"
            where = f"{where} AND {extra}" if where else extra
        return self._select(one, names, outer, depth, source, f" WHERE {where}")

    def _select(self, one: str, names: list[str], outer: list[str], depth: int, source: str, where: str) -> str:
        kind = self._rng.random()
        other = self._rng.choice(names)
        if kind < 0.1:
            having = f" HAVING {one}.k = {self._number()}" if self._chance(0.3) else ""
            found = f"SELECT {one}.k, count(*)::int AS id, max({other}.x) AS x FROM {source}{where}"
            return f"{found} GROUP BY {one}.k{having}"
        if kind < 0.15:
            return f"SELECT max({one}.k) AS k, count(*)::int AS id, max({other}.x) AS x FROM {source}{where}"
        if kind < 0.2:
            return f"SELECT DISTINCT {one}.k, {other}.id, {other}.x FROM {source}{where}"
        if kind < 0.25:
            return f"SELECT DISTINCT ON (2) {one}.k, {other}.id, {other}.x FROM {source}{where} ORDER BY 2, 1, 3"
        if kind < 0.3:
            window = f"(row_number() OVER (ORDER BY {one}.k, {one}.id, {one}.x))::int"
            return f"SELECT {one}.k, {window} AS id, {other}.x FROM {source}{where}"
        if kind < 0.38:
            limit = self._rng.randint(1, 3)
            return f"SELECT {one}.k, {other}.id, {other}.x FROM {source}{where} ORDER BY 1, 2, 3 LIMIT {limit}"
        if kind < 0.42:
            sets = f"GROUP BY ROLLUP ({one}.k)"
            return f"SELECT {one}.k, count(*)::int AS id, 1 AS x FROM {source}{where} {sets}"
        if kind < 0.5:
            scalar = self._scalar(names, outer, depth)
            case = f"CASE WHEN {other}.k = {self._number()} THEN 1 END"
            return f"SELECT {one}.k, {scalar} AS id, {case} AS x FROM {source}{where}"
        return f"SELECT {one}.k, {other}.id, {other}.x FROM {source}{where}"

    def _scalar(self, names: list[str], outer: list[str], depth: int) -> str:
        inner = self._rng.choice(["a", "b", "c"])
        alias = self._alias()
        where = self._condition([alias], names + outer, depth - 1)
        return f"(SELECT count(*)::int FROM {inner} {alias} WHERE {where})"

    def _number(self) -> str:
        return str(self._rng.choice([1, 1, 1, 1, 1, 4, 2, 0]))

    # --- FROM

    def _from(self, outer: list[str], depth: int) -> tuple[str, list[str]]:
        text, names = self._item(outer, depth)
        for _ in range(self._rng.choice([0, 0, 1, 1, 2])):
            kind = self._rng.choice(
                ["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ",", "USING"]
            )
            lateral = kind in ("JOIN", "LEFT JOIN", ",", "CROSS JOIN") and self._chance(0.15)
            other, more = self._item(names + outer if lateral else outer, depth, lateral=lateral)
            if kind in (",", "CROSS JOIN"):
                text = f"{text}{',' if kind == ',' else ' CROSS JOIN'} {other}"
                if kind == ",":
                    names = names + more
                    return text, names
            elif kind == "USING":
                how = self._rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
                if len(names) > 1:
                    how = "CROSS JOIN"
                text = f"{text} {how} {other}" + ("" if how == "CROSS JOIN" else " USING (k)")
            else:
                both = names + more
                condition = f"{self._rng.choice(more)}.k = {self._rng.choice(names)}.k"
                if kind == "FULL JOIN" or self._chance(0.7):
                    if self._chance(0.3) and kind != "FULL JOIN":
                        condition += f" AND {self._simple(both, outer)}"
                else:
                    condition = self._condition(both, outer, 1)
                text = f"{text} {kind} {other} ON {condition}"
            names = names + more
        return text, names

    def _item(self, outer: list[str], depth: int, *, lateral: bool = False) -> tuple[str, list[str]]:
        alias = self._alias()
        if lateral or (depth > 1 and self._chance(0.25)):
            return f"{'LATERAL ' if lateral else ''}({self._query(outer, min(depth - 1, 2))}) AS {alias}", [alias]
        tables = ["a", "a", "b", "c", "r", "v", "w", *self._ctes]
        return f"{self._rng.choice(tables)} AS {alias}", [alias]

    # --- conditions

    def _condition(self, names: list[str], outer: list[str], depth: int) -> str:
        kind = self._rng.random()
        if depth > 0 and kind < 0.15:
            return f"({self._condition(names, outer, depth - 1)} OR {self._condition(names, outer, depth - 1)})"
        if depth > 0 and kind < 0.4:
            return f"({self._condition(names, outer, depth - 1)} AND {self._condition(names, outer, depth - 1)})"
        if depth > 0 and kind < 0.46:
            return f"NOT ({self._condition(names, outer, depth - 1)})"
        if depth > 1 and kind < 0.65:
            return self._sublink(names, outer, depth)
        return self._simple(names, outer)

    def _sublink(self, names: list[str], outer: list[str], depth: int) -> str:
        around = names + outer
        one = self._rng.choice(names)
        query = self._query(around, depth - 1)
        kind = self._rng.randrange(5)
        if kind == 0:
            return f"EXISTS ({query})"
        if kind == 1:
            return f"NOT EXISTS ({query})"
        if kind == 2:
            return f"{one}.k IN (SELECT s.k FROM ({query}) AS s)"
        if kind == 3:
            return f"{one}.k NOT IN (SELECT s.k FROM ({query}) AS s)"
        return (
            f"{one}.k = (SELECT max(s.k) FROM ({query}) AS s)"
            if self._chance(0.5)
            else (f"{one}.k = (SELECT s.k FROM ({query}) AS s ORDER BY s.k, s.id, s.x LIMIT 1)")
        )

    def _simple(self, names: list[str], outer: list[str]) -> str:
        one = self._rng.choice(names)
        other = self._rng.choice(names + outer)
        n, m = self._number(), self._number()
        return self._rng.choice(
            [
                f"{one}.k = {n}",
                f"{one}.k = {n}",
                f"{n} = {one}.k",
                f"{one}.k = {other}.k",
                f"{one}.k = {other}.k",
                f"{one}.k = {other}.id",
                f"{one}.id = {other}.id",
                f"{one}.x > {n}",
                f"{one}.k IN ({n}, {m})",
                f"({one}.k, {one}.id) = ({n}, {m})",
                f"({one}.k, {other}.k) IN (({n}, {m}), ({m}, {n}))",
                f"{one}.k = ANY (ARRAY[{n}, {m}])",
                f"{one}.k BETWEEN {n} AND {m}",
                f"{one}.k >= {n}",
                f"{one}.k < {n}",
                f"{one}.k IS NULL",
                f"{one}.k IS NOT DISTINCT FROM {n}",
                f"{one}.k IS NOT DISTINCT FROM {other}.k",
                f"{one}.k <> {n}",
                f"coalesce({one}.k, {n}) = {n}",
                f"({one}.k = {n}) IS NOT TRUE",
                f"{one}.k::bigint = {n}",
                f"{one}.x IS NULL",
            ]
        )
