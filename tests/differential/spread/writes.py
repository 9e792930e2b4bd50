"""Random writes whose effect SQL determines.

An UPDATE ... FROM meets each row once at most, and what picks some rows of several has a total order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.differential.spread.columns import INT4, Type
from tests.differential.spread.expressions import Expressions, Relation
from tests.differential.spread.queries import Queries
from tests.differential.spread.saying import Statement, finished
from tests.differential.spread.schema import REFERENCE, SHARDED, Schema, Table

_NEW_ID = replace(INT4, values=tuple(map(str, range(8, 30))))
_SMALL = replace(INT4, values=tuple(map(str, range(6))))


class Writes:
    """Makes statements that write or lock."""

    def __init__(self, rng: random.Random, schema: Schema) -> None:
        self.rng = rng
        self.schema = schema
        self.queries = Queries(rng, schema)
        self.expressions: Expressions = self.queries.expressions

    def statement(self) -> Statement:
        """One write."""
        rng = self.rng
        self.expressions.parameters = [] if rng.random() < 0.5 else None
        table = rng.choice(self.schema.tables if rng.random() < 0.3 else self.schema.named(SHARDED))
        if rng.random() < 0.1:
            return self._copy(table)
        kinds: Sequence[Callable[[Table], tuple[str, tuple[int, ...] | None]]] = (
            self._insert, self._insert, self._insert_select, self._update, self._update, self._delete, self._move,
            self._merge, self._insert_elsewhere, self._lock, self._delete_and_insert, self._select_of_written,
        )  # fmt: skip
        sql, order = rng.choice(kinds)(table)
        return replace(finished(sql, self.expressions.parameters, order), is_write=True)

    # --- kinds --------------------------------------------------------------------------------------------------

    def _returning(self, table: Table, *, prefix: str = "") -> str:
        if self.rng.random() < 0.5:
            return ""
        chosen = self.rng.sample([name for name, _ in table.columns], 2)
        return " RETURNING " + self.rng.choice([f"{prefix}*", ", ".join(f"{prefix}{name}" for name in chosen)])

    def _insert(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        rng = self.rng
        names = [name for name, _ in table.columns[:4]] if rng.random() < 0.5 else [name for name, _ in table.columns]
        kinds = dict(table.columns) | {"id": _NEW_ID, "n": _SMALL}
        rows = ", ".join(
            "(" + ", ".join(self._given(table, name, kinds[name]) for name in names) + ")"
            for _ in range(rng.choice([1, 2, 3, 5]))
        )
        conflict = ""
        if table.is_unique and rng.random() < 0.6:
            conflict = " ON CONFLICT " + rng.choice(
                ["DO NOTHING", "(k, id) DO NOTHING", "(k, id) DO UPDATE SET n = excluded.n, t = 'again'"]
            )
        return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {rows}{conflict}{self._returning(table)}", ()

    def _given(self, table: Table, name: str, kind: Type) -> str:
        """A value for a column; a key may be NULL where the table takes that."""
        return self.expressions.constant(kind, null=name == "k" and not table.is_unique)

    def _copy(self, table: Table) -> Statement:
        """Of several rows, rarely with one that is wrong."""
        rng = self.rng
        kinds = dict(table.columns) | {"id": _NEW_ID, "n": _SMALL}
        names = [name for name, _ in table.columns[:4]]
        form, separator = rng.choice([("text", "\t"), ("csv", ",")])
        rows = [[rng.choice(kinds[name].values) for name in names] for _ in range(rng.choice([0, 1, 3, 8]))]
        if rows and rng.random() < 0.1:
            rng.choice(rows)[1] = "x"
        if form == "csv":
            rows = [['"' + value + '"' for value in row] for row in rows]
        data = "".join(separator.join(row) + "\n" for row in rows)
        sql = f"COPY {table.name} ({', '.join(names)}) FROM STDIN WITH (FORMAT {form})"
        return Statement(sql, is_write=True, data=data.encode())

    def _insert_select(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        rng = self.rng
        sources = [one for one in self.schema.tables if one.key == table.key and one.name != table.name] or [table]
        source = rng.choice(sources)
        where = self.queries.condition([Relation("s", source.columns, source.group)], 0)
        conflict = " ON CONFLICT DO NOTHING" if table.is_unique and not source.is_unique else ""
        conflict = conflict or (rng.choice(["", " ON CONFLICT DO NOTHING"]) if table.is_unique else "")
        distinct = "SELECT s.k, s.id + 40, min(s.n), max(s.t) FROM {} AS s{} GROUP BY s.k, s.id"
        plain = rng.choice(["SELECT s.k, s.id + 30, s.n, s.t FROM {} AS s{}", distinct])
        said = f"INSERT INTO {table.name} (k, id, n, t) {distinct if conflict else plain}{conflict}"
        return said.format(source.name, where) + self._returning(table), None

    def _insert_elsewhere(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        """Rows whose keys are computed, or that come from anywhere."""
        rng = self.rng
        source = rng.choice(self.schema.tables)
        same = [one for one in self.schema.tables if one.key == table.key]
        key = self.expressions.constant(table.key)
        kind = rng.random()
        if kind < 0.3:
            keys = [self.expressions.constant(table.key) for _ in range(rng.choice([1, 4]))]
            arrays = f"unnest(ARRAY[{', '.join(keys)}]), generate_series(50, {49 + len(keys)}), 1, 'x'"
            return f"INSERT INTO {table.name} (k, id, n, t) SELECT {arrays}{self._returning(table)}", None
        if kind < 0.6:
            chosen = f"SELECT min(s.k::text)::{table.key.sql}, s.id + 60, max(s.n), 'one'"
            source = rng.choice(same)
            said = f"{chosen} FROM {source.name} AS s WHERE s.k IS NOT NULL GROUP BY s.id"
            return f"INSERT INTO {table.name} (k, id, n, t) {said}{self._returning(table)}", None
        chosen = f"SELECT {key}, s.id + 70, max(s.n), max(s.t) FROM {source.name} AS s GROUP BY s.id"
        conflict = rng.choice(["", " ON CONFLICT DO NOTHING"]) if table.is_unique else ""
        return f"INSERT INTO {table.name} (k, id, n, t) {chosen}{conflict}{self._returning(table)}", None

    def _update(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        rng = self.rng
        name, kind = rng.choice(table.columns[2:])
        value = self.expressions.constant(_SMALL if name == "n" else kind, null=True)
        if name == "n" and rng.random() < 0.4:
            value = "(x.n + 1) % 6"
        unique = [one for one in self.schema.named(REFERENCE) if one.is_unique]
        if rng.random() < 0.2 and unique:
            joined = f"(SELECT n, max(id) AS id FROM {unique[0].name} GROUP BY n) AS r"
            return f"UPDATE {table.name} AS x SET n = r.id % 6 FROM {joined} WHERE r.n = x.n", None
        if rng.random() < 0.15:
            other = rng.choice(self.schema.tables)
            joined = f"(SELECT id, max(n) AS n, count(*) AS c FROM {other.name} GROUP BY id) AS y"
            returning = " RETURNING x.id, x.n, y.c" if rng.random() < 0.5 else ""
            return f"UPDATE {table.name} AS x SET n = y.n FROM {joined} WHERE y.id = x.id AND y.c > 1{returning}", None
        where = self.queries.condition([Relation("x", table.columns, table.group)], 1)
        if rng.random() < 0.15:
            other = rng.choice(self.schema.tables)
            values = rng.choice(
                [
                    f"(SELECT max(y.n), count(*)::text FROM {other.name} AS y WHERE y.id = x.id)",
                    f"(SELECT min(y.n), 'of ' || sum(y.id) FROM {other.name} AS y WHERE y.n = x.n AND y.k IS NOT NULL)",
                    "ROW(2, 'both')",
                    "(DEFAULT, 'one')",
                ]
            )
            return f"UPDATE {table.name} AS x SET (n, t) = {values}{where}{self._returning(table, prefix='x.')}", None
        target = self._or_its_view(table)
        return f"UPDATE {target} AS x SET {name} = {value}{where}{self._returning(table, prefix='x.')}", None

    def _delete(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        rng = self.rng
        chance = rng.random()
        scope = [Relation("x", table.columns, table.group)]
        returning = self._returning(table, prefix="x.")
        if chance < 0.25:
            other = rng.choice(self.schema.tables)
            return (
                f"DELETE FROM {table.name} AS x USING {other.name} AS y WHERE y.id = x.id AND y.n = 1{returning}",
                None,
            )
        if chance < 0.45 and table.is_unique:
            locks = rng.choice(["", " FOR UPDATE", " FOR UPDATE SKIP LOCKED"])
            picked = f"SELECT y.k, y.id FROM {table.name} AS y ORDER BY y.id, y.k LIMIT 2{locks}"
            return f"DELETE FROM {table.name} AS x WHERE (x.k, x.id) IN ({picked}){returning}", None
        where = self.queries.condition(scope, 1) or f" WHERE x.n = {self.expressions.constant(_SMALL)}"
        return f"DELETE FROM {self._or_its_view(table)} AS x{where}{returning}", None

    def _or_its_view(self, table: Table) -> str:
        """Sometimes the view of some of its rows."""
        return "v" if table is self.schema.tables[0] and self.rng.random() < 0.3 else table.name

    def _delete_and_insert(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        """Rows of one table become rows of another; what is wrong with the first wrong one depends on which it is."""
        rng = self.rng
        scope = [Relation("x", table.columns, table.group)]
        where = self.queries.condition(scope, 0) or f" WHERE x.n = {self.expressions.constant(_SMALL)}"
        same = [one for one in self.schema.tables if one.key == table.key]
        likely = [one for one in same if one is not table and one.placement == table.placement]
        target = rng.choice(same if not likely or rng.random() < 0.1 else likely)
        where += " AND x.k IS NOT NULL" if target.is_unique else ""
        conflict = " ON CONFLICT DO NOTHING" if target.is_unique and table.is_unique and rng.random() < 0.5 else ""
        return (
            f"WITH d AS (DELETE FROM {table.name} AS x{where} RETURNING x.k, x.id, x.n, x.t)"
            f" INSERT INTO {target.name} (k, id, n, t) SELECT d.k, d.id + 80, d.n, d.t FROM d{conflict}"
            f"{self._returning(target)}"
        ), None

    def _select_of_written(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        """What RETURNING gives, read like a table."""
        rng = self.rng
        where = self.queries.condition([Relation("x", table.columns, table.group)], 0)
        returning = " RETURNING x.k, x.id, x.n, x.t"
        written = rng.choice(
            [
                f"DELETE FROM {table.name} AS x{where}{returning}",
                f"UPDATE {table.name} AS x SET n = 5{where}{returning}",
            ]
        )
        same = rng.choice([one for one in self.schema.tables if one.key == table.key])
        read = rng.choice(
            [
                "SELECT count(*) AS c, sum(d.n) AS s FROM d",
                "SELECT d.id, d.n FROM d ORDER BY d.id, d.n",
                "SELECT d.k, count(*) AS c, max(d.id) AS m FROM d GROUP BY d.k HAVING count(*) > 1",
                "SELECT DISTINCT d.n FROM d",
                f"SELECT d.id, y.n FROM d JOIN {same.name} AS y ON y.k = d.k",
                f"SELECT y.id, count(d.id) AS c FROM {same.name} AS y LEFT JOIN d USING (k, id) GROUP BY y.id",
                f"SELECT count(*) AS c FROM {same.name} AS y WHERE EXISTS (SELECT FROM d WHERE y.k = d.k)",
                f"SELECT d.k FROM d UNION ALL SELECT y.k FROM {same.name} AS y WHERE y.n = 1",
            ]
        )
        return f"WITH d AS ({written}) {read}", None

    def _lock(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        """The first rows, which are then changed or only locked."""
        rng = self.rng
        where = self.queries.condition([Relation("x", table.columns, table.group)], 0)
        waits = rng.choice(["UPDATE", "NO KEY UPDATE NOWAIT", "UPDATE SKIP LOCKED", "SHARE OF x SKIP LOCKED"])
        by_bytes = ' COLLATE "C"' if table.key.sql.startswith(("text", "varchar", "char")) else ""
        order = f"ORDER BY x.id{rng.choice(['', ' DESC'])}, x.n, x.k{by_bytes} LIMIT {rng.randint(0, 5)}"
        if not table.is_unique or rng.random() < 0.5:
            return f"SELECT x.id, x.n, x.k FROM {table.name} AS x{where} {order} FOR {waits}", None
        chosen = f"SELECT x.k, x.id FROM {table.name} AS x{where} {order} FOR {waits}"
        returning = self._returning(table, prefix="y.")
        if rng.random() < 0.5:
            return f"UPDATE {table.name} AS y SET n = 3 WHERE (y.k, y.id) IN ({chosen}){returning}", None
        joined = f"FROM q WHERE y.k = q.k AND y.id = q.id{returning}"
        return f"WITH q AS ({chosen}) UPDATE {table.name} AS y SET n = 4 {joined}", None

    def _move(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        """The key itself is changed."""
        key, other = self._given(table, "k", table.key), self.expressions.constant(table.key)
        if self.rng.random() < 0.25:
            where = self.queries.condition([Relation("x", table.columns, table.group)], 0)
            value = key if table.is_unique else f"CASE WHEN x.n > 2 THEN {key} ELSE {other} END"
            value = value if table.is_unique or self.rng.random() < 0.8 else "NULL"
            return f"UPDATE {table.name} AS x SET k = {value}{where}{self._returning(table, prefix='x.')}", None
        also = f" AND x.id = {self.expressions.constant(INT4)}" if self.rng.random() < 0.5 else ""
        return (
            f"UPDATE {table.name} AS x SET k = {key} WHERE x.k = {other}{also}{self._returning(table, prefix='x.')}",
            None,
        )

    def _merge(self, table: Table) -> tuple[str, tuple[int, ...] | None]:
        return (
            f"MERGE INTO {table.name} AS x USING {self._merged(table)} ON x.k = s.k AND x.id = s.id"
            f" WHEN MATCHED AND s.n = {self.expressions.constant(_SMALL)} THEN DELETE"
            " WHEN MATCHED THEN UPDATE SET n = s.n"
            " WHEN NOT MATCHED THEN INSERT (k, id, n, t) VALUES (s.k, s.id, s.n, s.t)"
        ), None

    def _merged(self, table: Table) -> str:
        """A source called s, of which at most one row matches each."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.2:
            rows = (
                f"({self.expressions.constant(table.key)}, {number}, {number % 3}, 'v')"
                for number in rng.sample(range(30), rng.choice([1, 2, 5]))
            )
            return f"(VALUES {', '.join(rows)}) AS s (k, id, n, t)"
        if kind < 0.5:
            same = rng.choice([one for one in self.schema.tables if one.key == table.key])
            grouped = f"SELECT min(y.k::text)::{table.key.sql} AS k, y.id, max(y.n) AS n, 'm' AS t"
            return f"({grouped} FROM {same.name} AS y WHERE y.k IS NOT NULL GROUP BY y.id) AS s"
        sources = [one for one in self.schema.tables if one.key == table.key and one.is_unique]
        return f"{rng.choice(sources or [table]).name} AS s"
