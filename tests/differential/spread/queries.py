"""Random SELECTs over a schema, valid nearly always, whose rows SQL determines, and as far as it is said their order.

Whatever picks some rows of several (LIMIT, DISTINCT ON, row_number) is given an order that is total, by all columns.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.differential.spread.columns import INT4, INT8, TEXT, Type
from tests.differential.spread.expressions import Expression, Expressions, Relation, Scope, aggregates, is_ordered
from tests.differential.spread.saying import Statement, finished
from tests.differential.spread.schema import HOME, REFERENCE, SHARDED, Schema

Order = tuple[int, ...] | None


@dataclass(frozen=True)
class Query:
    """Text of a SELECT and what its columns are; ``order`` as a Statement's."""

    sql: str
    columns: tuple[tuple[str, Type], ...]
    order: Order = None


class Queries:
    """Makes them from one source of chance."""

    def __init__(self, rng: random.Random, schema: Schema) -> None:
        self.rng = rng
        self.schema = schema
        self.expressions = Expressions(rng)
        self._aliases = 0
        self._common: list[Relation] = []  # CTEs that can be named here
        self._relations = [
            *(Relation(one.name, one.columns, one.group) for one in schema.named(SHARDED) for _ in range(3)),
            *(Relation(one.name, one.columns) for one in (*schema.named(REFERENCE), *schema.named(HOME))),
            *(Relation(one.name, one.columns, schema.tables[0].name) for one in schema.views if one.name != "u"),
            *(Relation(one.name, one.columns) for one in schema.views if one.name == "u"),
        ]

    def statement(self) -> Statement:
        """One of them, in one of both protocols."""
        self.expressions.parameters = [] if self.rng.random() < 0.5 else None
        query = self.fresh()
        return finished(query.sql, self.expressions.parameters, query.order)

    def fresh(self) -> Query:
        """One that stands by itself."""
        self._aliases, self._common = 0, []
        return self.query(2)

    def query(self, depth: int) -> Query:
        """One whose order may be said."""
        chance = self.rng.random()
        if depth > 1 and chance < 0.1:
            return self._with(depth)
        if depth > 1 and chance < 0.13:
            return self._recursive()
        if chance < 0.22:
            return self._ordered(self._set_operation(depth))
        if chance < 0.26:
            return self._distinct_on(depth)
        return self._ordered(self.select(depth))

    # --- where rows come from -------------------------------------------------------------------------------------

    def _alias(self) -> str:
        self._aliases += 1
        return f"x{self._aliases}"

    def source(self, depth: int) -> tuple[str, Relation]:
        """What stands in FROM, and what it is known as."""
        rng, alias = self.rng, self._alias()
        chance = rng.random()
        if self._common and chance < 0.5:
            known = rng.choice(self._common)
            return f"{known.alias} AS {alias}", replace(known, alias=alias)
        if depth > 0 and chance < 0.14:
            inner = self.query(depth - 1)
            return f"({inner.sql}) AS {alias}", Relation(alias, inner.columns)
        if chance < 0.17:
            return f"generate_series(0, 4) AS {alias}(n)", Relation(alias, (("n", INT4),))
        if chance < 0.19:
            return f"(VALUES (1, 'a'), (2, 'B'), (NULL, NULL)) AS {alias}(n, t)", Relation(
                alias, (("n", INT4), ("t", replace(TEXT, name="values")))
            )
        known = rng.choice(self._relations)
        name = f"public.{known.alias}" if rng.random() < 0.1 else known.alias
        return f"{name} AS {alias}", replace(known, alias=alias)

    def tables(self, depth: int) -> tuple[str, list[Relation]]:
        """FROM with one to three of them, joined."""
        text, first = self.source(depth)
        scope = [first]
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2]) if depth > 0 else self.rng.choice([0, 0, 0, 1])):
            text = self._join(text, scope, depth)
        return text, scope

    def _join(self, text: str, scope: list[Relation], depth: int) -> str:
        rng = self.rng
        if depth > 0 and rng.random() < 0.08:
            alias = self._alias()
            inner = self._about(scope, depth - 1)
            scope.append(Relation(alias, inner.columns))
            return f"{text} {rng.choice(['JOIN', 'LEFT JOIN'])} LATERAL ({inner.sql}) AS {alias} ON true"
        other, relation = self.source(depth - 1)
        condition = self.join_condition(scope, relation)
        known = list(scope)
        scope.append(relation)
        if condition is None:
            return f"{text} CROSS JOIN {other}" if rng.random() < 0.8 else f"{text}, {other}"
        kind = rng.choice(["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        if kind != "FULL JOIN" and rng.random() < 0.2:
            condition += f" AND {self.expressions.predicate([*known, relation], 0)}"
        return f"{text} {kind} {other} ON {condition}"

    def join_condition(self, scope: Scope, relation: Relation) -> str | None:
        """An equality: on the key where both lie together, mostly, or between columns of one type."""
        rng = self.rng
        together = [one for one in scope if one.group and one.group == relation.group]
        if together and rng.random() < 0.65:
            return f"{rng.choice(together).alias}.k = {relation.alias}.k"
        pairs = [
            f"{mine.sql} = {theirs.sql}"
            for one in scope
            for mine in one.all()
            for theirs in relation.all()
            if mine.type == theirs.type and mine.type.family not in ("unordered", "bool", "json", "rounded")
        ]
        return rng.choice(pairs) if pairs else None

    def condition(self, scope: Scope, depth: int) -> str:
        """What WHERE says; empty if nothing."""
        rng = self.rng
        said = []
        sharded = [one for one in scope if one.group]
        if sharded and rng.random() < 0.2:
            said.append(self.expressions.key_is(rng.choice(sharded)))
        if rng.random() < 0.5:
            said.append(self.expressions.predicate(scope))
        if depth > 0 and rng.random() < 0.22:
            said.append(self._subquery(scope, depth - 1))
        return f" WHERE {' AND '.join(said)}" if said else ""

    def _subquery(self, scope: Scope, depth: int) -> str:
        rng = self.rng
        column = self.expressions.column(scope)
        negation = rng.choice(["", "NOT "])
        if column is None or rng.random() < 0.4:
            return f"{negation}EXISTS ({self._about(scope, depth).sql})"
        text, relation = self.source(0)
        same = [one for one in relation.all() if one.type == column.type]
        if not same:
            return f"{negation}EXISTS ({self._about(scope, depth).sql})"
        where = self.condition([relation], 0)
        inner = f"SELECT {rng.choice(same).sql} FROM {text}{where}"
        if rng.random() < 0.6:
            return f"{column.sql} {negation}IN ({inner})"
        return f"{column.sql} {rng.choice(['=', '<', '>=', '<>'])} {rng.choice(['ANY', 'ALL'])} ({inner})"

    def _about(self, scope: Scope, depth: int) -> Query:
        """A SELECT of one aggregate that is correlated with what is around it, mostly."""
        rng = self.rng
        text, relation = self.source(0)
        condition = self.join_condition(scope, relation) if rng.random() < 0.85 else None
        of = self.expressions.column([relation]) or Expression("1", INT4)
        chosen = rng.choice(aggregates(of))
        where = f" WHERE {condition}" if condition else ""
        if condition and rng.random() < 0.3:
            where += f" AND {self.expressions.predicate([relation], 0)}"
        having = " HAVING count(*) > 1" if rng.random() < 0.3 else ""
        return Query(f"SELECT {chosen.sql} AS s FROM {text}{where}{having}", (("s", chosen.type),))

    # --- kinds of SELECT ------------------------------------------------------------------------------------------

    def select(self, depth: int) -> Query:
        text, scope = self.tables(depth)
        where = self.condition(scope, depth)
        chance = self.rng.random()
        if chance < 0.35:
            return self._grouped(text, where, scope, depth)
        if chance < 0.48 and len(scope) < 3:
            return self._windowed(text, where, scope)
        outputs = [self._output(scope, depth) for _ in range(self.rng.randint(1, 4))]
        distinct = "DISTINCT " if all(is_ordered(one.type) for one in outputs) and self.rng.random() < 0.15 else ""
        return self._made(f"SELECT {distinct}", outputs, f" FROM {text}{where}")

    def _output(self, scope: Scope, depth: int) -> Expression:
        if depth > 0 and self.rng.random() < 0.06:
            inner = self._about(scope, depth - 1)
            return Expression(f"({inner.sql})", inner.columns[0][1])
        return self.expressions.value(scope)

    def _made(self, begin: str, outputs: Sequence[Expression], rest: str) -> Query:
        columns = tuple((f"o{number}", one.type) for number, one in enumerate(outputs))
        said = ", ".join(f"{one.sql} AS {name}" for one, (name, _) in zip(outputs, columns, strict=True))
        return Query(f"{begin}{said}{rest}", columns)

    def _grouped(self, text: str, where: str, scope: Scope, depth: int) -> Query:
        rng = self.rng
        keys = [one for one in (self.expressions.value(scope) for _ in range(rng.choice([0, 1, 1, 2]))) if _groups(one)]
        outputs = list(keys)
        for _ in range(rng.randint(0 if keys else 1, 3)):
            outputs.append(self._aggregate(scope))
        outputs = outputs or [Expression("count(*)", INT8)]
        rng.shuffle(outputs)
        rest = f" FROM {text}{where}"
        if keys:
            said = [one.sql if rng.random() < 0.7 else str(outputs.index(one) + 1) for one in keys]
            rest += f" GROUP BY {self._grouping(said, keys)}"
        if rng.random() < 0.15:
            rest += (
                f" HAVING {rng.choice(['count(*) > 1', 'count(*) <> 2', f'{self._aggregate(scope).sql} IS NOT NULL'])}"
            )
        return self._made("SELECT ", outputs, rest)

    def _grouping(self, said: list[str], keys: Sequence[Expression]) -> str:
        chance = self.rng.random()
        plain = [one.sql for one in keys]
        if chance < 0.08:
            return f"ROLLUP ({', '.join(plain)})"
        if chance < 0.12:
            return f"CUBE ({', '.join(plain)})"
        if chance < 0.15:
            return f"GROUPING SETS (({plain[0]}), ())"
        return ", ".join(said)

    def _aggregate(self, scope: Scope) -> Expression:
        rng = self.rng
        if rng.random() < 0.2:
            chosen = Expression("count(*)", INT8)
        else:
            of = self.expressions.value(scope)
            chosen = rng.choice(aggregates(of)) if is_ordered(of.type) else Expression(f"count({of.sql})", INT8)
        if rng.random() < 0.1:
            return Expression(f"{_filtered(chosen.sql, self.expressions.predicate(scope, 0))}", chosen.type)
        if rng.random() < 0.1 and chosen.type.family in ("integer", "numeric"):
            return Expression(f"coalesce({chosen.sql} % 1000, 0) + count(*)", chosen.type)  # far from overflow
        return chosen

    def _windowed(self, text: str, where: str, scope: Scope) -> Query:
        rng = self.rng
        outputs = [self.expressions.value(scope) for _ in range(rng.randint(1, 2))]
        everything = ", ".join(_total(scope))
        partition = next((one.sql for one in outputs if _groups(one)), "") if rng.random() < 0.6 else ""
        sharded = [one for one in scope if one.group]
        if sharded and rng.random() < 0.3:
            partition = f"{sharded[0].alias}.k"
        by = f"PARTITION BY {partition} " if partition else ""
        of = self.expressions.column(scope) or Expression("1", INT4)
        for _ in range(rng.randint(1, 2)):
            outputs.append(self._window(by, of, everything))
            everything = ""  # of two equal rows, one may be the first here and the second in another order
        return self._made("SELECT ", outputs, f" FROM {text}{where}")

    def _window(self, by: str, of: Expression, everything: str) -> Expression:
        rng = self.rng
        kind = rng.random()
        if kind < 0.4 and everything:
            total = (
                f"OVER ({by}ORDER BY {rng.choice(['', f'{of.sql} DESC, ' if is_ordered(of.type) else ''])}{everything}"
            )
            whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
            said, result = rng.choice(
                [
                    (f"row_number() {total})", INT8),
                    (f"lag({of.sql}) {total})", of.type),
                    (f"lead({of.sql}, 2) {total})", of.type),
                    (f"first_value({of.sql}) {total})", of.type),
                    (f"last_value({of.sql}) {total} {whole})", of.type),
                    (f"ntile(3) {total})", INT4),
                    (f"count(*) {total} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", INT8),
                ]
            )
            return Expression(said, result)
        over = f"OVER ({by}{f'ORDER BY {of.sql}' if is_ordered(of.type) and rng.random() < 0.6 else ''})"
        simple = ["count(*)", f"count({of.sql})"]
        if is_ordered(of.type):
            simple += ["rank()", "dense_rank()"] if "ORDER" in over else []
        if of.type.family in ("integer", "numeric"):
            return Expression(f"{rng.choice(['sum', 'avg', 'min', 'max'])}({of.sql}) {over}", replace(INT8, name="w"))
        return Expression(f"{rng.choice(simple)} {over}", INT8)

    def _distinct_on(self, depth: int) -> Query:
        text, scope = self.tables(depth)
        columns = _total(scope)
        by = self.expressions.column(scope)
        if by is None or not columns or not is_ordered(by.type):
            return self._ordered(self.select(depth))
        outputs = [self.expressions.value(scope) for _ in range(self.rng.randint(1, 3))]
        order = ", ".join([f"{by.sql} {self._direction()}", *columns])
        rest = f" FROM {text}{self.condition(scope, depth)} ORDER BY {order}"
        made = self._made(f"SELECT DISTINCT ON ({by.sql}) ", outputs, rest)
        return replace(made, order=())

    def _set_operation(self, depth: int) -> Query:
        """Of columns that have the same types on both sides."""
        rng = self.rng
        text, first = self.source(0)
        other, second = self.source(0)
        pairs = [
            (mine, theirs)
            for mine in first.all()
            for theirs in second.all()
            if mine.type == theirs.type and is_ordered(mine.type)
        ]
        if not pairs:
            return self.select(depth)
        chosen = [rng.choice(pairs) for _ in range(rng.randint(1, 3))]
        word = rng.choice(["UNION", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
        left = self._made("SELECT ", [mine for mine, _ in chosen], f" FROM {text}{self.condition([first], depth - 1)}")
        right = ", ".join(theirs.sql for _, theirs in chosen)
        return replace(left, sql=f"{left.sql} {word} SELECT {right} FROM {other}{self.condition([second], depth - 1)}")

    def _with(self, depth: int) -> Query:
        rng = self.rng
        known, said = list(self._common), []
        for _ in range(rng.randint(1, 2)):
            name = f"w{self._alias()}"
            inner = self.query(depth - 1)
            said.append(f"{name} AS {rng.choice(['', 'MATERIALIZED ', 'NOT MATERIALIZED '])}({inner.sql})")
            self._common = [*self._common, Relation(name, inner.columns)]
        outer = self._ordered(self.select(depth - 1))
        self._common = known
        return replace(outer, sql=f"WITH {', '.join(said)} {outer.sql}")

    def _recursive(self) -> Query:
        """Steps from rows to rows, at most four."""
        table = self.rng.choice(self.schema.named(SHARDED)).name
        name = f"w{self._alias()}"
        columns = (("n", INT4), ("d", INT4))
        sql = (
            f"WITH RECURSIVE {name}(n, d) AS (SELECT n, 0 FROM {table} WHERE id < 4 UNION SELECT y.n, d + 1"
            f" FROM {table} y JOIN {name} ON y.id = {name}.n WHERE d < 3) SELECT n, d FROM {name}"
        )
        return self._ordered(Query(sql, columns))

    # --- order ----------------------------------------------------------------------------------------------------

    def _direction(self) -> str:
        return (
            f"{self.rng.choice(['', 'ASC', 'DESC'])} {self.rng.choice(['', '', 'NULLS FIRST', 'NULLS LAST'])}".strip()
        )

    def _ordered(self, query: Query) -> Query:
        """With ORDER BY, perhaps, and LIMIT, perhaps."""
        rng, places = self.rng, range(len(query.columns))
        orderable = [place for place in places if is_ordered(query.columns[place][1])]
        chance = rng.random()
        if chance < 0.35 or not orderable:
            return query
        if chance < 0.55:
            chosen = rng.sample(orderable, rng.randint(1, min(2, len(orderable))))
            said = ", ".join(f"{self._by(query, place)} {self._direction()}" for place in chosen)
            ties = f" FETCH FIRST {rng.randint(1, 5)} ROWS WITH TIES" if rng.random() < 0.2 else ""
            return replace(query, sql=f"{query.sql} ORDER BY {said}{ties}", order=tuple(chosen))
        if len(orderable) < len(query.columns):
            return query
        rng.shuffle(orderable)
        said = ", ".join(f"{self._by(query, place)} {self._direction()}" for place in orderable)
        return replace(query, sql=f"{query.sql} ORDER BY {said}{self._limit()}", order=())

    def _by(self, query: Query, place: int) -> str:
        return query.columns[place][0] if self.rng.random() < 0.6 else str(place + 1)

    def _limit(self) -> str:
        rng = self.rng
        limit = rng.choice(["", "", f" LIMIT {rng.randint(0, 6)}", f" LIMIT {self.expressions.constant(_SMALL)}"])
        return limit + rng.choice(["", "", f" OFFSET {rng.randint(0, 4)}"])


_SMALL = replace(INT8, values=("1", "2", "5"))


def _total(scope: Scope) -> list[str]:
    """All columns, as an order that leaves nothing open; none if some have no order."""
    columns = [one for relation in scope for one in relation.all()]
    return [one.sql for one in columns] if all(is_ordered(one.type) for one in columns) else []


def _groups(one: Expression) -> bool:
    """Whether it can stand in GROUP BY; a parameter of its own would be another expression there."""
    return is_ordered(one.type) and not one.sql.isdigit() and not one.sql.startswith(("'", "$"))


def _filtered(sql: str, predicate: str) -> str:
    """FILTER stands behind the aggregate, before a cast."""
    call, cast = (
        (sql[: sql.rindex("::")], sql[sql.rindex("::") :]) if sql.endswith((")::text", ")::int8")) else (sql, "")
    )
    return f"{call} FILTER (WHERE {predicate}){cast}"
