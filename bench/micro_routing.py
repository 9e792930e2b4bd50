"""What single steps of routing cost, in nanoseconds of one core, and what plans cost that are kept.

    python -m bench --only routing

Each figure is a function that does its step so many times; what is reported is the median over rounds. Steps that only
compiled code takes are called from loops in C (`routing_loops.pyx`), which are built here.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType

from bench import mixes
from bench.contenders import Stage
from bench.options import Options
from bench.report import Section, number, table

LOOPS = Path(__file__).parent / "routing_loops.pyx"
ROUNDS = 9
ABOUT = (
    "Steps that only compiled code takes are called from loops in C. The mixes send their literals in the text, and "
    f"are counted over {mixes.MEASURED:,} transactions behind {mixes.WARM_UP:,} others."
)
HIT_RATE = "plans found by template, lowest of the mixes, %"
BARS_NS = {  # what one step may cost
    "key of pgbench's SELECT": 500,
    "key of 2 kB of SQL": 10_000,
    "hash of an int8": 50,
    "hash of a uuid": 80,
    "plan of a join of 5 tables": 300_000,
}
KEPT = "templates kept, of 10,000"
MEMORY = "process growth by 10,000 templates, MB"

Repeated = Callable[[int], object]


@dataclass(frozen=True)
class Figure:
    """``repeat(n)`` takes the step n times."""

    name: str
    repeat: Repeated
    count: int

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

    yield Figure("hash of an int8", loops.hash_int8_keys, 10_000_000)
    yield Figure("hash of a uuid", loops.hash_uuid_keys, 10_000_000)
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
    yield Figure("key of pgbench's SELECT", partial(loops.read_texts, PGBENCH), 1_000_000)
    yield Figure("key of 2 kB of SQL", partial(loops.read_texts, TWO_KB), 50_000)
    yield Figure("shard of pgbench's SELECT", partial(loops.route_texts, cache, PGBENCH), 1_000_000)
    yield Figure("shard of a Bind in text", partial(loops.route_binds, bound, text), 2_000_000)
    yield Figure("shard of a Bind in binary", partial(loops.route_binds, bound, binary), 2_000_000)


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
    yield Figure("plan of a join of 5 tables", step, 2_000)


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


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Routing, step by step", ABOUT)
    with built_loops() as loops:
        steps = [*text_figures(loops), *hashing_figures(loops), *value_figures(), *planner_figures()]
        measured = {step: step.measure() for step in steps}
    section.tables.append(table(("step", "ns", "lowest", "highest"), [_row(*one) for one in measured.items()]))
    section.figures = {key(step): values for step, values in measured.items() if step.name in BARS_NS}
    rates = {name: mixes.hit_rate(name) for name in mixes.MIXES}
    rows = [(name, number(rate, 3), number(count), number(kept)) for name, (rate, count, kept) in rates.items()]
    section.tables.append(table(("mix", "hits %", "statements", "templates"), rows))
    section.figures |= {HIT_RATE: [min(rate for rate, _, _ in rates.values())]}
    grown, kept = mixes.templates_mb()
    section.figures |= {MEMORY: [grown], KEPT: [float(kept)]}
    progress(f"routing: {len(steps)} steps, {len(rates)} mixes, {kept} templates in {grown:.1f} MB")
    return section


def key(step: Figure) -> str:
    """Under which the step is held against its bar."""
    return f"{step.name}, ns"


def _row(step: Figure, values: list[float]) -> tuple[str, ...]:
    return step.name, *(number(value, 1) for value in (median(values), min(values), max(values)))
