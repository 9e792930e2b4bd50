"""The catalogue of faults as data, and which tests stand for each of its entries.

An entry is claimed by the name of a test (``test_row_05_...``, ``test_row_18_and_19_...``, ``test_row_smuggling_...``),
or by a tag in the docstring of the test or of its file (``[row 05]``, ``[rows 44 to 46]``, ``[1c cancel race]``).

    python -m tests.faults.catalogue        writes tests/faults/README.md
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
README = Path(__file__).with_name("README.md")


class Entry(NamedTuple):
    """``slug`` is how names of tests call a class of attacks; rows are called by their number."""

    section: str
    name: str
    slug: str


SECTIONS = {
    "1a": "Attacks before authentication",
    "1b": "Authentication and secrets",
    "1c": "Protocol and pooling",
    "3a": "The server's side",
    "3b": "The client's side",
    "3c": "Trunkline itself, its host and its friends",
}

CLASSES: Mapping[str, Mapping[str, str]] = {
    "1a": {
        "plaintext before TLS": "plaintext",
        "negotiation recursion": "negotiation_recursion",
        "direct TLS": "direct_tls",
        "protocol version": "protocol_version",
        "cancel key": "cancel_key",
        "startup packet": "startup",
        "search_path before authentication": "search_path",
        "message order": "message_order",
        "memory of strangers": "slowloris",
        "error oracle": "error_oracle",
    },
    "1b": {
        "expired password": "expired_password",
        "auth_user confusion": "auth_user",
        "cached connection bypass": "cached_connection_bypass",
        "SCRAM parser": "scram_parser",
        "SCRAM iterations": "scram_iterations",
        "channel binding": "channel_binding",
        "timing": "timing",
        "brute force": "brute_force",
        "auth_query injection": "auth_query",
        "TLS verification": "tls_verify",
        "HBA and peer": "hba",
        "secrets in logs": "secrets",
        "admin console": "admin_console",
    },
    "1c": {
        "smuggling": "smuggling",
        "frame splitting": "frame_splitting",
        "unconsumed replies": "unconsumed_replies",
        "pipelining": "pipelining",
        "COPY": "copy",
        "prepared statements": "prepared_statements",
        "session state": "session_state",
        "ParameterStatus": "parameter_status",
        "cancel race": "cancel_race",
        "timeouts": "timeouts",
        "resource amplification": "resource_amplification",
    },
}

ROWS: Mapping[str, Mapping[int, str]] = {
    "3a": {
        1: "killed while idle in the pool",
        2: "lost mid-SELECT, before the first row",
        3: "lost mid-result",
        4: "lost in an idle transaction",
        5: "lost while a COMMIT is under way",
        6: "lost during COPY IN",
        7: "lost during COPY OUT",
        8: "lost between Parse and Bind",
        9: "lost with 10,000 pipelined commands",
        10: "terminated, or crashed with a sibling",
        11: "the server restarts under load",
        12: "the server is starting",
        13: "the server is full",
        14: "its password was changed",
        15: "unreachable",
        16: "blackhole of idle pooled connections",
        17: "blackhole under a query",
        18: "RST on a live connection",
        19: "half-close with data pending",
        20: "accepts and never finishes the login",
        21: "slow, or stalls",
        22: "sends garbage",
        23: "unsolicited bytes on an idle connection",
        24: "errors without fields, and huge ones",
        25: "storms of notices on an idle connection",
        26: "primary demoted",
        27: "replica promoted, old primary still up",
        28: "replica lag, replication conflict",
        29: "all replicas down",
        30: "its name changes, is gone, or the resolver hangs",
        31: "its certificate expires, or its authority changes",
        32: "another version after an upgrade",
        33: "DDL spoils a prepared plan",
        34: "out of memory, or disk full",
        35: "database or role dropped while pooled",
    },
    "3b": {
        36: "vanishes idle",
        37: "vanishes in a transaction",
        38: "vanishes with a running query",
        39: "vanishes in COPY",
        40: "vanishes after Parse, before Sync",
        41: "vanishes in line",
        42: "vanishes mid-frame",
        43: "half-closes, then reads",
        44: "stops reading",
        45: "reads slowly",
        46: "one huge row or field",
        47: "one huge Query or Bind",
        48: "impossible lengths",
        49: "unknown types",
        50: "missing statements and portals",
        51: "the same name twice, Close of the unknown",
        52: "Query inside a batch, floods of Sync and Flush",
        53: "10,000 pipelined queries without reading",
        54: "an error in the middle of a pipeline",
        55: "stray COPY messages",
        56: "multi-statement Query with transactions",
        57: "cancel: right, late, early, double, wrong",
        58: "cancel during COMMIT",
        59: "limits of clients reached",
        60: "waits too long for a server",
        61: "timeouts",
        62: "storms of connects",
        63: "another protocol on the port",
        64: "session state in transaction mode",
        65: "other encodings, invalid and odd SQL",
    },
    "3c": {
        66: "SIGTERM",
        67: "SIGKILL of a worker",
        68: "reload of a bad file",
        69: "reload that takes something away",
        70: "coordinator dies in two-phase commit",
        71: "shard dies in PREPARE",
        72: "shard blackholed in phase 2",
        73: "log of two-phase commit",
        74: "max_prepared_transactions",
        75: "prepared transactions of others",
        76: "distributed deadlock",
        77: "partial failure of a scatter",
        78: "mover of a reshard is killed",
        79: "reshard meets an error",
        80: "schemas of shards differ",
        81: "two maps of shards",
        82: "cache down, slow or wrong",
        83: "invalidation lost",
        84: "no descriptors left",
        85: "no space for logs",
        86: "nobody reads the log",
        87: "the clock jumps",
        88: "memory nearly used up",
        89: "the event loop is blocked",
        90: "an exception in any handler",
        91: "CancelledError at any await",
        92: "slow or flooding scraper of metrics",
        93: "console commands under load",
        94: "rolling restart with cancels",
        95: "Unix socket stale, removed or too long",
    },
}

LATER: dict[str, str] = {}
"""Entries that need what does not exist yet, wholly or in part, and may be without a test."""

COMPLETE = ("1c", "3a", "3b")
"""Sections of which every entry has to have a test."""


def entries() -> dict[str, Entry]:
    """Every entry by its key: the slug of a class, the number of a row."""
    found = {slug: Entry(s, name, slug) for s, classes in CLASSES.items() for name, slug in classes.items()}
    return found | {str(n): Entry(s, name, str(n)) for s, rows in ROWS.items() for n, name in rows.items()}


# --- which tests claim what -----------------------------------------------------------------------------------------

NAMED = re.compile(r"test_row_((?:\d+_and_)*\d+)(?:_|$)")
TAG = re.compile(r"\[(rows? [\d, andto]+|1[abc] [^\]]+)\]")
RANGE = re.compile(r"(\d+) to (\d+)")


def claims_of_name(name: str) -> Iterator[str]:
    numbers = NAMED.match(name)
    if numbers:
        yield from (str(int(number)) for number in numbers[1].split("_and_"))
        return
    for slug in entries():
        if not slug.isdigit() and name.startswith(f"test_row_{slug}"):
            yield slug


def claims_of_text(text: str) -> Iterator[str]:
    """The tags of a docstring."""
    for tag in TAG.findall(text.replace("\n", " ")):
        if tag.startswith("row"):
            spans = RANGE.sub(lambda m: " ".join(str(n) for n in range(int(m[1]), int(m[2]) + 1)), tag)
            yield from (str(int(number)) for number in re.findall(r"\d+", spans))
        else:
            section, _, name = tag.partition(" ")
            yield CLASSES[section][re.sub(r" +", " ", name)]


def claims() -> dict[str, list[str]]:
    """For every entry that is claimed, the tests that do: ``path::function``, or the path when all of its tests do."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        shown = path.relative_to(TESTS.parent).as_posix()
        tree = ast.parse(path.read_text(), str(path))
        for key in claims_of_text(ast.get_docstring(tree) or ""):
            found.setdefault(key, []).append(shown)
        for function in _tests(tree):
            text = claims_of_text(ast.get_docstring(function) or "")
            for key in dict.fromkeys([*claims_of_name(function.name), *text]):
                found.setdefault(key, []).append(f"{shown}::{function.name}")
    return found


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


