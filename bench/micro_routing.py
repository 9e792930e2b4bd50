"""What single steps of routing cost, in nanoseconds of one core: ``python -m bench.micro_routing``.

Each figure is a function that does its step so many times; what is reported is the median over rounds. Steps that only
compiled code takes are called from loops in C (`routing_loops.pyx`), which are built here.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType

from bench.report import number, table

LOOPS = Path(__file__).parent / "routing_loops.pyx"
ROUNDS = 9

Repeated = Callable[[int], object]


@dataclass(frozen=True)
class Figure:
    """``repeat(n)`` takes the step n times; ``bar_ns`` is what one may cost, if there is a bar."""

    name: str
    repeat: Repeated
    count: int
    bar_ns: float | None = None

    def measure(self) -> list[float]:
        self.repeat(self.count // 10)
        return [self._round() for _ in range(ROUNDS)]

    def _round(self) -> float:
        started = time.perf_counter_ns()
        self.repeat(self.count)
        return (time.perf_counter_ns() - started) / self.count


def hashing_figures(loops: ModuleType) -> Iterator[Figure]:
    """The hash alone, and all of a shard function as the planner's fallback calls it."""
    from trunkline.routing.keys.shard_functions import Rule, make_function

    yield Figure("hash of an int8", loops.hash_int8_keys, 10_000_000, bar_ns=50)
    yield Figure("hash of a uuid", loops.hash_uuid_keys, 10_000_000, bar_ns=80)
    buckets = tuple(bucket % 2 for bucket in range(1024))
    int8 = make_function("hash", Rule(("int8",), ("a", "b"), buckets))
    yield Figure("shard of an int8, from Python", _repeated(lambda: int8.shards_of((42,))), 500_000)


def value_figures() -> Iterator[Figure]:
    """From a token of a text to a key, where compiled code does not know the form."""
    from trunkline.routing.keys.values import from_number, from_text

    yield Figure("int8 from a number", _repeated(lambda: from_number(b"4242", "int8")), 200_000)
    yield Figure("int8 from a text", _repeated(lambda: from_text(b"4242", "int8")), 200_000)
    yield Figure(
        "uuid from a text", _repeated(lambda: from_text(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "uuid")), 100_000
    )
    yield Figure("date from a text", _repeated(lambda: from_text(b"2024-02-29", "date")), 100_000)


PGBENCH = b"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;"
REPORT = (
    b"SELECT o.id, o.total * 1.19 AS gross, c.name, 'nothing' AS note -- for the report\n"
    b'FROM orders o JOIN "Customers" c ON c.id = o.customer_id '
    b"WHERE o.customer_id = 42 AND o.made >= '2024-02-29'::date UNION ALL "
)
TWO_KB = (REPORT * 11)[:2048]


def text_figures(loops: ModuleType) -> Iterator[Figure]:
    """What a text that is known costs: its key alone, and all the way to its shard; and a Bind of a known statement."""
    from trunkline.routing.keys.shard_functions import Rule, make_function
    from trunkline.routing.plans.evaluation import ReadyPlan
    from trunkline.routing.plans.plan import Equals, Literal, Parameter, RoutePlan, Verdict
    from trunkline.routing.plans.plan_cache import PlanCache
    from trunkline.routing.text.fingerprint import Fingerprint

    int4 = make_function("hash", Rule(("int4",), ("a", "b")))
    cache, found = PlanCache(), Fingerprint(PGBENCH)
    cache.put(found, PGBENCH, RoutePlan(Verdict.ROUTED, Equals(int4, (Literal(PGBENCH.index(b"1")),))))
    bound = ReadyPlan(RoutePlan(Verdict.ROUTED, Equals(int4, (Parameter(1),))), found, PGBENCH)
    text, binary = (b"\0\1\0%c\0\1\0\0\0%c%b\0\0" % (form, len(value), value) for form, value in PARAMETERS)
    yield Figure("key of pgbench's SELECT", partial(loops.read_texts, PGBENCH), 1_000_000, bar_ns=500)
    yield Figure("key of 2 kB of SQL", partial(loops.read_texts, TWO_KB), 50_000, bar_ns=10_000)
    yield Figure("shard of pgbench's SELECT", partial(loops.route_texts, cache, PGBENCH), 1_000_000, bar_ns=1000)
    yield Figure("shard of a Bind in text", partial(loops.route_binds, bound, text), 2_000_000, bar_ns=400)
    yield Figure("shard of a Bind in binary", partial(loops.route_binds, bound, binary), 2_000_000, bar_ns=400)


JOIN = (
    b"SELECT o.id, o.total, c.name, i.sku, p.amount, r.amount FROM orders o JOIN customers c ON c.id = o.customer_id"
    b" JOIN items i ON i.customer_id = o.customer_id AND i.order_id = o.id"
    b" LEFT JOIN payments p ON p.customer_id = o.customer_id LEFT JOIN refunds r ON r.customer_id = c.id"
    b" WHERE o.customer_id = $1 AND o.total > 10 ORDER BY o.total DESC LIMIT 20"
)
COLUMNS = ("id", "customer_id", "order_id", "name", "sku", "total", "amount")


def planner_figures() -> Iterator[Figure]:
    """A plan made anew, all of it: parsed, bound and deduced."""
    from trunkline.routing.keys.shard_functions import Rule, make_function
    from trunkline.routing.keys.sharding import Kind, Sharding, TableRule
    from trunkline.routing.planning.planner import plan
    from trunkline.routing.schema.catalog import Catalog, Column, Relation

    key = make_function("hash", Rule(("int8",), ("a", "b")))
    names = ("orders", "customers", "items", "payments", "refunds")
    columns = tuple(Column(name, "int8") for name in COLUMNS)
    catalog = Catalog({("public", name): Relation("public", name, columns=columns) for name in names})
    rules = {name: TableRule(Kind.SHARDED, ("id" if name == "customers" else "customer_id",), key) for name in names}
    sharding = Sharding(("a", "b"), tables=rules)
    step = _repeated(lambda: plan(JOIN, catalog, sharding, ("public",)))
    yield Figure("plan of a join of 5 tables", step, 2_000, bar_ns=300_000)


PARAMETERS = ((0, b"12345"), (1, (12345).to_bytes(4, "big")))


def _repeated(step: Callable[[], object]) -> Repeated:
    def repeat(count: int) -> None:
        for _ in range(count):
            step()

    return repeat


@contextmanager
def built_loops() -> Iterator[ModuleType]:
    """The loops in C, built in a directory that is gone afterwards."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as directory:
        extension = Extension("routing_loops", [str(LOOPS)], extra_compile_args=["-O2"])
        options = {"language_level": "3"}
        modules = cythonize(
            [extension], build_dir=directory, include_path=["src"], compiler_directives=options, quiet=True
        )
        command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        command.build_lib = command.build_temp = directory
        command.ensure_finalized()
        command.run()
        spec = importlib.util.spec_from_file_location("routing_loops", command.get_ext_fullpath("routing_loops"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def report() -> str:
    """All figures as a table."""
    with built_loops() as loops:
        figures = [*text_figures(loops), *hashing_figures(loops), *value_figures(), *planner_figures()]
        rows = [_row(figure, figure.measure()) for figure in figures]
    return table(("step", "bar ns", "ns", "lowest", "highest"), rows)


def _row(figure: Figure, values: list[float]) -> tuple[str, ...]:
    cells = (figure.bar_ns, median(values), min(values), max(values))
    return figure.name, *(number(cell, 1) for cell in cells)


if __name__ == "__main__":
    sys.exit(print(report()))
