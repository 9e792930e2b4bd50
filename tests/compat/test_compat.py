"""What `make compat` is made of: how outputs are read and compared, and scripts with drivers that are here anyway."""

from __future__ import annotations

import re
import sys

import pytest

from tests.compat.clients import CLIENTS, SCRIPTS
from tests.compat.ecosystems import ECOSYSTEMS, python_command
from tests.compat.report import Outcome, document, table
from tests.compat.sections import Printed, differences, end, parse, passed
from tests.compat.targets import THROUGH, run_everywhere
from tests.integration.postgres import Postgres

OUTPUT = """\
# 1.2 (of the driver)
== connects
fine
== fails
FAILED ValueError: it does
== differs
# 1
"""


def printed(**steps: str) -> Printed:
    return Printed("1", {name: tuple(lines.split("|")) for name, lines in steps.items()})


def test_the_output_of_a_script_is_its_version_and_the_lines_of_each_step() -> None:
    read = parse(OUTPUT)
    assert read.version == "1.2 (of the driver)"
    assert read.steps == {"connects": ("fine",), "fails": ("FAILED ValueError: it does",), "differs": ("# 1",)}


def test_a_script_that_does_not_come_to_its_end_has_failed() -> None:
    well, stuck = parse(OUTPUT + end(0)), parse(OUTPUT + end(1))
    assert (well.steps["ends"], stuck.steps["ends"]) == ((), ("FAILED with exit code 1",))
    assert "ends" in passed(well, well)
    assert "ends" not in passed(stuck, stuck)


def test_a_script_that_said_nothing_has_no_steps() -> None:
    assert parse("") == Printed("unknown", {})


def test_a_step_passes_when_it_went_well_directly_and_printed_the_same() -> None:
    direct = printed(same="a|b", other="a", missing="a", failed="FAILED at this")
    through = printed(same="a|b", other="b", failed="FAILED at this")
    assert passed(direct, through) == ["same"]
    told = "\n".join(differences(direct, through))
    assert re.findall(r"^\w+.*$", told, re.MULTILINE) == ["other:", "missing: not reached", "failed fails directly:"]
    assert "  -a\n  +b" in told


GOOD = Outcome("a", "1", 2, {"pool": 2})
BAD = Outcome("b", "1", 2, {"pool": 1})
MISSING = Outcome("c", missing="there is no node on this machine")


def test_a_client_is_good_unless_it_was_installed_and_a_step_failed() -> None:
    silent = Outcome("d", "1", 0, {"pool": 0})
    assert [one.is_good for one in (GOOD, BAD, MISSING, silent)] == [True, False, True, False]


def test_the_report_has_a_line_for_each_client_and_says_why_one_is_missing() -> None:
    assert table([GOOD, BAD, MISSING], ["pool"]).splitlines() == [
        "client  version        steps  pool",
        "a       1              2      2/2",
        "b       1              2      1/2",
        "c       not installed",
    ]
    text = document([GOOD, MISSING], ["pool"], "PostgreSQL 18")
    assert "| a | 1 | 2 | 2/2 |" in text
    assert "- c: there is no node on this machine" in text


def test_every_client_has_a_script_and_every_script_a_client() -> None:
    assert all(client.path.exists() and client.ecosystem in ECOSYSTEMS for client in CLIENTS)
    scripts = {path for path in SCRIPTS.glob("*/*") if path.name.lower().startswith("with")}
    assert scripts == {client.path for client in CLIENTS}
    assert len({client.database for client in CLIENTS}) == len(CLIENTS)


@pytest.mark.parametrize("name", ["psycopg 3", "asyncpg", "pg8000"])
async def test_a_client_that_is_here_anyway_prints_the_same_through_trunkline(postgres: Postgres, name: str) -> None:
    """In the pool of three, where statements travel; `make compat` has the other one too."""
    client, target = next(client for client in CLIENTS if client.name == name), THROUGH[-1]
    direct, others = await run_everywhere(postgres, client, python_command(client, sys.executable), [target])
    assert len(direct.printed.steps) >= 10, direct.complaints
    told = "\n".join([*differences(direct.printed, others[target.name].printed), others[target.name].complaints])
    assert passed(direct.printed, others[target.name].printed) == list(direct.printed.steps), told
