"""Two workers beside one: throughput, CPU per query, and whose CPU it was, for all share the same cores."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable

from bench import pgbench
from bench.contenders import Running, Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, by_turns, cpu_us, middle, ratios, tps

CLIENTS, THREADS = 64, 2
NAMES = ("trunkline", "two workers")
TPS = f"two workers / one, throughput, {CLIENTS} clients"
CPU = f"two workers / one, CPU per query, {CLIENTS} clients"
ERRORS = "errors with two workers"
HEADER = ("contender", "tps", "CPU us/query", "cores used by it", "by pgbench", "by PostgreSQL and others", "errors")
ABOUT = (
    f"`pgbench -S -c {CLIENTS} -j {THREADS}` on {os.cpu_count()} cores, which pgbench and PostgreSQL use too: what "
    "they leave is all that a second worker can have."
)


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Workers", ABOUT)
    samples: dict[str, list[Sample]] = {}
    shares: dict[str, list[tuple[float, float, float]]] = {}
    with lineup(stage, NAMES) as present:
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            sample, share = _measure(stage, contender, Load("simple", CLIENTS, options.seconds, threads=THREADS))
            samples.setdefault(contender.name, []).append(sample)
            shares.setdefault(contender.name, []).append(share)
            progress(f"workers: {contender.name} {sample.tps:.0f} tps, cores {share}")
            section.notes += [f"{contender.name}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
        rows = [_row(one.name, samples[one.name], shares[one.name]) for one in present.running]
    section.tables.append(table(HEADER, rows))
    one, two = (samples.get(name, []) for name in NAMES)
    section.figures = {
        TPS: ratios(two, one, tps),
        CPU: ratios(two, one, cpu_us),
        ERRORS: [float(sum(sample.errors for sample in two))] if two else [],
    }
    section.notes.append(f"throughput {ratio(ratios(two, one, tps))}, CPU per query {ratio(ratios(two, one, cpu_us))}")
    return section


def _measure(stage: Stage, contender: Running, load: Load) -> tuple[Sample, tuple[float, float, float]]:
    """A run, and how many cores the proxy, pgbench, and everything else used meanwhile."""
    assert contender.daemon is not None
    began, all_before, ours_before, pgbench_before = (
        time.monotonic(),
        _all_s(),
        contender.daemon.cpu_ns(),
        _children_s(),
    )
    sample = pgbench.measure(stage, contender, load)
    seconds = time.monotonic() - began
    ours, theirs = (contender.daemon.cpu_ns() - ours_before) / 1e9, _children_s() - pgbench_before
    others = max(0.0, _all_s() - all_before - ours - theirs)
    return sample, (round(ours / seconds, 2), round(theirs / seconds, 2), round(others / seconds, 2))


def _all_s() -> float:
    """Seconds that all cores were busy since the machine was started."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _row(name: str, samples: list[Sample], shares: list[tuple[float, float, float]]) -> list[str]:
    middles = [sorted(values)[len(values) // 2] for values in zip(*shares, strict=True)]
    return [
        name,
        number(middle(samples, tps)),
        number(middle(samples, cpu_us), 1),
        *(number(value, 2) for value in middles),
        str(sum(one.errors for one in samples)),
    ]
