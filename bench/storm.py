"""A connection storm: pgbench -C, a new connection for every transaction."""

from __future__ import annotations

from collections.abc import Callable

from bench import pgbench
from bench.contenders import Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, table
from bench.samples import Sample, beside_pgbouncer, by_turns

CLIENTS = 16
ABOUT = f"`pgbench -n -C -S`, {CLIENTS} clients: connect, log in (trust), one query, disconnect. Each counts as one."
HEADER = ("contender", "per second", "p99 ms", "CPU us each", "CPU / PgBouncer", "rate / PgBouncer", "errors")


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Connection storm", ABOUT)
    samples: dict[str, list[Sample]] = {}
    with lineup(stage, options.contenders) as present:
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            sample = pgbench.measure(stage, contender, Load("simple", CLIENTS, options.seconds, reconnect=True))
            samples.setdefault(contender.name, []).append(sample)
            progress(f"storm: {contender.name} {sample.tps:.0f}/s {number(sample.cpu_us, 1)} us each {sample.note}")
            section.notes += [f"{contender.name}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
        rows = [beside_pgbouncer(one.name, samples) for one in present.running]
    section.tables.append(table(HEADER, rows))
    return section
