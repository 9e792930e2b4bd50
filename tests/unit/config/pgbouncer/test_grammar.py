"""The grammar of pgbouncer.ini; every case was tried on PgBouncer 1.18, but for the quoted names that came later."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.pgbouncer.grammar import MAX_INCLUDES, Entry, Header, Reading


def read(text: str) -> tuple[list[str | tuple[str, str]], list[tuple[int, int]]]:
    """Headers as words, entries as pairs; and the lines and columns of what is wrong."""
    reading = Reading()
    items = [i.name if isinstance(i, Header) else (i.key, i.value) for i in reading.items(text, "f.ini")]
    return items, [(wrong.line, wrong.column) for wrong in reading.diagnostics]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[databases]\n  a = host=/tmp\n", ["databases", ("a", "host=/tmp")]),
        ("a =\nb=x", [("a", ""), ("b", "x")]),
        ("a.b-c*d_ = x  \t", [("a.b-c*d_", "x")]),
        ("* = x", [("*", "x")]),
        ("=x", [("", "x")]),
        ("a\t=\tx y", [("a", "x y")]),
        ("a == x", [("a", "= x")]),
        ("\fa = x", [("a", "x")]),
        ("[databases] a=host=x", ["databases", ("a", "host=x")]),
        ("[databases]a=x [pgbouncer]", ["databases", ("a", "x [pgbouncer]")]),
        ("[databases] ; hi\na=", ["databases", ("a", "")]),
        ("# c\n;d\n  ; x\na = x", [("a", "x")]),
        ("a = x ; c", [("a", "x ; c")]),
        ("[ databases ]", [" databases "]),
        ("a = 1\0\n[foo]", [("a", "1")]),
        ('"a b" = x\n"c""d"=y', [("a b", "x"), ('c"d', "y")]),
        ("", []),
    ],
)
def test_what_is_read(text: str, items: list[str | tuple[str, str]]) -> None:
    assert read(text) == (items, [])


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a\n=host=x", [(1, 1)]),
        ("a/b = x", [(1, 1)]),
        ("ä = x", [(1, 1)]),
        ("  [databases\na=", [(1, 3)]),
        ("%includex", [(1, 1)]),
        ("%include", [(1, 1)]),
        ("a\nb=1\nc d = 2\n  !", [(1, 1), (3, 1), (4, 3)]),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_the_rest_is_read(text: str, places: list[tuple[int, int]]) -> None:
    assert read(text)[1][: len(places)] == places


def test_a_file_is_included_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/x.ini").write_text("%include sub/y.ini\n[databases]\n")
    (tmp_path / "sub/y.ini").write_text("[users]\nu=\n")
    assert read("  %include   sub/x.ini  \nb=") == (["users", ("u", ""), "databases", ("b", "")], [])


@pytest.mark.parametrize("name", ["nope.ini", "'x.ini'", "x.ini ; c"])
def test_an_included_file_that_is_not_there_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ini").touch()
    assert read(f"a=\n%include {name}\nb=") == ([("a", ""), ("b", "")], [(2, 10)])


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "self.ini"
    file.write_text(f"a=\n%include {file}\n")
    items, places = read(file.read_text())
    assert (items, places) == ([("a", "")] * (MAX_INCLUDES + 1), [(2, 10)])


def test_a_password_is_not_in_the_line_of_a_place() -> None:
    (entry,) = Reading().items("a = password='it''s me' host=x", "f")
    assert isinstance(entry, Entry)
    assert entry.key_place.source_line == "a = password=********** host=x"


@given(st.text())
def test_any_text_is_read_to_its_end(text: str) -> None:
    for item in (reading := Reading()).items(text, "f"):
        assert (item.place if isinstance(item, Header) else item.key_place).line >= 1
    assert all(wrong.line >= 1 for wrong in reading.diagnostics)
