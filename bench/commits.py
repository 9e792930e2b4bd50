"""What it costs to know the position of each commit: pgbench's TPC-B with reads on a replica, by `read_after_write`.

Three Trunklines take turns: without replicas, with reads on a replica that need not show what their client has written,
and with reads that do. Behind each transaction of the last one the primary is asked for its position in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from bench import pgbench
from bench.contenders import Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, by_turns, cpu_us, middle, ratios, tps

CLIENTS = 16
CONTENDERS = ("reading", "forgetful", "trunkline")  # the one that starts the replica comes first
NAMES = {"reading": '"lsn"', "forgetful": '"off"', "trunkline": "no replicas"}
CONTESTED = ("simple", "prepared")
HEADER = ("mode, read_after_write", "tps", "CPU us/transaction", 'tps / "off"', "tps / no replicas", "errors")
ABOUT = (
    f"`pgbench -n -b tpcb-like`, {CLIENTS} clients: seven statements in one transaction, which is the worst case: "
    "nothing is read outside of it."
)
ERRORS = f"TPC-B errors, {CLIENTS} clients"
Samples = dict[tuple[str, str], list[Sample]]


def figure(mode: str) -> str:
    """The key under which the ratio is held against its bar."""
    return f"TPC-B throughput, lsn / off, {mode}, {CLIENTS} clients"


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("The position of each commit", ABOUT)
    samples: Samples = {}
    with lineup(stage, CONTENDERS) as present:
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            for mode in CONTESTED:
                load = Load(mode, CLIENTS, options.seconds, script="tpcb-like")
                sample = pgbench.measure(stage, contender, load)
                samples.setdefault((contender.name, mode), []).append(sample)
                said = f"{mode:9}{sample.tps:8.0f} tps {number(sample.cpu_us, 1)} us/transaction {sample.note}"
                progress(f"commits: {contender.name:10}{said}")
                section.notes += [f"{contender.name}, {mode}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
        rows = [_row(samples, mode, one.name) for mode in CONTESTED for one in present.running]
    section.tables.append(table(HEADER, rows))
    section.figures = {
        figure(mode): ratios(samples.get(("reading", mode), []), samples.get(("forgetful", mode), []), tps)
        for mode in CONTESTED
    }
    section.figures[ERRORS] = [float(sum(one.errors for (name, _), all_ in samples.items() for one in all_))]
    return section


def _row(samples: Samples, mode: str, name: str) -> list[str]:
    mine = samples[name, mode]
    return [
        f"{mode} {NAMES[name]}",
        number(middle(mine, tps)),
        number(middle(mine, cpu_us), 1),
        ratio(ratios(mine, samples.get(("forgetful", mode), []), tps)),
        ratio(ratios(mine, samples.get(("trunkline", mode), []), tps)),
        str(sum(one.errors for one in mine)),
    ]
