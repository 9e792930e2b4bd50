"""Lines, fields, quotes and files within files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.config.diagnostics import Diagnostic
from trunkline.config.hba_tokens import Line, Reader, Token, compiled
from trunkline.config.sources import Unreadable


def read(path: Path, text: str) -> tuple[list[list[list[str]]], list[Diagnostic]]:
    """The names by line and field, those in quotes with a quote in front; and what is wrong."""
    path.write_text(text)
    reader = Reader()
    lines = [
        [[('"' if one.is_quoted else "") + one.text for one in names] for names in line.fields]
        for line in reader.lines(path)
    ]
    return lines, reader.diagnostics


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("  # nothing\n\n", []),
        ("host all all # comment", [[["host"], ["all"], ["all"]]]),
        ("a b,c\td", [[["a"], ["b", "c"], ["d"]]]),
        ("a b, c ,d e", [[["a"], ["b", "c", "d"], ["e"]]]),
        ('a "b c,#""d" "all"', [[["a"], ['"b c,#"d'], ['"all']]]),
        ('a map="my map"', [[["a"], ["map=my map"]]]),
        ("a \\\nb\nc", [[["a"], ["b"]], [["c"]]]),
        ("a \\", [[["a"]]]),
        ('""', [[['"']]]),
    ],
)
def test_a_line_is_fields_of_names(tmp_path: Path, text: str, lines: list[list[list[str]]]) -> None:
    assert read(tmp_path / "f", text) == (lines, [])


def test_a_quote_that_is_not_closed_is_told_at_its_column(tmp_path: Path) -> None:
    lines, [wrong] = read(tmp_path / "f", 'a b\na "b\nc')
    assert lines == [[["a"], ["b"]], [["c"]]]
    assert (wrong.line, wrong.column, wrong.message) == (2, 3, "a quote is not closed")


def test_files_are_included_in_their_places(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one\ninclude two")
    (tmp_path / "two").write_text("two")
    directory = tmp_path / "d"
    directory.mkdir()
    for name in ("b.conf", "a.conf", ".hidden.conf", "c.txt"):
        (directory / name).write_text(name)
    text = "first\ninclude one\ninclude_if_exists none\ninclude_dir d\nlast"
    lines, wrong = read(tmp_path / "f", text)
    assert [line[0][0] for line in lines] == ["first", "one", "two", "a.conf", "b.conf", "last"]
    assert wrong == []


def test_names_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "names").write_text('alice, bob # people\n"carol d"\n@more')
    (tmp_path / "more").write_text("erin")
    assert read(tmp_path / "f", 'x y,@names z "@names"') == (
        [[["x"], ["y", "alice", "bob", '"carol d', "erin"], ["z"], ['"@names']]],
        [],
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("include none", "none: cannot be read: no such file or directory"),
        ("include_dir none", "none is no directory"),
        ("include a b", "one file name is needed here"),
        ("include f", "f: files are nested too deeply"),
        ("x @none", "none: cannot be read: no such file or directory"),
        ("x @self", "self: files are nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told_at_the_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "self").write_text("@self")
    _, wrong = read(tmp_path / "f", text)
    assert wrong[-1].message.endswith(says)
    assert wrong[-1].line == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        list(Reader().lines(tmp_path / "none"))


def test_a_pattern_is_behind_a_slash() -> None:
    line = Line("f", 1, "", ())
    found = compiled(line, Token("/^[[:alpha:]]+[0-9]$", 1))
    assert isinstance(found, re.Pattern)
    assert found.search("ab1")
    assert not found.search("1b1")
    wrong = compiled(line, Token("/(", 7))
    assert isinstance(wrong, Diagnostic)
    assert wrong.column == 7
