"""The rows of TPC-H at a scale, made by chance from one seed: their shapes and domains are those of the specification.

Not dbgen's rows, so that results cannot be held against published ones; they are held against PostgreSQL's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

SCHEMA = """
CREATE TABLE region (r_regionkey int4 PRIMARY KEY, r_name char(25) NOT NULL, r_comment varchar(152));
CREATE TABLE nation (
  n_nationkey int4 PRIMARY KEY, n_name char(25) NOT NULL, n_regionkey int4 NOT NULL, n_comment varchar(152));
CREATE TABLE supplier (
  s_suppkey int4 PRIMARY KEY, s_name char(25) NOT NULL, s_address varchar(40) NOT NULL, s_nationkey int4 NOT NULL,
  s_phone char(15) NOT NULL, s_acctbal numeric(15,2) NOT NULL, s_comment varchar(101) NOT NULL);
CREATE TABLE part (
  p_partkey int4 PRIMARY KEY, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL, p_brand char(10) NOT NULL,
  p_type varchar(25) NOT NULL, p_size int4 NOT NULL, p_container char(10) NOT NULL,
  p_retailprice numeric(15,2) NOT NULL, p_comment varchar(23) NOT NULL);
CREATE TABLE partsupp (
  ps_partkey int4, ps_suppkey int4, ps_availqty int4 NOT NULL, ps_supplycost numeric(15,2) NOT NULL,
  ps_comment varchar(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (
  c_custkey int4 PRIMARY KEY, c_name varchar(25) NOT NULL, c_address varchar(40) NOT NULL, c_nationkey int4 NOT NULL,
  c_phone char(15) NOT NULL, c_acctbal numeric(15,2) NOT NULL, c_mktsegment char(10) NOT NULL,
  c_comment varchar(117) NOT NULL);
CREATE TABLE orders (
  o_orderkey int4 PRIMARY KEY, o_custkey int4 NOT NULL, o_orderstatus char(1) NOT NULL,
  o_totalprice numeric(15,2) NOT NULL, o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL,
  o_clerk char(15) NOT NULL, o_shippriority int4 NOT NULL, o_comment varchar(79) NOT NULL);
CREATE TABLE lineitem (
  l_orderkey int4, l_partkey int4 NOT NULL, l_suppkey int4 NOT NULL, l_linenumber int4,
  l_quantity numeric(15,2) NOT NULL,
  l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL,
  l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL,
  l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
  l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));
CREATE INDEX ON lineitem (l_partkey, l_suppkey);
CREATE INDEX ON orders (o_custkey);
"""
# The column of the key of what is sharded, by its place; the rest is on every shard.
SHARDED = {"customer": "c_custkey", "orders": "o_orderkey", "lineitem": "l_orderkey"}
REGIONS = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
NATIONS = (
    "ALGERIA 0", "ARGENTINA 1", "BRAZIL 1", "CANADA 1", "EGYPT 4", "ETHIOPIA 0", "FRANCE 3", "GERMANY 3", "INDIA 2",
    "INDONESIA 2", "IRAN 4", "IRAQ 4", "JAPAN 2", "JORDAN 4", "KENYA 0", "MOROCCO 0", "MOZAMBIQUE 0", "PERU 1",
    "CHINA 2",
    "ROMANIA 3", "SAUDI ARABIA 4", "VIETNAM 2", "RUSSIA 3", "UNITED KINGDOM 3", "UNITED STATES 1",
)  # fmt: skip
COLOURS = (
    "almond",
    "antique",
    "aquamarine",
    "azure",
    "beige",
    "forest",
    "green",
    "ivory",
    "lime",
    "navy",
    "rose",
    "tan",
)
TYPES = (
    ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO"),
    ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED"),
    ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER"),
)
CONTAINERS = (("SM", "LG", "MED", "JUMBO", "WRAP"), ("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM"))
SEGMENTS = ("AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
MODES = ("REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB")
INSTRUCTIONS = ("DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN")
WORDS = ("special", "requests", "pending", "accounts", "express", "Customer", "Complaints", "deposits", "carefully")
FIRST_DAY, DAYS, TODAY = date(1992, 1, 1), 2406, date(1995, 6, 17)
Row = tuple[object, ...]


@dataclass(frozen=True)
class Sizes:
    """How many rows there are at a scale."""

    suppliers: int
    parts: int
    customers: int
    orders: int

    @classmethod
    def at(cls, scale: float) -> Sizes:
        return cls(*(max(20, int(count * scale)) for count in (10_000, 200_000, 150_000, 1_500_000)))


def rows(scale: float) -> dict[str, list[Row]]:
    """All tables."""
    rng, sizes = random.Random("tpch"), Sizes.at(scale)
    parts = [_part(rng, key) for key in range(1, sizes.parts + 1)]
    orders, items = _orders(rng, sizes)
    return {
        "region": [(key, name, _words(rng)) for key, name in enumerate(REGIONS)],
        "nation": [(key, *said.rsplit(" ", 1), _words(rng)) for key, said in enumerate(NATIONS)],
        "supplier": [_supplier(rng, key) for key in range(1, sizes.suppliers + 1)],
        "part": parts,
        "partsupp": list(_offers(rng, sizes)),
        "customer": [_customer(rng, key) for key in range(1, sizes.customers + 1)],
        "orders": orders,
        "lineitem": items,
    }


def _words(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=5))


def _money(rng: random.Random, low: int, high: int) -> str:
    cents = rng.randint(low * 100, high * 100)
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _phone(rng: random.Random, nation: int) -> str:
    return f"{nation + 10}-{rng.randint(100, 999)}-{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"


def _supplier(rng: random.Random, key: int) -> Row:
    nation = rng.randrange(25)
    name = f"Supplier#{key:09}"
    return (key, name, f"address {key}", nation, _phone(rng, nation), _money(rng, -999, 9999), _words(rng))


def _part(rng: random.Random, key: int) -> Row:
    maker = rng.randint(1, 5)
    kind, container = (" ".join(map(rng.choice, choices)) for choices in (TYPES, CONTAINERS))
    name = " ".join(rng.sample(COLOURS, 5))
    price = f"{90000 + key // 10 % 20001 + 100 * (key % 1000)}"
    brand = f"Brand#{maker}{rng.randint(1, 5)}"
    return (key, name, f"Manufacturer#{maker}", brand, kind, rng.randint(1, 50), container,
            f"{price[:-2]}.{price[-2:]}", "part")  # fmt: skip


def _suppliers_of(part: int, suppliers: int) -> list[int]:
    """The four that offer a part."""
    return [(part + place * (suppliers // 4 + (part - 1) // suppliers)) % suppliers + 1 for place in range(4)]


def _offers(rng: random.Random, sizes: Sizes) -> Iterator[Row]:
    for part in range(1, sizes.parts + 1):
        for supplier in dict.fromkeys(_suppliers_of(part, sizes.suppliers)):
            yield (part, supplier, rng.randint(1, 9999), _money(rng, 1, 1000), _words(rng))


def _customer(rng: random.Random, key: int) -> Row:
    nation = rng.randrange(25)
    return (key, f"Customer#{key:09}", f"address {key}", nation, _phone(rng, nation), _money(rng, -999, 9999),
            rng.choice(SEGMENTS), _words(rng))  # fmt: skip


def _orders(rng: random.Random, sizes: Sizes) -> tuple[list[Row], list[Row]]:
    orders: list[Row] = []
    items: list[Row] = []
    for number in range(sizes.orders):
        key = number // 8 * 32 + number % 8 + 1  # sparse, as they have to be
        customer = rng.randint(1, sizes.customers)
        customer -= customer % 3 == 0 and customer > 1  # a third never orders
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS - 151))
        lines = [_line(rng, key, line, day, sizes) for line in range(1, rng.randint(1, 7) + 1)]
        states = {str(line[9]) for line in lines}
        total = sum(int(str(line[5]).replace(".", "")) for line in lines)
        orders.append((key, customer, states.pop() if len(states) == 1 else "P", f"{total // 100}.{total % 100:02}",
                       day,
                       rng.choice(PRIORITIES), f"Clerk#{rng.randint(1, 1000):09}", 0, _words(rng)))  # fmt: skip
        items += lines
    return orders, items


def _line(rng: random.Random, order: int, number: int, day: date, sizes: Sizes) -> Row:
    part, quantity = rng.randint(1, sizes.parts), rng.randint(1, 50)
    supplier = rng.choice(_suppliers_of(part, sizes.suppliers))
    cents = quantity * (90000 + part // 10 % 20001 + 100 * (part % 1000))
    shipped = day + timedelta(days=rng.randint(1, 121))
    received = shipped + timedelta(days=rng.randint(1, 30))
    returned = rng.choice("RA") if received <= TODAY else "N"
    return (order, part, supplier, number, quantity, f"{cents // 100}.{cents % 100:02}", f"0.{rng.randint(0, 10):02}",
            f"0.0{rng.randint(0, 8)}", returned, "F" if shipped <= TODAY else "O", shipped,
            day + timedelta(days=rng.randint(30, 90)), received, rng.choice(INSTRUCTIONS), rng.choice(MODES),
            _words(rng)[:44])  # fmt: skip
