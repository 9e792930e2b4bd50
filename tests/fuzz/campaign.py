"""One run of the fuzzer over one target, as a process of its own, and what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.instrumented import ROOT
from tests.fuzz.targets import Target

HANG_S = 10  # for one input; the longest honest one takes milliseconds
GRACE_S = 60.0  # to start and to stop

_final_count = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_coverage = re.compile(r"^#\d+\s+(?:INITED|DONE)\s+cov: (\d+)", re.MULTILINE)
_corpus = re.compile(r"corp: (\d+)/")
_artifact = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True)
class Outcome:
    """``finding`` is the file with the input that broke something, if any did."""

    name: str
    seed: int
    seconds: float
    executions: int
    coverage_before: int
    coverage: int
    corpus: int
    finding: str | None
    output: str

    @property
    def failed(self) -> bool:
        return self.finding is not None or not self.executions

    @property
    def rate(self) -> float:
        return self.executions / self.seconds


def run(
    target: Target, *, seconds: int, seed: int, corpus: Path, findings: Path, environment: Mapping[str, str]
) -> Outcome:
    """Fuzz for so long; new inputs go to ``corpus``, which is read too, one that breaks something to ``findings``."""
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    inputs = [directory for directory in (corpus, target.seeds) if directory.exists()]
    command = [
        *(sys.executable, "-m", "tests.fuzz.drive", target.name),
        *(f"-max_total_time={seconds}", f"-seed={seed}", f"-timeout={HANG_S}"),
        *(f"-max_len={target.max_bytes}", "-print_final_stats=1"),
        *(f"-artifact_prefix={findings}/{target.name}-", *map(str, inputs)),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + GRACE_S + HANG_S,
        check=False,
    )
    return read_outcome(target.name, seed, seconds, done.returncode, done.stdout.decode(errors="replace"))


def read_outcome(name: str, seed: int, seconds: float, status: int, output: str) -> Outcome:
    counted, artifact = _final_count.search(output), _artifact.search(output)
    coverage = [int(number) for number in _coverage.findall(output)] or [0]
    corpus = _corpus.findall(output) or ["0"]
    finding = artifact[1] if artifact else f"exit status {status}" if status else None
    executions = int(counted[1]) if counted else 0
    return Outcome(name, seed, seconds, executions, coverage[0], coverage[-1], int(corpus[-1]), finding, output)
