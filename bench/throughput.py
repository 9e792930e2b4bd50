"""The main table: pgbench -S in each mode, at each number of clients, through every contender in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from bench import pgbench
from bench.contenders import Lineup, Stage, lineup
from bench.options import MODES, Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, average_ms, cpu_us, middle, p99_ms, ratios, rotated, tps

HEADER = (
    "clients, contender", "tps", "average ms", "p99 ms", "CPU us/query", "CPU / PgBouncer", "CPU / floor",
    "tps / PgBouncer", "errors",
)  # fmt: skip
ABOUT = (
    "`pgbench -n -S -j 1`, medians over rounds, ratios within a round. CPU us/query is what the proxy used, user and "
    "system, logins included, divided by the transactions; p99 is taken from pgbench's log of every transaction."
)
NAMES = {"pgbouncer": "PgBouncer", "floor": "floor"}
CPU, TPS = "proxy CPU per query", "throughput"
ERRORS = "errors of all pgbench runs"
Cells = dict[tuple[str, int, str], list[Sample]]


def figure(what: str, other: str, mode: str, clients: int) -> str:
    """The key under which Trunkline's ratio to another contender is held against its bar."""
    return f"{what} / {NAMES[other]}, {mode}, {clients} clients"


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    modes = [mode for mode in MODES if mode in options.sections]
    section = Section("Throughput and CPU per query", ABOUT)
    cells: Cells = {}
    with lineup(stage, options.contenders) as present:
        pgbench.warm_up(stage, present.running)
        for turn in range(options.rounds):
            for mode, clients in product(modes, options.clients):
                _measure_cell(stage, present, cells, turn, Load(mode, clients, options.seconds), progress)
        section.note_absent(present.absent)
    _report(section, present, cells, modes, options)
    return section


def _measure_cell(
    stage: Stage, present: Lineup, cells: Cells, turn: int, load: Load, progress: Callable[[str], None]
) -> None:
    able = [one for one in present.running if load.mode in one.modes]
    for contender in rotated(able, turn):
        sample = pgbench.measure(stage, contender, load)
        cells.setdefault((load.mode, load.clients, contender.name), []).append(sample)
        cpu = f"{number(sample.cpu_us, 1)} us/query" if contender.daemon else ""
        progress(f"{load.mode:9}{load.clients:4} {contender.name:10}{sample.tps:9.0f} tps  {cpu}  {sample.note}")


def _report(section: Section, present: Lineup, cells: Cells, modes: Sequence[str], options: Options) -> None:
    for mode in modes:
        rows = [_row(cells, mode, clients, one.name) for clients, one in product(options.clients, present.running)]
        section.tables.append(f"### {mode}\n\n{table(HEADER, rows)}")
    for (mode, clients, name), samples in cells.items():
        section.notes += [f"{mode}, {clients} clients, {name}: {one.note}" for one in samples if one.note]
    for mode, clients in product(modes, options.clients):
        _add_figures(section, cells, mode, clients)
    ours = [one.errors for (_, _, name), samples in cells.items() if name == "trunkline" for one in samples]
    section.figures[ERRORS] = [float(sum(ours))] if ours else []


def _row(cells: Cells, mode: str, clients: int, name: str) -> list[str]:
    samples = cells.get((mode, clients, name))
    if samples is None:
        return [f"{clients:2} {name}", "not supported", *["-"] * (len(HEADER) - 2)]
    bouncer, floor = (cells.get((mode, clients, other), []) for other in ("pgbouncer", "floor"))
    return [
        f"{clients:2} {name}",
        number(middle(samples, tps)),
        number(middle(samples, average_ms), 3),
        number(middle(samples, p99_ms), 3),
        number(middle(samples, cpu_us), 1),
        ratio(ratios(samples, bouncer, cpu_us)),
        ratio(ratios(samples, floor, cpu_us)),
        ratio(ratios(samples, bouncer, tps)),
        str(sum(one.errors for one in samples)),
    ]


def _add_figures(section: Section, cells: Cells, mode: str, clients: int) -> None:
    ours = cells.get((mode, clients, "trunkline"), [])
    for what, value in ((CPU, cpu_us), (TPS, tps)):
        for other in NAMES:
            theirs = cells.get((mode, clients, other), [])
            section.figures[figure(what, other, mode, clients)] = ratios(ours, theirs, value)
