"""Prepared statements under transaction pooling: no errors, and faster than the same proxy's simple protocol."""

from __future__ import annotations

from collections.abc import Callable

from bench import pgbench
from bench.contenders import Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, by_turns, cpu_us, middle, ratios, tps

CLIENTS = 16
FASTER = "prepared throughput / own simple, 16 clients"
ERRORS = "prepared errors, 16 clients"
ABOUT = f"{CLIENTS} clients, simple and prepared one right after the other in each round."
HEADER = ("contender", "simple tps", "prepared tps", "prepared / simple", "CPU prepared / simple", "errors")


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Prepared statements", ABOUT)
    samples: dict[tuple[str, str], list[Sample]] = {}
    names = [name for name in options.contenders if name in ("direct", "trunkline")]
    with lineup(stage, names) as present:
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            for mode in ("simple", "prepared"):
                sample = pgbench.measure(stage, contender, Load(mode, CLIENTS, options.seconds))
                samples.setdefault((contender.name, mode), []).append(sample)
                progress(f"prepared: {contender.name} {mode} {sample.tps:.0f} tps, {sample.errors} errors")
                section.notes += [f"{contender.name}, {mode}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
        rows = [_row(samples, one.name) for one in present.running]
    section.tables.append(table(HEADER, rows))
    ours, plain = (samples.get(("trunkline", mode), []) for mode in ("prepared", "simple"))
    section.figures = {
        FASTER: ratios(ours, plain, tps),
        ERRORS: [float(sum(one.errors for one in ours))] if ours else [],
    }
    return section


def _row(samples: dict[tuple[str, str], list[Sample]], name: str) -> list[str]:
    plain, prepared = samples[name, "simple"], samples[name, "prepared"]
    return [
        name,
        number(middle(plain, tps)),
        number(middle(prepared, tps)),
        ratio(ratios(prepared, plain, tps)),
        ratio(ratios(prepared, plain, cpu_us)),
        str(sum(one.errors for one in prepared)),
    ]
