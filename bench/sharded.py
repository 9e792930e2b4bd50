"""What routing costs: pgbench -S on a table of two shards, beside the same without, through Trunkline both times."""

from __future__ import annotations

from collections.abc import Callable

from bench import pgbench
from bench.contenders import Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, by_turns, cpu_us, middle, ratios, tps

CLIENTS = 16
CONTESTED = ("simple", "prepared")
ERRORS = "sharded errors, 16 clients"
ABOUT = (
    f"{CLIENTS} clients; `pgbench_accounts` is sharded by `aid`, in the simple protocol a literal of the text. Each of "
    "the two shards is a database with all rows, in the same server."
)
HEADER = ("mode, database", "tps", "CPU us/query", "CPU / unsharded", "tps / unsharded", "errors")


def figure(mode: str) -> str:
    """The key under which the ratio is held against its bar."""
    return f"proxy CPU per query, sharded / unsharded, {mode}, {CLIENTS} clients"


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Two shards", ABOUT)
    samples: dict[tuple[str, str], list[Sample]] = {}
    with lineup(stage, ("sharded", "trunkline")) as present:  # the one that copies the database comes first
        pgbench.warm_up(stage, present.running)
        for contender in by_turns(present.running, options.rounds):
            for mode in CONTESTED:
                sample = pgbench.measure(stage, contender, Load(mode, CLIENTS, options.seconds))
                samples.setdefault((contender.name, mode), []).append(sample)
                cpu = number(sample.cpu_us, 1)
                progress(f"sharded: {contender.name:10}{mode:9}{sample.tps:8.0f} tps {cpu} us/query {sample.note}")
                section.notes += [f"{contender.name}, {mode}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
        rows = [_row(samples, mode, one.name) for mode in CONTESTED for one in present.running]
    section.tables.append(table(HEADER, rows))
    ours = {mode: samples.get(("sharded", mode), []) for mode in CONTESTED}
    section.figures = {
        figure(mode): ratios(ours[mode], samples.get(("trunkline", mode), []), cpu_us) for mode in CONTESTED
    }
    section.figures[ERRORS] = [float(sum(one.errors for mode in CONTESTED for one in ours[mode]))]
    return section


def _row(samples: dict[tuple[str, str], list[Sample]], mode: str, name: str) -> list[str]:
    mine, plain = samples[name, mode], samples.get(("trunkline", mode), [])
    return [
        f"{mode} {'two shards' if name == 'sharded' else 'no shards'}",
        number(middle(mine, tps)),
        number(middle(mine, cpu_us), 1),
        ratio(ratios(mine, plain, cpu_us)),
        ratio(ratios(mine, plain, tps)),
        str(sum(one.errors for one in mine)),
    ]
