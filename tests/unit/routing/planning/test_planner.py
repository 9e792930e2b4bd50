"""Golden cases: statements over the shop, and the words of their plans.

A file is a family. A case is a statement, then `=> verdict: reason`, and where it may have to be refused `!! reason`.
A comment begins with `#`.

``python -m tests.unit.routing.planning.test_planner`` prints the plans of statements on its input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.describe import describe
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Occurrence, RoutePlan, Verdict

GOLDEN = Path(__file__).parent.parent / "golden"


def _occurrence(one: Occurrence, sql: str) -> str:
    alias = f" {one.alias}" if one.alias not in ("", one.table.partition(".")[2]) else ""
    if one.kind in ("home", "system", "reference"):
        return f"{one.table} {one.condition}"
    return f"{one.table}{alias}: {describe(one.where, one.columns, sql.encode(), SHARDING)}"


def lines_of(found: RoutePlan, sql: str) -> list[str]:
    """A plan as a case has it."""
    refusal = found.refusal or found.unless_single
    said = found.reason
    if found.verdict is Verdict.ROUTED:
        said = "; ".join(dict.fromkeys(_occurrence(one, sql) for one in found.occurrences))
    lines = [f"=> {found.verdict}: {said}"] if found.verdict is not Verdict.REFUSED else ["=> refused"]
    if refusal is not None:
        code = "" if refusal.sqlstate == "0A000" else f" [{refusal.sqlstate}]"
        lines.append(f"!! {refusal.reason}{code}")
    return lines


def cases() -> Iterator[tuple[str, list[str]]]:
    for path in sorted(GOLDEN.glob("*.txt")):
        statement: list[str] = []
        expected: list[str] = []
        for line in [*path.read_text().splitlines(), ""]:
            if line.startswith(("=>", "!!")):
                expected.append(line)
            elif expected and statement:
                yield "\n".join(statement), expected
                statement, expected = [], []
            if line and not line.startswith(("#", "=>", "!!")):
                statement.append(line)


CASES = list(cases())


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), CATALOG, SHARDING, ("public",))


@pytest.mark.parametrize(("sql", "expected"), CASES, ids=[sql[:60] for sql, _ in CASES])
def test_a_statement_has_the_plan_that_is_written_down(sql: str, expected: list[str]) -> None:
    assert lines_of(planned(sql), sql) == expected


def test_there_are_cases_enough() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT " + "(" * 100_000 + "1" + ")" * 100_000, None),
        ("SELECT " + "+".join(["1"] * 100_000), "54001"),
        ("SELECT " + "NOT " * 2000 + "true", "54001"),
        ("SELECT " + "(SELECT " * 300 + "1" + ")" * 300, "54001"),
    ],
    ids=["parentheses", "operators", "NOT", "queries"],
)
def test_depth_is_left_to_the_server_or_refused(sql: str, code: str | None) -> None:
    found = planned(sql)
    assert (found.refusal.sqlstate if found.refusal is not None else None) == code
    assert found.verdict is (Verdict.HOME if code is None else Verdict.REFUSED)


def test_a_text_in_another_encoding_is_refused() -> None:
    found = plan(b"SELECT * FROM orders WHERE status = '\xe9'", CATALOG, SHARDING, ("public",))
    assert found.refusal is not None and found.refusal.sqlstate == "22021"


def main() -> None:
    for line in sys.stdin:
        text = line.rstrip("\n")
        print(text)
        if text and not text.startswith("#"):
            print("\n".join(lines_of(planned(text), text)), end="\n\n")


if __name__ == "__main__":
    main()
