"""What came of a run: a table for the terminal, and a column of RESULTS.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.lab.inspection import INTERNAL, LEAKED_DESCRIPTOR, LEAKED_STATE, LEDGER, LOST_WAITER, MEMORY
from tests.faults.lab.options import Options
from tests.faults.nonce.judge import (
    MISDELIVERED,
    OUT_OF_ORDER,
    UNEXPECTED_ERROR,
    WRONG_REPLY,
    WRONG_SETTINGS,
    WRONG_STATUS,
)
from tests.faults.nonce.tally import Finding

VERDICTS: Mapping[str, str] = {
    MISDELIVERED: "nonces of one client that came to another",
    OUT_OF_ORDER: "answers to an earlier or later statement of the client itself",
    WRONG_REPLY: "answers that were not the statement's",
    WRONG_STATUS: "ReadyForQuery with the wrong transaction status",
    WRONG_SETTINGS: "settings reported that are not the client's",
    UNEXPECTED_ERROR: "errors that nothing explains",
    LOST_WAITER: "requests neither answered nor ended",
    LEAKED_STATE: "state that was left in a session",
    LEAKED_DESCRIPTOR: "descriptors that were not closed",
    LEDGER: "writes that became of otherwise than the writer was told",
    MEMORY: "growth of memory",
    INTERNAL: "internal errors, and ends of the whole proxy",
}
KINDS_WANTED = 30
SHOWN_TROUBLES = 10
SHOWN_OF_A_KIND = 3


@dataclass
class Report:
    """A whole run."""

    options: Options
    version: str
    postgres: str
    machine: str
    seconds: float
    tally: dict[str, Any]
    faults: dict[str, int]
    findings: list[Finding]
    warm_rss: int
    rss: int
    ledger: int
    troubles: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        return Counter(finding.kind for finding in self.findings)

    @property
    def shortfalls(self) -> list[str]:
        """What the run was asked for and did not come to."""
        wanted = {
            "replies": (self.tally["replies"], self.options.replies),
            "faults": (sum(self.faults.values()), self.options.faults),
            "kinds of faults": (len(self.faults), min(KINDS_WANTED, self.options.faults)),
        }
        return [f"{came:,} {what} of {asked:,}" for what, (came, asked) in wanted.items() if came < asked]

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def facts(self) -> dict[str, str]:
        """The rows of the table."""
        excused = self.tally["excused"]
        return {
            "version": self.version,
            "PostgreSQL": self.postgres,
            "seed": str(self.options.seed),
            "duration": f"{self.seconds:.0f} s",
            "nonce-tagged replies checked": f"{self.tally['replies']:,}",
            "faults": f"{sum(self.faults.values()):,} of {len(self.faults)} kinds",
            "logins": f"{self.tally['events'].get('logins', 0):,}",
            "writes in the ledger": f"{self.ledger:,}",
            **{kind: f"{self.counts[kind]:,}" for kind in VERDICTS},
            "errors and ends that a fault explains": f"{sum(excused.values()):,}",
            "refused or failed for want of the feature": f"{sum(self.tally['unsupported'].values()):,}",
            "memory when warm, and at the end": f"{self.warm_rss >> 20} MiB, {self.rss >> 20} MiB",
        }

    def text(self) -> str:
        """For the terminal."""
        lines = [f"{name:<46} {value}" for name, value in self.facts().items()]
        lines += _listed("faults", self.faults) + _listed("explained by a fault", self.tally["excused"])
        lines += _listed("shapes", self.tally["shapes"]) + _listed("for want of the feature", self.tally["unsupported"])
        lines += [f"not offered: {name}" for name in self.absent]
        lines += [f"the lab could not: {one}" for one in self.troubles[:SHOWN_TROUBLES]]
        lines += [f"fell short: {one}" for one in self.shortfalls]
        lines += [f"FINDING {finding}" for finding in _varied(self.findings)]
        return "\n".join(lines)


def _listed(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    said = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    return [f"{title}: {said}"]


def _varied(findings: list[Finding]) -> list[Finding]:
    """Some of each kind rather than many of one."""
    seen: Counter[str] = Counter()
    chosen = []
    for finding in findings:
        seen[finding.kind] += 1
        if seen[finding.kind] <= SHOWN_OF_A_KIND:
            chosen.append(finding)
    return chosen


# --- RESULTS.md -----------------------------------------------------------------------------------------------------

TITLES = {"trunkline": "Trunkline", "pgbouncer": "PgBouncer"}
FAILOVER = "failover"
TRANSFERS = "transfers"
_DATA = re.compile(r"<!-- (\w+) (\{.*?\}) -->")


def write(path: Path, report: Report) -> None:
    """Put this run's column into the file, beside the last one of the other target."""
    columns = dict(_read(path))
    columns[report.options.target] = report.facts() | {"command": report.options.command}
    columns[report.options.target]["kinds"] = json.dumps(report.faults, sort_keys=True)
    path.write_text(_page(columns))


