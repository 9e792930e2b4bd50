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
crew     /^(.*)-lead$             +\1
crew     root                     +"Ops"
crew     root                     "+odd"
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
    assert (name in maps) == (name in ("people", "staff", "any", "some", "crew"))


@pytest.mark.parametrize(
    ("system_user", "user", "roles", "asks", "allowed"),
    [
        ("root", "al", {"al", "Ops"}, True, True),
        ("root", "al", {"al", "ops"}, True, False),
        ("root", "+odd", {"+odd"}, False, True),
        ("app-lead", "al", {"al", "app"}, True, True),
        ("app-lead", "al", {"al"}, True, False),
        ("nobody", "al", {"al", "Ops"}, False, False),
    ],
)
def test_a_line_may_be_for_the_members_of_a_role(
    tmp_path: Path, system_user: str, user: str, roles: set[str], asks: bool, allowed: bool
) -> None:
    (tmp_path / "ident").write_text(MAPS)
    maps, wrong = load_ident(tmp_path / "ident")
    assert wrong == [] and maps.names_roles
    assert maps.depends_on_roles("crew", system_user, user) is asks
    assert maps.allows("crew", system_user, user, frozenset(roles)) is allowed
    assert not maps.depends_on_roles("any", "root", "al")


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ident").write_text('a b\na b c d\na b,c d\na /( d\na b \\1\na b +\na b /[\na "b\na b c\n')
    maps, wrong = load_ident(tmp_path / "ident")
    assert len(maps.lines) == 1
    assert {(one.line, one.message.split(":")[0]) for one in wrong} == {
        (1, "not a line of an ident map"),
        (2, "not a line of an ident map"),
        (3, "not a line of an ident map"),
        (4, "not a regular expression"),
        (5, r"\1 stands for nothing"),
        (6, "a role is missing behind +"),
        (7, "not a regular expression"),
        (8, "a quote is not closed"),
    }
