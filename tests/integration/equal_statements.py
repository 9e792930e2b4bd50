"""Statements made by chance over a small shop, most of which concern one shard: alone, and in transactions.

The keys are written in every way that SQL and the protocol have for a number or a text: literals, casts, expressions,
parameters in text and in binary, declared as this type or that. Some are no keys at all.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.integration.shard_statements import Maker as QueryMaker
from tests.integration.sharded import keys_of

SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text NOT NULL, city text, score int4);
CREATE TABLE orders (
    id int8, customer_id int8 REFERENCES customers, total numeric(10, 2), note text, PRIMARY KEY (customer_id, id));
CREATE TABLE items (
    order_id int8, customer_id int8, sku text, quantity int4 CHECK (quantity > 0),
    PRIMARY KEY (customer_id, order_id, sku),
    FOREIGN KEY (customer_id, order_id) REFERENCES orders (customer_id, id) ON DELETE CASCADE);
CREATE TABLE documents (tenant text, number int4, body text, PRIMARY KEY (tenant, number));
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE notes (id int4 PRIMARY KEY, body text);
CREATE VIEW open_orders AS
    SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.note IS NULL;
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France'), ('it', NULL);
CREATE TABLE a (k int, id int, x int);
CREATE TABLE b (k int, id int, x int);
CREATE TABLE c (k int, id int, x int);
CREATE TABLE r (k int, id int, x int);
INSERT INTO r SELECT n % 6, n % 4, nullif(n % 5, 4) FROM generate_series(1, 16) AS n;
CREATE VIEW v AS SELECT a.k, b.id, b.x FROM a LEFT JOIN b ON b.k = a.k AND b.id = a.id;
CREATE VIEW w AS SELECT k, count(*)::int AS id, max(x) AS x FROM a GROUP BY k;
"""
TABLES: dict[str, dict[str, Any]] = {
    "customers": {"shard_by": "id"},
    "orders": {"shard_by": "customer_id", "colocated_with": "customers"},
    "items": {"shard_by": "customer_id", "colocated_with": "customers"},
    "documents": {"shard_by": "tenant"},
    "a": {"shard_by": "k"},
    "b": {"shard_by": "k", "colocated_with": "a"},
    "c": {"shard_by": "k", "colocated_with": "a"},
    "r": {"reference": True},
    "countries": {"reference": True},
}
KEYS = (keys_of(0, 8), keys_of(1, 8))
TENANTS = ("red", "green", "blue", "", "O'Neil", "größe")
INT2, INT4, INT8, TEXT, NUMERIC, INT4_ARRAY, INT8_ARRAY = 21, 23, 20, 25, 1700, 1007, 1016


@dataclass(frozen=True)
class Parameter:
    """As it is sent: the type that is declared for it (0: none), its format and its bytes."""

    oid: int
    format: int
    value: bytes | None


@dataclass(frozen=True)
class Statement:
    """`parameters` is None for the simple protocol; `ordered` if the order of the rows is said."""

    sql: str
    parameters: tuple[Parameter, ...] | None = None
    ordered: bool = False