def write_failover(path: Path, facts: Mapping[str, str]) -> None:
    """Put what came of the failovers into the file."""
    path.write_text(_page(dict(_read(path)) | {FAILOVER: dict(facts)}))


def write_transfers(path: Path, facts: Mapping[str, str]) -> None:
    """Put what came of the transfers over shards into the file."""
    path.write_text(_page(dict(_read(path)) | {TRANSFERS: dict(facts)}))


def _read(path: Path) -> list[tuple[str, dict[str, str]]]:
    if not path.exists():
        return []
    return [(name, json.loads(data)) for name, data in _DATA.findall(path.read_text())]


def _page(columns: Mapping[str, Mapping[str, str]]) -> str:
    present = {name: columns[name] for name in TITLES if name in columns}
    heads = " | ".join(TITLES[name] for name in present)
    lines = [INTRODUCTION, f"| | {heads} |", "|---" * (len(present) + 1) + "|"]
    names = [name for name in next(iter(present.values())) if name not in ("command", "kinds")]
    for name in names:
        meaning = f"**{name}**: {VERDICTS[name]}" if name in VERDICTS else name
        lines.append(f"| {meaning} | " + " | ".join(column.get(name, "") for column in present.values()) + " |")
    for name, column in present.items():
        lines += ["", f"{TITLES[name]}: `{column['command']}`"]
    lines += ["", *_kinds(present), ""]
    for name, introduction in ((FAILOVER, FAILOVER_INTRODUCTION), (TRANSFERS, TRANSFERS_INTRODUCTION)):
        lines += _part(introduction, columns[name]) if name in columns else []
    lines += [f"<!-- {name} {json.dumps(column)} -->" for name, column in columns.items()]
    return "\n".join(lines) + "\n"


def _kinds(present: Mapping[str, Mapping[str, str]]) -> list[str]:
    counts = {name: json.loads(column["kinds"]) for name, column in present.items()}
    kinds = sorted({kind for count in counts.values() for kind in count})
    lines = ["| kind of fault | " + " | ".join(TITLES[name] for name in present) + " |"]
    lines += ["|---" * (len(present) + 1) + "|"]
    return lines + [
        f"| {kind} | " + " | ".join(f"{count.get(kind, 0):,}" for count in counts.values()) + " |" for kind in kinds
    ]


def _part(introduction: str, facts: Mapping[str, str]) -> list[str]:
    rows = [f"| {name} | {value} |" for name, value in facts.items() if name != "command"]
    return [introduction, "| | |", "|---|---|", *rows, "", f"`{facts['command']}`", ""]


FAILOVER_INTRODUCTION = """## Failovers

Written by `python -m tests.faults.lab.failover --write` (`make lab`). In each round, under pgbench's TPC-B with 16
clients, 8 writers that look for what they have written and 4 readers, the primary is killed with SIGKILL, its
synchronous replica is promoted within a second, the third server follows, and the old primary comes back as a replica.
Every commit that was acknowledged is looked for on the new primary. What is in bold must be 0; a transaction that was
under way when the primary was killed may fail, with one error.
"""
TRANSFERS_INTRODUCTION = """## Transfers over shards

Written by `python -m tests.faults.lab.transfers --write` (`make lab`). Clients transfer money between accounts on two
shards, each a server of its own. At every point of the commit in two phases (`tests/faults/commit_points.py`) the
proxy is killed, and each of the shards with all its processes while a commit stands there; whoever was killed comes
back, and behind each kill all accounts are added up, every transfer is compared with what its client was told, and
`pg_prepared_xacts` has to be empty within 30 s. In the end readers add up all accounts while 16 writers transfer.
What is in bold must be 0.
"""
INTRODUCTION = """# The lab's results

Written by `python -m tests.faults.lab --write` (`make lab`); not by hand. Clients that know every answer they must get
work through a proxy while faults happen to clients, servers, connections and the console. What is in bold must be 0.
PgBouncer is the control: the same clients, faults and seed, to show that the lab finds what there is to find. What it
does not claim to do in transaction pooling is counted apart, as refused or failed for want of the feature.
"""
