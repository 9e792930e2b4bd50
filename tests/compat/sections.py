"""What a script printed: the version of its client in a line that begins with ``# ``, then a ``== `` heading a step."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VERSION = "# "
HEADING = "== "
FAILED = "FAILED"
MAX_LINE = 300


@dataclass(frozen=True)
class Printed:
    """The output of one run; ``steps`` has the lines of each step by its name, in order."""

    version: str
    steps: Mapping[str, tuple[str, ...]]


def end(exit_code: int | None) -> str:
    """A last step, which only a script that has come to its own end passes."""
    return f"\n{HEADING}ends\n{'' if exit_code == 0 else f'{FAILED} with exit code {exit_code}'}\n"


def parse(output: str) -> Printed:
    version, steps, lines = "unknown", dict[str, list[str]](), list[str]()
    for line in output.splitlines():
        if line.startswith(HEADING):
            lines = steps.setdefault(line.removeprefix(HEADING), [])
        elif line.startswith(VERSION) and not steps:
            version = line.removeprefix(VERSION)
        elif line:
            lines.append(line)
    return Printed(version, {name: tuple(lines) for name, lines in steps.items()})


def failed_by_itself(lines: tuple[str, ...]) -> bool:
    """Whether a step says of itself that it went wrong: then it proves nothing, however alike it is elsewhere."""
    return any(FAILED in line for line in lines)


def passed(direct: Printed, other: Printed) -> list[str]:
    """The steps that went well directly, and printed the same at the other place."""
    return [
        name for name, lines in direct.steps.items() if other.steps.get(name) == lines and not failed_by_itself(lines)
    ]


def differences(direct: Printed, other: Printed) -> Iterator[str]:
    """What tells the two apart, step by step, for people to read."""
    for name, lines in direct.steps.items():
        if failed_by_itself(lines):
            yield f"{name} fails directly:"
            yield from (f"  {line[:MAX_LINE]}" for line in lines if FAILED in line)
        elif name not in other.steps:
            yield f"{name}: not reached"
        elif other.steps[name] != lines:
            yield f"{name}:"
            compared = difflib.unified_diff(lines, other.steps[name], "directly", "through Trunkline", lineterm="", n=1)
            yield from (f"  {line[:MAX_LINE]}" for line in compared)
