"""The lines to paste: their words, what they show, and how they are run."""

from __future__ import annotations

import shlex

from trunkline.demo.examples import EXAMPLES, Example, run_line

PROGRAMS = {"psql": "psql", "pgbench": "/opt/pg bin/pgbench", "python": "/usr/bin/python3"}


def test_the_printed_lines_survive_a_shell() -> None:
    example = EXAMPLES[0]
    words = shlex.split(example.command(PROGRAMS, "postgres://demo:secret@127.0.0.1:6432/app", "/tmp"))
    assert words == ["psql", "postgres://demo:secret@127.0.0.1:6432/app", "-c", example.words[-1]]


def test_every_place_in_a_line_is_filled() -> None:
    for example in EXAMPLES:
        line = example.command(PROGRAMS, "postgres://h/db", "/d")
        assert "{url}" not in line and "{directory}" not in line
        assert "postgres://h/db" in line and "\n" not in line


def test_a_program_whose_path_has_a_space_is_one_word() -> None:
    line = Example("", "bench", ("pgbench", "{directory}/x.sql"), "").command(PROGRAMS, "", "/a b")
    assert shlex.split(line) == ["/opt/pg bin/pgbench", "/a b/x.sql"]


def test_the_lines_show_every_database_and_the_console() -> None:
    assert {example.database for example in EXAMPLES} == {"app", "app_replica", "bench", "shop", "trunkline"}


def test_pgbench_sends_values_in_the_text_and_prepared() -> None:
    modes = [example.words[example.words.index("-M") + 1] for example in EXAMPLES if example.words[0] == "pgbench"]
    assert set(modes) == {"simple", "prepared"}


def test_an_answer_is_right_by_its_exit_code_and_its_text() -> None:
    refused = Example("", "shop", ("psql",), "0A000", code=1)
    assert refused.is_answered_by(1, "ERROR:  0A000: no")
    assert not refused.is_answered_by(0, "ERROR:  0A000: no")
    assert not refused.is_answered_by(1, "ERROR:  42P01: no")


async def test_a_line_is_run_as_a_shell_would() -> None:
    assert await run_line("printf '%s|' 'a b' c") == (0, "a b|c|")
    code, _ = await run_line("false")
    assert code == 1