class Maker:
    """Makes units: lists of statements, which are one statement alone or a transaction."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._queries = QueryMaker(seed)
        self._parameters: list[Parameter] | None = None
        self._focus = 0  # what most keys of a transaction are, or lie beside
        self._ordered = False

    def unit(self) -> list[Statement]:
        self._focus = self._rng.choice(self._rng.choice(KEYS))
        if self._rng.random() < 0.75:
            return [self._statement()]
        return self._transaction()

    def rows(self) -> list[Statement]:
        """Rows to begin with, and to put back where some are gone, each by its key."""
        made = []
        for key in (*KEYS[0], *KEYS[1]):
            made.append(f"INSERT INTO customers VALUES ({key}, 'customer {key}', 'Ulm', {key % 7})")
            made.append(f"INSERT INTO orders SELECT n, {key}, n * 1.5, nullif('a', 'a') FROM generate_series(1, 3) n")
            made.append(f"INSERT INTO items SELECT n, {key}, 'sku' || n, n FROM generate_series(1, 3) n")
        return [Statement(f"{sql} ON CONFLICT DO NOTHING") for sql in made]

    def rows_without_key(self) -> list[Statement]:
        """Those of the tables in which a row may be there twice."""
        places = [(table, step, n) for table, step in (("a", 1), ("b", 2), ("c", 3)) for n in range(16)]
        said = "INSERT INTO {} VALUES ({}, {}, {})"
        return [Statement(said.format(table, n * step % 6, n % 4, n % 5 or "NULL")) for table, step, n in places]

    # --- units

    def _transaction(self) -> list[Statement]:
        rng = self._rng
        made = [
            self._plain(rng.choice(["BEGIN", "begin", "START TRANSACTION", "BEGIN ISOLATION LEVEL REPEATABLE READ"]))
        ]
        open_points: list[str] = []
        for _ in range(rng.randint(0, 5)):
            kind = rng.random()
            if kind < 0.12:
                open_points.append(f"p{len(open_points)}")
                made.append(self._plain(f"SAVEPOINT {open_points[-1]}"))
            elif kind < 0.22 and open_points:
                point = rng.choice(open_points)
                del open_points[open_points.index(point) + 1 :]
                made.append(self._plain(f"ROLLBACK TO SAVEPOINT {point}"))
            elif kind < 0.26 and open_points:
                made.append(self._plain(f"RELEASE {open_points.pop()}"))
            elif kind < 0.3:
                made.append(self._plain(rng.choice(["SET LOCAL DateStyle = 'SQL, DMY'", "SHOW transaction_isolation"])))
            else:
                made.append(self._statement())
        return [*made, self._plain(rng.choice(["COMMIT", "COMMIT", "END", "ROLLBACK", "abort"]))]

    def _plain(self, sql: str) -> Statement:
        return Statement(sql, () if self._rng.random() < 0.4 else None)

    def _statement(self) -> Statement:
        self._parameters = [] if self._rng.random() < 0.55 else None
        self._ordered = False
        if self._rng.random() < 0.15:
            sql = self._queries.statement()
        else:
            form: Callable[[Maker], str] = self._rng.choices(FORMS, WEIGHTS)[0]
            sql = form(self)
            if self._parameters is None and self._rng.random() < 0.04:
                sql = f"{sql}; {self._rng.choices(FORMS, WEIGHTS)[0](self)}"
                self._ordered = False
        if self._rng.random() < 0.1:
            sql = self._rng.choice(["-- a comment\n{}", "/* one */ {} /* two */", "  {} ;", "{} -- end"]).format(sql)
        return Statement(sql, None if self._parameters is None else tuple(self._parameters), self._ordered)

    # --- values

    def chance(self, share: float) -> bool:
        return self._rng.random() < share

    def one_of(self, *choices: str) -> str:
        return self._rng.choice(choices)

    def number(self, low: int = 1, high: int = 6) -> str:
        return str(self._rng.randint(low, high))

    def key(self) -> int:
        """Mostly the one that this unit is about; else its neighbour on the shard, or any."""
        kind = self._rng.random()
        if kind < 0.85:
            return self._focus
        if kind < 0.95:
            return self._rng.choice(KEYS[0] if self._focus in KEYS[0] else KEYS[1])
        return self._rng.choice([*KEYS[0], *KEYS[1], 0, -1, 1 << 40])

    def key_value(self, key: int | None = None) -> str:
        """A key in one of the ways to write it, right or wrong."""
        value = self.key() if key is None else key
        if self._parameters is not None and self.chance(0.75):
            return self._parameter(value)
        kind = self._rng.random()
        if kind < 0.6:
            return str(value)
        if kind < 0.97:
            return self._rng.choice(WRITINGS).format(value, value + 1)
        return self.one_of("NULL", "'x'", "99999999999999999999", "1.5", "''", "9223372036854775807", "'1e1'", "true")

    def _parameter(self, value: int) -> str:
        assert self._parameters is not None
        number = len(self._parameters) + 1
        written, oid, format, encode = self._rng.choice(PARAMETERS)
        data = encode(value) if not self.chance(0.02) else self._rng.choice([None, b"x", b""])
        if not -(1 << 15) < value < 1 << 15 and oid in (INT2, INT4):
            oid, format, data = 0, 0, str(value).encode()
        self._parameters.append(Parameter(oid, format, data))
        return written.format(number)

    def text_value(self, value: str) -> str:
        if self._parameters is not None and self.chance(0.7):
            self._parameters.append(Parameter(self._rng.choice([0, TEXT]), self._rng.choice([0, 1]), value.encode()))
            return f"${len(self._parameters)}" + self.one_of("", "", "::text")
        quoted = value.replace("'", "''")
        forms = (
            f"'{quoted}'",
            f"'{quoted}'",
            f"'{quoted}'::text",
            f"E'{quoted}'",
            f"$q${value}$q$",
            f"text '{quoted}'",
        )
        return self._rng.choice(forms)

    def array_value(self, keys: list[int]) -> str:
        if self._parameters is None or self.chance(0.3):
            inside = ", ".join(map(str, keys))
            return self.one_of(
                f"ARRAY[{inside}]", f"'{{{inside}}}'", f"'{{{inside}}}'::int8[]", f"ARRAY[{inside}]::int8[]"
            )
        if self.chance(0.5):
            self._parameters.append(
                Parameter(self._rng.choice([0, INT8_ARRAY]), 0, b"{%b}" % b",".join(b"%d" % key for key in keys))
            )
        else:
            head = struct.pack("!iiIii", 1, 0, INT8, len(keys), 1)
            body = b"".join(struct.pack("!iq", 8, key) for key in keys)
            self._parameters.append(Parameter(INT8_ARRAY, 1, head + body))
        return f"${len(self._parameters)}"

    def tenant(self) -> str:
        return self.text_value(TENANTS[self._focus % len(TENANTS)] if self.chance(0.9) else self._rng.choice(TENANTS))

    def condition(self, column: str) -> str:
        """One that mostly leaves one key."""
        kind = self._rng.random()
        key = self.key()
        if kind < 0.62:
            return f"{column} = {self.key_value()}"
        if kind < 0.68:
            return f"{column} IN ({self.key_value(key)}, {self.key_value(key)})"
        if kind < 0.74:
            return f"{column} = ANY ({self.array_value([key] * self._rng.randint(1, 2))})"
        if kind < 0.78:
            return f"{column} BETWEEN {self.key_value(key)} AND {self.key_value(key)}"
        if kind < 0.82:
            return f"({column} = {self.key_value(key)} OR {column} = {self.key_value(key)})"
        if kind < 0.85:
            return f"({column}, 1) = ({self.key_value(key)}, 1)"
        if kind < 0.88:
            return f"({column} = {self.key_value(key)} AND {column} IS NOT NULL AND NOT {column} = {self.key_value()})"
        if kind < 0.91:
            return f"{column} IN ({self.key_value()}, {self.key_value()})"
        if kind < 0.94:
            return f"{column} IS NOT DISTINCT FROM {self.key_value()}"
        if kind < 0.97:
            return self.one_of(
                f"{column} > {self.number()}", f"{column} IS NULL", f"{column} <> {self.key_value()}", "true"
            )
        return f"{column} = {self.key_value()} AND {column} = {self.key_value()}"

    def in_order(self, count: int) -> str:
        """An order of all columns, sometimes cut."""
        self._ordered = True
        order = ", ".join(f"{number}{self.one_of('', ' DESC', ' NULLS FIRST')}" for number in range(1, count + 1))
        limit = self.one_of(
            "", "", f" LIMIT {self.number(0, 3)}", f" OFFSET {self.number(0, 2)}", " FETCH FIRST ROW ONLY"
        )
        return f" ORDER BY {order}{limit}"


WRITINGS = (
    "'{0}'", "{0}::int8", "'{0}'::bigint", "CAST('{0}' AS int8)", "{0}::int4", "{1} - 1", "({0})", "{0}.0", "+{0}",
    "' {0} '", "int8 '{0}'", "'{0}'::text::int8", "{0}::numeric", "'{0}'::int2", "(SELECT {0})", "abs({0})",
    "CASE WHEN true THEN {0} END", "coalesce(NULL, {0})", "E'{0}'", "$k${0}$k$", "0{0}",
)  # fmt: skip


def _text(value: int) -> bytes:
    return b"%d" % value


def _binary(form: str) -> Callable[[int], bytes]:
    return lambda value: struct.pack(form, value if form == "!q" else value & 0x7FFF)


PARAMETERS: tuple[tuple[str, int, int, Callable[[int], bytes]], ...] = (
    ("${}", 0, 0, _text), ("${}", 0, 0, _text), ("${}", INT8, 0, _text), ("${}", INT8, 1, _binary("!q")),
    ("${}", 0, 1, _binary("!q")), ("${}", INT4, 1, _binary("!i")), ("${}", INT2, 1, _binary("!h")),
    ("${}", INT4, 0, _text), ("${}::int8", 0, 0, _text), ("${}::int4", 0, 0, _text), ("${}::text::int8", 0, 0, _text),
    ("${}", NUMERIC, 0, _text), ("${}", TEXT, 0, _text), ("${}::int8", TEXT, 0, _text),
    ("${}", 0, 0, lambda value: b" %d " % value), ("${}", 0, 0, lambda value: b"+%d" % value),
)  # fmt: skip


# --- forms: one function each, by how often --------------------------------------------------------------------------


def _select(make: Maker) -> str:
    what = make.one_of("id, name, city, score", "name, id, score, 1", "count(*), max(score), min(name), sum(score)")
    order = "" if "count" in what or make.chance(0.5) else make.in_order(4)
    return f"SELECT {what} FROM customers WHERE {make.condition('id')}{order}"


def _select_orders(make: Maker) -> str:
    where = make.condition("customer_id")
    extra = make.one_of("", " AND total > 2", " AND note IS NULL", f" AND id = {make.number()}", " AND id IN (1, 2, 3)")
    group = make.one_of("", "group", "window", "distinct")
    if group == "group":
        having = make.one_of("", " HAVING count(*) > 1", " HAVING sum(total) IS NOT NULL")
        return (
            f"SELECT note, count(*), sum(total) FROM orders WHERE {where}{extra} GROUP BY note{having}"
            + make.in_order(3)
        )
    if group == "window":
        return f"SELECT id, rank() OVER (ORDER BY total, id) FROM orders WHERE {where}{extra}" + make.in_order(2)
    if group == "distinct":
        return f"SELECT DISTINCT customer_id, note FROM orders WHERE {where}{extra}"
    return f"SELECT * FROM orders WHERE {where}{extra}" + (make.in_order(4) if make.chance(0.4) else "")


def _join(make: Maker) -> str:
    how = make.one_of("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
    on = make.one_of(
        "o.customer_id = c.id", "o.customer_id = c.id AND o.total > 2", f"{make.condition('o.customer_id')}"
    )
    where = make.condition(make.one_of("c.id", "o.customer_id"))
    return f"SELECT c.id, c.name, o.id, o.total FROM customers c {how} orders o ON {on} WHERE {where}"


def _join_of_three(make: Maker) -> str:
    return (
        "SELECT c.name, sum(i.quantity * o.total) FROM customers c, orders AS o JOIN items i USING (customer_id)"
        f" WHERE c.id = o.customer_id AND i.order_id = o.id AND {make.condition('i.customer_id')} GROUP BY c.name"
    )


def _join_reference(make: Maker) -> str:
    how = make.one_of("JOIN", "LEFT JOIN")
    return f"SELECT c.id, k.name FROM customers c {how} countries k ON k.code = c.city WHERE {make.condition('c.id')}"


def _subquery(make: Maker) -> str:
    inner = f"SELECT customer_id FROM orders o WHERE {make.condition('o.customer_id')}"
    kind = make.one_of("IN", "EXISTS", "scalar", "FROM")
    if kind == "IN":
        return f"SELECT name FROM customers WHERE id {make.one_of('', 'NOT ')}IN ({inner}) AND {make.condition('id')}"
    if kind == "EXISTS":
        return f"SELECT name FROM customers c WHERE EXISTS ({inner} AND o.customer_id = c.id)"
    if kind == "scalar":
        return (
            "SELECT id, (SELECT sum(total) FROM orders WHERE customer_id = c.id) FROM customers c"
            f" WHERE {make.condition('c.id')}"
        )
    return f"SELECT count(*) FROM ({inner} UNION ALL SELECT id FROM customers WHERE {make.condition('id')}) AS both"


def _cte(make: Maker) -> str:
    materialized = make.one_of("", "MATERIALIZED ", "NOT MATERIALIZED ")
    inner = f"SELECT * FROM orders WHERE {make.condition('customer_id')}"
    if make.chance(0.3):
        outer = "SELECT c.name, one.total FROM one JOIN customers c ON c.id = one.customer_id"
    else:
        outer = "SELECT count(*), max(total) FROM one"
    return f"WITH one AS {materialized}({inner}) {outer}"


def _writing_cte(make: Maker) -> str:
    moved = f"DELETE FROM items WHERE {make.condition('customer_id')} RETURNING customer_id, sku"
    return f"WITH gone AS ({moved}) SELECT count(*), max(sku) FROM gone"


def _set_operation(make: Maker) -> str:
    operator = make.one_of("UNION", "UNION ALL", "INTERSECT", "EXCEPT")
    left = f"SELECT id FROM customers WHERE {make.condition('id')}"
    return f"{left} {operator} SELECT customer_id FROM orders WHERE {make.condition('customer_id')}"


def _view(make: Maker) -> str:
    return f"SELECT id, total, name FROM open_orders WHERE {make.condition('customer_id')}"


def _not_a_filter(make: Maker) -> str:
    return make.one_of(
        f"SELECT id = {make.key()}, count(*) FROM customers WHERE {make.condition('id')} GROUP BY 1",
        f"SELECT CASE WHEN id = {make.key()} THEN name END FROM customers WHERE {make.condition('id')}",
        f"SELECT count(*) FILTER (WHERE id = {make.key()}) FROM customers WHERE {make.condition('id')}",
    )


def _insert(make: Maker) -> str:
    columns = make.one_of("(id, name)", "(name, id)")
    values = [make.key_value(), make.text_value("new")]
    if columns == "(name, id)":
        columns, values = "(id, name)", [values[0], f"upper({values[1]})"]
    conflict = make.one_of("", " ON CONFLICT DO NOTHING", " ON CONFLICT (id) DO UPDATE SET name = excluded.name || '!'")
    returning = make.one_of("", " RETURNING id, name", " RETURNING *")
    return f"INSERT INTO customers {columns} VALUES ({', '.join(values)}){conflict}{returning}"


def _insert_order(make: Maker) -> str:
    key = make.key()
    count = 1 if make.chance(0.6) else 2
    rows = ", ".join(
        f"({make.number()}, {make.key_value(key)}, {make.number()}.25, {make.one_of('NULL', 'DEFAULT')})"
        for _ in range(count)
    )
    conflict = make.one_of("", " ON CONFLICT DO NOTHING", " ON CONFLICT (customer_id, id) DO UPDATE SET total = 1")
    return f"INSERT INTO orders VALUES {rows}{conflict}{make.one_of('', ' RETURNING id, total')}"


def _insert_item(make: Maker) -> str:
    key = make.key_value()
    return (
        "INSERT INTO items (order_id, customer_id, sku, quantity)"
        f" VALUES ({make.number()}, {key}, 'sku{make.number()}', {make.number(0, 5)}) ON CONFLICT DO NOTHING"
    )


def _insert_selected(make: Maker) -> str:
    return (
        f"INSERT INTO orders (id, customer_id, total) SELECT id + 3, customer_id, total + 1 FROM orders"
        f" WHERE {make.condition('customer_id')} AND id < 4 ON CONFLICT DO NOTHING RETURNING id"
    )


def _update(make: Maker) -> str:
    sets = make.one_of(
        "score = coalesce(score, 0) + 1", "city = 'de', score = 3", "city = NULL", f"name = {make.text_value('n')}"
    )
    returning = make.one_of("", " RETURNING id, score", " RETURNING *")
    return f"UPDATE customers SET {sets} WHERE {make.condition('id')}{returning}"


def _update_key(make: Maker) -> str:
    return f"UPDATE orders SET customer_id = {make.key_value()} WHERE {make.condition('customer_id')}"


def _update_from(make: Maker) -> str:
    return (
        "UPDATE orders o SET note = c.city FROM customers c WHERE c.id = o.customer_id"
        f" AND {make.condition('c.id')} RETURNING o.id, o.note"
    )


def _delete(make: Maker) -> str:
    table = make.one_of("orders", "items", "items", "orders USING customers c")
    if table.endswith("c"):
        return f"DELETE FROM {table} WHERE c.id = orders.customer_id AND {make.condition('c.id')} AND orders.id > 3"
    extra = make.one_of("", f" AND {'id' if table == 'orders' else 'order_id'} = {make.number()}")
    return f"DELETE FROM {table} WHERE {make.condition('customer_id')}{extra}{make.one_of('', ' RETURNING *')}"


def _delete_customer(make: Maker) -> str:
    return f"DELETE FROM customers WHERE {make.condition('id')} AND score = {make.number(0, 9)}"


def _merge(make: Maker) -> str:
    key = make.key_value()
    return (
        f"MERGE INTO customers c USING (SELECT {key}::int8 AS id) AS new ON c.id = new.id AND c.id = {key}"
        " WHEN MATCHED THEN UPDATE SET score = 9 WHEN NOT MATCHED THEN DO NOTHING"
    )


def _document(make: Maker) -> str:
    where = f"tenant = {make.tenant()}"
    return make.one_of(
        f"SELECT number, body FROM documents WHERE {where}",
        f"UPDATE documents SET body = body || '.' WHERE {where} AND number = {make.number()} RETURNING number",
        f"DELETE FROM documents WHERE {where} AND number > 4",
        f"SELECT count(*) FROM documents WHERE {where} AND tenant IN ('red', 'blue')",
    )


def _insert_document(make: Maker) -> str:
    return f"INSERT INTO documents VALUES ({make.tenant()}, {make.number()}, 'text')" + make.one_of(
        "", " ON CONFLICT DO NOTHING", " ON CONFLICT (tenant, number) DO UPDATE SET body = 'again'"
    )


def _home(make: Maker) -> str:
    return make.one_of(
        f"INSERT INTO notes VALUES ({make.number()}, 'note') ON CONFLICT (id) DO UPDATE SET body = notes.body || '+'",
        f"SELECT id, length(body) FROM notes WHERE id = {make.number()}",
        f"DELETE FROM notes WHERE id = {make.number()}",
        f"SELECT n.id, c.name FROM notes n LEFT JOIN customers c ON c.id = n.id AND {make.condition('c.id')}",
    )


def _reference(make: Maker) -> str:
    return make.one_of(
        "SELECT code, name FROM countries ORDER BY code DESC",
        "SELECT count(*) FROM countries WHERE name IS NULL",
        "UPDATE countries SET name = 'Italy' WHERE code = 'it'",
    )


def _no_table(make: Maker) -> str:
    return make.one_of(
        "SELECT 1", f"SELECT {make.key_value()}", "VALUES (1), (2)", "SELECT 1/0", "SELEKT 1", "SELECT * FROM nowhere",
        "SELECT nothing FROM customers WHERE id = 1", "", "SELECT generate_series(1, 3)",
    )  # fmt: skip


def _locked(make: Maker) -> str:
    return (
        f"SELECT id FROM customers WHERE {make.condition('id')} FOR {make.one_of('UPDATE', 'SHARE', 'NO KEY UPDATE')}"
    )


def _everything(make: Maker) -> str:
    return make.one_of("SELECT count(*) FROM customers", "UPDATE orders SET note = 'all'", "DELETE FROM items")


CHANCES: dict[Callable[[Maker], str], int] = {
    _select: 12, _select_orders: 12, _join: 8, _join_of_three: 4, _join_reference: 3, _subquery: 7, _cte: 4,
    _writing_cte: 2, _set_operation: 3, _view: 3, _not_a_filter: 3, _insert: 6, _insert_order: 7, _insert_item: 6,
    _insert_selected: 3, _update: 8, _update_key: 1, _update_from: 3, _delete: 4, _delete_customer: 2, _merge: 2,
    _document: 5, _insert_document: 4, _home: 3, _reference: 2, _no_table: 4, _locked: 2, _everything: 1,
}  # fmt: skip
FORMS: Any = list(CHANCES)
WEIGHTS = list(CHANCES.values())
