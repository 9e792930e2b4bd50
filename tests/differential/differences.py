"""The reviewed differences: what is meant to differ from PostgreSQL, and nothing besides.

`differences.toml` has two kinds of entries. A `[[rule]]` is about many scripts and is carried out here, by a function
of its name that makes both transcripts comparable. A `[[difference]]` is about one script and lists the very lines of
the diff. Either says why in one sentence, and fails as soon as it is no longer true.

`pending.txt` is no such list: it names what does not agree yet and must, and is to be empty.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.differential.conversation import CLOSED

HERE = Path(__file__).parent
REFUSAL = (
    "@{client} E S='FATAL' V='FATAL' C='0A000' M='transaction blocks are not allowed in statement mode'"
    " H='Use pool_mode = \"transaction\" for this database or user.'"
)
PIN_NOTICE = re.compile(r"@\d N S='NOTICE' V='NOTICE' C='01000' M='this client keeps its server connection: [^']*'")
IN_BLOCK = re.compile(r"@(\d) Z [TE]")

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What one script shows in some variants in place of PostgreSQL's lines, from a major version on."""

    script: str
    variants: tuple[str, ...]
    lines: tuple[str, ...]
    why: str
    since: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference of many scripts; `witness` is one that shows it."""

    name: str
    modes: tuple[str, ...]
    witness: str
    why: str


# --- rules ------------------------------------------------------------------------------------------------------


def _refuse_blocks(wanted: Sequence[str], seen: Sequence[str]) -> tuple[Lines, Lines]:
    """A unit that ends inside a transaction block is the last of its client."""
    expected: Lines = []
    gone: set[str] = set()
    for line in wanted:
        client = line[1]
        if client in gone:
            continue
        expected.append(line)
        if IN_BLOCK.fullmatch(line):
            gone.add(client)
            expected += [REFUSAL.format(client=client), f"@{client} {CLOSED}"]
    return expected, list(seen)


def _tell_of_pins(wanted: Sequence[str], seen: Sequence[str]) -> tuple[Lines, Lines]:
    """One notice to each client that keeps its server; a second one would be seen."""
    told: set[str] = set()
    rest: Lines = []
    for line in seen:
        client = line[1]
        if PIN_NOTICE.fullmatch(line) and client not in told:
            told.add(client)
        else:
            rest.append(line)
    return list(wanted), rest


RuleOfLines = Callable[[Sequence[str], Sequence[str]], tuple[Lines, Lines]]
RULES: Mapping[str, RuleOfLines] = {
    "transaction blocks are refused": _refuse_blocks,
    "who keeps a server is told so": _tell_of_pins,
}


# --- the list ---------------------------------------------------------------------------------------------------


@cache
def listed() -> tuple[tuple[Rule, ...], tuple[Difference, ...]]:
    """What `differences.toml` says."""
    table = tomllib.loads((HERE / "differences.toml").read_text())
    rules = tuple(Rule(**_frozen(entry)) for entry in table.get("rule", ()))
    return rules, tuple(Difference(**_frozen(entry)) for entry in table.get("difference", ()))


def _frozen(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


@cache
def pending() -> frozenset[tuple[str, str]]:
    """Pairs of variant and script that do not agree yet."""
    path = HERE / "pending.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return frozenset((line.split()[0], line.split()[1]) for line in lines if line and not line.startswith("#"))


# --- judging ----------------------------------------------------------------------------------------------------


def apply_rules(wanted: Sequence[str], seen: Sequence[str], mode: str, *, but: str = "") -> tuple[Lines, Lines]:
    """Both transcripts with what the rules of this pool mode mean taken out; `but` leaves one rule out."""
    both = list(wanted), list(seen)
    for rule in listed()[0]:
        if mode in rule.modes and rule.name != but:
            both = RULES[rule.name](*both)
    return both


def difference_of(script: str, variant: str, major: int) -> Difference | None:
    entries = (entry for entry in listed()[1] if entry.since <= major)
    found = [entry for entry in entries if entry.script == script and variant in entry.variants]
    assert len(found) <= 1, f"listed twice: {script} in {variant}"
    return found[0] if found else None


def diff(wanted: Sequence[str], seen: Sequence[str]) -> Lines:
    """The lines that differ, each with `-` (PostgreSQL) or `+` (the pool) in front."""
    lines = difflib.unified_diff(wanted, seen, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@ "))]
