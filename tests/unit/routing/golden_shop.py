"""The database of the golden cases: a small shop over three shards."""

from __future__ import annotations

from trunkline.routing.keys.sharding import KeyArgument, Kind, Sharding, TableRule, Value
from trunkline.routing.schema.catalog import Catalog, Column, Function, Index, Relation, Trigger


class Stub:
    """A shard function that needs no value: cases speak of conditions, not of shards."""

    every = 0b111

    def __init__(self, name: str, *types: str) -> None:
        self.name = name
        self.types = types

    def shards_of(self, key: tuple[Value | None, ...]) -> int:
        return 0b001

    def shards_between(self, low: Value | None, high: Value | None) -> int:
        return self.every


def _columns(text: str) -> tuple[Column, ...]:
    found = []
    for part in text.split(", "):
        name, type, *rest = part.split(" ", 2)
        default = rest[0].removeprefix("default ") if rest else None
        found.append(Column(name, type, default=default))
    return tuple(found)


def _table(name: str, columns: str, **more: object) -> Relation:
    schema, _, bare = name.rpartition(".")
    return Relation(schema or "public", bare, columns=_columns(columns), **more)  # type: ignore[arg-type]


def _view(name: str, columns: str, definition: str) -> Relation:
    return _table(name, columns, kind="v", definition=definition)


_ORDERS = "id int8 default nextval('orders_id_seq'::regclass), customer_id int8, total numeric, status text, day date"

RELATIONS = (
    _table("customers", "id int8, name text, region text", indexes=(Index("by_region", "..."),)),
    _table("orders", _ORDERS),
    _table("items", "order_id int8, customer_id int4, sku text"),
    _table("countries", "code text, name text"),
    _table("logs", "id int8, msg text", indexes=(Index("by_msg", "..."),)),
    _table("events", "day date, msg text"),
    _table("docs", "tenant uuid, id int8, body text"),
    _table("metrics", "org text, project int4, value float8"),
    _table("labels", "owner int8, label text, since timestamptz default now()"),
    _table("loose", "name text"),
    _table("stamped", "id int8, at timestamptz default now()"),
    _table("defaulted", "region int8 default 7, x int8"),
    _table("computed", "key int8 default (random() * 10)::int8, x int8"),
    _table("readings", "device text, at timestamptz, value float8", kind="p"),
    _table("readings_2024", "device text, at timestamptz, value float8", parent=("public", "readings")),
    _table("payments", "customer_id int8, amount numeric", triggers=(Trigger("t", ("public", "log_payment")),)),
    _table("refunds", "customer_id int8, amount numeric", triggers=(Trigger("t", ("public", "note_refund")),)),
    _table("ruled", "customer_id int8", rules=("CREATE RULE r AS ON INSERT TO public.ruled DO INSTEAD NOTHING;",)),
    _table("private", "owner int8, secret text", policies=("(owner IN ( SELECT id FROM customers WHERE id = 9))",)),
    _table("acme.invoices", "id int8, amount numeric"),
    _table("sales.orders", "id int8, x int8"),
    _view(
        "big_orders", "id int8, customer_id int8, total numeric",
        "SELECT id, customer_id, total FROM orders WHERE total > 1000::numeric;",
    ),
    _view(
        "order_names", "order_id int8, customer int8, name text",
        "SELECT o.id AS order_id, c.id AS customer, c.name FROM orders o JOIN customers c ON c.id = o.customer_id;",
    ),
    _view("vip", "id int8, name text", "SELECT id, name FROM customers WHERE id = 1;"),
    _view("totals", "customer_id int8, n int8", "SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id;"),
    _view("latest", "id int8, customer_id int8", "SELECT id, customer_id FROM orders ORDER BY id DESC LIMIT 10;"),
    _view("log_view", "id int8, msg text", "SELECT id, msg FROM logs;"),
    _view("country_view", "code text", "SELECT code FROM countries;"),
)  # fmt: skip


def _function(name: str, arguments: str, language: str, body: str, volatility: str = "v", kind: str = "f") -> Function:
    return Function("public", name, tuple(arguments.split()), kind, volatility, language, body)


_LOG = "BEGIN INSERT INTO logs VALUES (1, NEW.amount::text); RETURN NEW; END"
_NOTE = "BEGIN INSERT INTO items(customer_id, sku) VALUES (NEW.customer_id, 'refund'); RETURN NEW; END"

FUNCTIONS = (
    _function("double", "int8", "sql", "SELECT $1 * 2", "i"),
    _function("order_total", "int8", "plpgsql", "BEGIN RETURN (SELECT sum(total) FROM orders); END", "s"),
    _function("total_of", "int8", "sql", "SELECT sum(total) FROM orders WHERE customer_id = $1", "s"),
    _function("count_orders", "", "sql", "SELECT count(*) FROM orders", "s"),
    _function("first_customer", "", "plpgsql", "BEGIN RETURN (SELECT name FROM customers WHERE id = 1); END", "s"),
    _function("country", "text", "sql", "SELECT name FROM countries WHERE code = $1", "s"),
    _function("add_country", "text", "sql", "INSERT INTO countries VALUES ($1, $1)"),
    _function("log", "text", "plpgsql", "BEGIN INSERT INTO logs VALUES (1, 'x'); END"),
    _function("dynamic", "text", "plpgsql", "BEGIN EXECUTE 'SELECT 1'; END"),
    _function("in_python", "", "plpython3u", "return 1"),
    _function("in_c", "", "c", "in_c"),
    _function("log_payment", "", "plpgsql", _LOG),
    _function("note_refund", "", "plpgsql", _NOTE),
    _function("make_table", "", "sql", "ALTER TABLE orders ADD x int"),
    _function("outer_call", "", "sql", "SELECT first_customer()", "s"),
    _function("endless", "", "sql", "SELECT endless()", "s"),
    _function("tidy", "", "plpgsql", "BEGIN DELETE FROM logs; END", kind="p"),
)

CATALOG = Catalog(
    {(one.schema, one.name): one for one in RELATIONS},
    {
        (one.schema, one.name): tuple(two for two in FUNCTIONS if two.name == one.name)
        for one in FUNCTIONS
    },
)  # fmt: skip

_BY_CUSTOMER = Stub("hash", "int8")


def _sharded(column: str, function: Stub = _BY_CUSTOMER, group: str = "customers") -> TableRule:
    return TableRule(Kind.SHARDED, tuple(column.split()), function, group)


SHARDING = Sharding(
    ("s0", "s1", "s2"),
    0,
    {
        "customers": _sharded("id"),
        "orders": _sharded("customer_id"),
        "items": _sharded("customer_id"),
        "payments": _sharded("customer_id"),
        "refunds": _sharded("customer_id"),
        "ruled": _sharded("customer_id"),
        "private": _sharded("owner"),
        "new_sharded": _sharded("customer_id"),
        "defaulted": _sharded("region"),
        "computed": _sharded("key"),
        "stamped": _sharded("id"),
        "events": _sharded("day", Stub("range", "date"), "events"),
        "docs": _sharded("tenant", Stub("hash", "uuid"), "docs"),
        "metrics": _sharded("org project", Stub("hash", "text", "int4"), "metrics"),
        "readings": _sharded("device", Stub("hash", "text"), "readings"),
        "countries": TableRule(Kind.REFERENCE),
        "labels": TableRule(Kind.REFERENCE),
    },
    {"acme": 1},
    {"order_total": KeyArgument(1, "orders")},
)
