"""Statements as the standard mixes send them, with their literals in the text: what share finds its plan in the cache.

The mixes are pgbench's select-only and TPC-B-like scripts and the five transactions of TPC-C (revision 5.11, clause 2),
sharded by branch and by warehouse. Their shapes differ where the benchmark says so: an order has 5 to 15 lines.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

Mix = Callable[[random.Random], Iterator[str]]

WARM_UP = 1_000  # transactions
MEASURED = 20_000
TEMPLATES = 10_000
JOIN = (
    "SELECT a.abalance AS balance_{0}, b.bbalance FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid"
    " WHERE a.bid = 3 AND a.aid = 42"
)

PGBENCH_TABLES = {
    "pgbench_accounts": "bid aid abalance filler",
    "pgbench_tellers": "bid tid tbalance filler",
    "pgbench_branches": "bid bbalance filler",
    "pgbench_history": "bid tid aid delta mtime filler",
}
TPCC_TABLES = {
    "warehouse": "w_id w_tax w_ytd w_name",
    "district": "d_w_id d_id d_tax d_ytd d_next_o_id d_name",
    "customer": "c_w_id c_id c_d_id c_first c_middle c_last c_credit c_discount c_balance c_data c_payment_cnt",
    "orders": "o_w_id o_id o_d_id o_c_id o_entry_d o_carrier_id o_ol_cnt o_all_local",
    "new_order": "no_w_id no_o_id no_d_id",
    "order_line": "ol_w_id ol_o_id ol_d_id ol_number ol_i_id ol_supply_w_id ol_quantity ol_amount ol_delivery_d",
    "stock": "s_w_id s_i_id s_quantity s_data s_dist_01 s_ytd s_order_cnt s_remote_cnt",
    "history": "h_w_id h_c_id h_d_id h_c_d_id h_c_w_id h_date h_amount h_data",
    "item": "i_id i_price i_name i_data",
}


def select_only(draw: random.Random) -> Iterator[str]:
    yield f"SELECT abalance FROM pgbench_accounts WHERE aid = {draw.randrange(10**6)} AND bid = {draw.randrange(10)};"


def tpcb_like(draw: random.Random) -> Iterator[str]:
    aid, tid, bid, delta = draw.randrange(10**6), draw.randrange(100), draw.randrange(10), draw.randint(-5000, 5000)
    yield "BEGIN;"
    yield f"UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid} AND bid = {bid};"
    yield f"SELECT abalance FROM pgbench_accounts WHERE aid = {aid} AND bid = {bid};"
    yield f"UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {tid} AND bid = {bid};"
    yield f"UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {bid};"
    columns = "tid, bid, aid, delta, mtime"
    yield f"INSERT INTO pgbench_history ({columns}) VALUES ({tid}, {bid}, {aid}, {delta}, CURRENT_TIMESTAMP);"
    yield "END;"


def tpcc_like(draw: random.Random) -> Iterator[str]:
    """One transaction of the five, in the shares of clause 5.2.3."""
    [transaction] = draw.choices((_new_order, _payment, _order_status, _delivery, _stock_level), (45, 43, 4, 4, 4))
    yield "BEGIN"
    yield from transaction(draw, draw.randint(1, 100), draw.randint(1, 10))
    yield "COMMIT"


def _new_order(draw: random.Random, w: int, d: int) -> Iterator[str]:
    c, o, count = draw.randint(1, 3000), draw.randint(1, 10**6), draw.randint(5, 15)
    items = [draw.randint(1, 100_000) for _ in range(count)]
    yield f"SELECT c_discount, c_last, c_credit FROM customer WHERE c_w_id = {w} AND c_d_id = {d} AND c_id = {c}"
    yield f"SELECT w_tax FROM warehouse WHERE w_id = {w}"
    yield f"SELECT d_next_o_id, d_tax FROM district WHERE d_w_id = {w} AND d_id = {d} FOR UPDATE"
    yield f"UPDATE district SET d_next_o_id = {o + 1} WHERE d_w_id = {w} AND d_id = {d}"
    columns = "o_id, o_d_id, o_w_id, o_c_id, o_entry_d, o_ol_cnt, o_all_local"
    entered = f"2024-02-29 12:00:{draw.randrange(60):02}"
    yield f"INSERT INTO orders ({columns}) VALUES ({o}, {d}, {w}, {c}, '{entered}', {count}, 1)"
    yield f"INSERT INTO new_order (no_o_id, no_d_id, no_w_id) VALUES ({o}, {d}, {w})"
    yield f"SELECT i_id, i_price, i_name FROM item WHERE i_id IN ({', '.join(map(str, items))})"
    lines = []
    for number, item in enumerate(items, 1):
        amount = draw.randrange(10**6) / 100
        yield f"SELECT s_quantity, s_data, s_dist_01 FROM stock WHERE s_i_id = {item} AND s_w_id = {w} FOR UPDATE"
        left = draw.randint(10, 100)
        yield f"UPDATE stock SET s_quantity = {left}, s_ytd = s_ytd + 5 WHERE s_i_id = {item} AND s_w_id = {w}"
        lines.append(f"({o}, {d}, {w}, {number}, {item}, {w}, 5, {amount})")
    columns = "ol_o_id, ol_d_id, ol_w_id, ol_number, ol_i_id, ol_supply_w_id, ol_quantity, ol_amount"
    yield f"INSERT INTO order_line ({columns}) VALUES {', '.join(lines)}"


def _payment(draw: random.Random, w: int, d: int) -> Iterator[str]:
    c, amount = draw.randint(1, 3000), draw.randrange(100, 500_000) / 100
    yield f"UPDATE warehouse SET w_ytd = w_ytd + {amount} WHERE w_id = {w} RETURNING w_name"
    yield f"UPDATE district SET d_ytd = d_ytd + {amount} WHERE d_w_id = {w} AND d_id = {d} RETURNING d_name"
    if draw.random() < 0.6:
        name = draw.choice(("BAR", "OUGHT", "ABLE")) + draw.choice(("PRI", "PRES", "ESE"))
        yield f"SELECT c_id FROM customer WHERE c_w_id = {w} AND c_d_id = {d} AND c_last = '{name}' ORDER BY c_first"
    where = f"c_w_id = {w} AND c_d_id = {d} AND c_id = {c}"
    yield f"SELECT c_first, c_middle, c_last, c_balance, c_credit FROM customer WHERE {where} FOR UPDATE"
    yield f"UPDATE customer SET c_balance = c_balance - {amount}, c_payment_cnt = c_payment_cnt + 1 WHERE {where}"
    columns = "h_c_d_id, h_c_w_id, h_c_id, h_d_id, h_w_id, h_date, h_amount, h_data"
    yield f"INSERT INTO history ({columns}) VALUES ({d}, {w}, {c}, {d}, {w}, now(), {amount}, 'w{w} d{d}')"


def _order_status(draw: random.Random, w: int, d: int) -> Iterator[str]:
    c, o = draw.randint(1, 3000), draw.randint(1, 10**6)
    yield f"SELECT c_balance, c_first FROM customer WHERE c_w_id = {w} AND c_d_id = {d} AND c_id = {c}"
    where = f"o_w_id = {w} AND o_d_id = {d} AND o_c_id = {c}"
    yield f"SELECT o_id, o_carrier_id, o_entry_d FROM orders WHERE {where} ORDER BY o_id DESC LIMIT 1"
    where = f"ol_w_id = {w} AND ol_d_id = {d} AND ol_o_id = {o}"
    yield f"SELECT ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d FROM order_line WHERE {where}"


def _delivery(draw: random.Random, w: int, d: int) -> Iterator[str]:
    for district in range(1, 11):
        o, c = draw.randint(1, 10**6), draw.randint(1, 3000)
        where = f"no_d_id = {district} AND no_w_id = {w}"
        yield f"SELECT no_o_id FROM new_order WHERE {where} ORDER BY no_o_id LIMIT 1"
        yield f"DELETE FROM new_order WHERE {where} AND no_o_id = {o}"
        where = f"o_id = {o} AND o_d_id = {district} AND o_w_id = {w}"
        yield f"UPDATE orders SET o_carrier_id = {draw.randint(1, 10)} WHERE {where} RETURNING o_c_id"
        where = f"ol_o_id = {o} AND ol_d_id = {district} AND ol_w_id = {w}"
        yield f"UPDATE order_line SET ol_delivery_d = now() WHERE {where}"
        yield f"SELECT sum(ol_amount) FROM order_line WHERE {where}"
        where = f"c_id = {c} AND c_d_id = {district} AND c_w_id = {w}"
        yield f"UPDATE customer SET c_balance = c_balance + {draw.randrange(10**6) / 100} WHERE {where}"


def _stock_level(draw: random.Random, w: int, d: int) -> Iterator[str]:
    o = draw.randint(20, 10**6)
    yield f"SELECT d_next_o_id FROM district WHERE d_w_id = {w} AND d_id = {d}"
    yield (
        "SELECT count(DISTINCT s_i_id) FROM order_line, stock"
        f" WHERE ol_w_id = {w} AND ol_d_id = {d} AND ol_o_id < {o} AND ol_o_id >= {o - 20}"
        f" AND s_w_id = ol_w_id AND s_i_id = ol_i_id AND s_quantity < {draw.randint(10, 20)}"
    )


MIXES: dict[str, Mix] = {"pgbench -S": select_only, "TPC-B-like": tpcb_like, "TPC-C-like": tpcc_like}


class Looker:
    """A plan cache with a planner behind it, as a router has them."""

    def __init__(self, tables: dict[str, str]) -> None:
        from trunkline.routing.keys.shard_functions import Rule, make_function
        from trunkline.routing.keys.sharding import Kind, Sharding, TableRule
        from trunkline.routing.plans.plan_cache import PlanCache
        from trunkline.routing.schema.catalog import Catalog, Column, Relation
        from trunkline.routing.text.fingerprint import Fingerprint

        key = make_function("hash", Rule(("int4",), ("a", "b")))
        relations, rules = {}, {}
        for name, columns in tables.items():
            first, *others = columns.split()
            kept = (Column(first, "int4"), *(Column(other, "text") for other in others))
            relations["public", name] = Relation("public", name, columns=kept)
            rules[name] = TableRule(Kind.REFERENCE) if name == "item" else TableRule(Kind.SHARDED, (first,), key)
        self.catalog, self.sharding = Catalog(relations), Sharding(("a", "b"), tables=rules)
        self.plans, self.found = PlanCache(), Fingerprint()

    def look(self, sql: str) -> None:
        from trunkline.routing.planning.planner import plan

        text = sql.encode()
        self.found.read(text)
        if self.plans.get(self.found, text) is None:
            self.plans.put(self.found, text, plan(text, self.catalog, self.sharding, ("public",)))


def hit_rate(name: str) -> tuple[float, int, int]:
    """In percent, after the warm-up; of how many statements, with how many templates."""
    looker, draw = Looker(TPCC_TABLES if name.startswith("TPC-C") else PGBENCH_TABLES), random.Random(1)
    for _ in range(WARM_UP):
        for text in MIXES[name](draw):
            looker.look(text)
    hits, misses = looker.plans.hits, looker.plans.misses
    for _ in range(MEASURED):
        for text in MIXES[name](draw):
            looker.look(text)
    hits, misses = looker.plans.hits - hits, looker.plans.misses - misses
    return 100 * hits / (hits + misses), hits + misses, looker.plans.entries


def templates_mb() -> tuple[float, int]:
    """What a process of its own grows by for so many templates of an ordinary join, and how many of them are kept."""
    with get_context("spawn").Pool(1) as process:
        return process.apply(_grow)


def _grow() -> tuple[float, int]:
    looker = Looker(PGBENCH_TABLES)
    looker.look(JOIN.format(0))
    before = _resident_mb()
    for number in range(1, TEMPLATES + 1):
        looker.look(JOIN.format(number))
    return _resident_mb() - before, looker.plans.entries


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
