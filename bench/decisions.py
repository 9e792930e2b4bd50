"""What decisions cost: pgbench -S where each statement is routed, beside the same without, both through Trunkline.

Once on a table of two shards, and once with reads on a replica.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import pgbench
from bench.contenders import Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, table
from bench.samples import Sample, by_turns, cpu_us, middle, ratios, tps

CLIENTS = 16
CONTESTED = ("simple", "prepared")
HEADER = ("mode, database", "tps", "CPU us/query", "CPU / plain", "tps / plain", "errors")


@dataclass(frozen=True)
class Comparison:
    """A contender, and Trunkline without what it does besides."""

    contender: str
    title: str
    about: str

    @property
    def errors(self) -> str:
        """The key of the count of errors."""
        return f"{self.contender} errors, {CLIENTS} clients"

    def figure(self, mode: str) -> str:
        """The key under which the ratio is held against its bar."""
        return f"proxy CPU per query, {self.contender} / plain, {mode}, {CLIENTS} clients"

    def run(self, stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
        section = Section(self.title, f"{CLIENTS} clients; {self.about}")
        samples: dict[tuple[str, str], list[Sample]] = {}
        with lineup(stage, (self.contender, "trunkline")) as present:  # the one that copies the database comes first
            pgbench.warm_up(stage, present.running)
            for contender in by_turns(present.running, options.rounds):
                for mode in CONTESTED:
                    sample = pgbench.measure(stage, contender, Load(mode, CLIENTS, options.seconds))
                    samples.setdefault((contender.name, mode), []).append(sample)
                    said = f"{mode:9}{sample.tps:8.0f} tps {number(sample.cpu_us, 1)} us/query {sample.note}"
                    progress(f"{self.contender}: {contender.name:10}{said}")
                    section.notes += [f"{contender.name}, {mode}: {sample.note}"] if sample.note else []
            section.note_absent(present.absent)
            rows = [_row(samples, mode, one.name) for mode in CONTESTED for one in present.running]
        section.tables.append(table(HEADER, rows))
        ours = {mode: samples.get((self.contender, mode), []) for mode in CONTESTED}
        section.figures = {
            self.figure(mode): ratios(ours[mode], samples.get(("trunkline", mode), []), cpu_us) for mode in CONTESTED
        }
        section.figures[self.errors] = [float(sum(one.errors for mode in CONTESTED for one in ours[mode]))]
        return section


SHARDED = Comparison(
    "sharded",
    "Two shards",
    "`pgbench_accounts` is sharded by `aid`, in the simple protocol a literal of the text. Each of the two shards is a "
    "database with all rows, in the same server.",
)
READING = Comparison("reading", "Reads from a replica", "each statement is found to be one that a replica may answer.")


def _row(samples: dict[tuple[str, str], list[Sample]], mode: str, name: str) -> list[str]:
    mine, plain = samples[name, mode], samples.get(("trunkline", mode), [])
    return [
        f"{mode} {'plain' if name == 'trunkline' else name}",
        number(middle(mine, tps)),
        number(middle(mine, cpu_us), 1),
        ratio(ratios(mine, plain, cpu_us)),
        ratio(ratios(mine, plain, tps)),
        str(sum(one.errors for one in mine)),
    ]