# --- the page -------------------------------------------------------------------------------------------------------

HEAD = """\
# The catalogue of faults and its tests

Generated by `python -m tests.faults.catalogue`; a test keeps it up to date. Rows have numbers, classes of attacks have
names; a test claims them by its own name or by a tag in its docstring.

| directory | what is in it |
|---|---|
| `fault_proxy/` | a relay that knows the frames and does harm at a chosen point: resets, blackholes, stalls, cuts ... |
| `nonce/`, `lab/` | clients that know every answer they must get, and a whole installation under load and faults |
| `scripted_server.py` | a server that plays PostgreSQL's side wrong on purpose |
| `guard.py`, `held.py` | what has to be true after every fault |
| `catalogue.py` | the entries below, as data |
"""


def page() -> str:
    claimed = claims()
    known = entries()
    unknown = sorted(set(claimed) - set(known))
    if unknown:
        raise ValueError(f"not in the catalogue: {unknown}")
    parts = [HEAD]
    for section, title in SECTIONS.items():
        rows = [entry for entry in known.values() if entry.section == section]
        if section == "3c":
            rows = [entry for entry in rows if entry.slug in claimed]
        parts.append(f"\n## {section}. {title}\n\n| entry | tests |\n|---|---|\n")
        parts += [_line(entry, claimed.get(entry.slug, [])) for entry in rows]
    return "".join(parts)


def _line(entry: Entry, tests: list[str]) -> str:
    number = f"{entry.slug}. " if entry.slug.isdigit() else ""
    shown = [f"`{test.removeprefix('tests/')}`" for test in tests]
    if entry.slug in LATER:
        shown.append(f"*later: {LATER[entry.slug]}*")
    return f"| {number}{entry.name} | {'<br>'.join(shown) or '*none yet*'} |\n"


def without_test() -> list[str]:
    """Entries of the sections that have to be complete which nobody tests and which are not for later."""
    claimed = claims()
    return [
        f"{entry.section} {key} {entry.name}"
        for key, entry in entries().items()
        if entry.section in COMPLETE and key not in claimed and key not in LATER
    ]


if __name__ == "__main__":
    README.write_text(page())
