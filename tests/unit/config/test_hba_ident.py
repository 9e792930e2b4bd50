"""Names elsewhere, and whom they may be here."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config.hba_ident import load_ident

MAPS = r"""
# MAP    SYSTEM                   USER
people   alice                    al
people   alice                    bob
people   /^(.*)@example\.org$     \1
staff    /^adm-(.*)$              "app_\1"
any      root                     all
some     root                     /^app_
"""


@pytest.mark.parametrize(
    ("name", "system_user", "user", "allowed"),
    [
        ("", "alice", "alice", True),
        ("", "alice", "bob", False),
        ("people", "alice", "al", True),
        ("people", "alice", "bob", True),
        ("people", "alice", "alice", False),
        ("people", "carol@example.org", "carol", True),
        ("people", "carol@example.orgs", "carol", False),
        ("people", "carol@example.org", "al", False),
        ("staff", "adm-x", "app_x", True),
        ("staff", "adm-x", "x", False),
        ("any", "root", "whoever", True),
        ("any", "Root", "whoever", False),
        ("some", "root", "app_1", True),
        ("some", "root", "my_app_1", False),
        ("none", "root", "root", False),
    ],
)
def test_who_may_be_whom(tmp_path: Path, name: str, system_user: str, user: str, allowed: bool) -> None:
    (tmp_path / "ident").write_text(MAPS)
    maps, wrong = load_ident(tmp_path / "ident")
    assert wrong == []
    assert maps.allows(name, system_user, user) is allowed
    assert (name in maps) == (name in ("people", "staff", "any", "some"))


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ident").write_text('a b\na b c d\na b,c d\na /( d\na b \\1\na b +c\na b /[\na "b\na b c\n')
    maps, wrong = load_ident(tmp_path / "ident")
    assert len(maps.lines) == 1
    assert {(one.line, one.message.split(":")[0]) for one in wrong} == {
        (1, "not a line of an ident map"),
        (2, "not a line of an ident map"),
        (3, "not a line of an ident map"),
        (4, "not a regular expression"),
        (5, r"\1 stands for nothing"),
        (6, "members of roles are not known here"),
        (7, "not a regular expression"),
        (8, "a quote is not closed"),
    }
