"""Which line of auth_hba_file decides, and what is wrong in one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.diagnostics import Diagnostic
from trunkline.config.hba import Hba, Visit, load_hba
from trunkline.config.hba_ident import IdentMaps
from trunkline.config.ldap_options import LdapOptions

LOCAL = Visit("app", "alice", None, False)
REMOTE = Visit("app", "alice", "10.1.2.3", False)
SECURE = Visit("app", "alice", "10.1.2.3", True)
SIX = Visit("app", "alice", "2001:db8::1", False)


def load(text: str, maps: IdentMaps | None = None) -> tuple[Hba, list[Diagnostic]]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "hba"
        path.write_text(text)
        return load_hba(path, maps or IdentMaps())


def method(text: str, visit: Visit) -> str | None:
    hba, wrong = load(text)
    assert wrong == []
    rule = hba.find(visit)
    return rule.method if rule is not None else None


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("local all all", [LOCAL]),
        ("host all all all", [REMOTE, SECURE, SIX]),
        ("hostssl all all all", [SECURE]),
        ("hostnossl all all all", [REMOTE, SIX]),
        ("host all all 0.0.0.0/0", [REMOTE, SECURE]),
        ("host all all ::/0", [SIX]),
        ("host all all 10.1.2.3/32", [REMOTE, SECURE]),
        ("host all all 10.1.2.4/32", []),
        ("host all all 10.1.2.9/24", [REMOTE, SECURE]),
        ("host all all 10.0.0.0 255.0.0.0", [REMOTE, SECURE]),
        ("host all all 2001:db8::/32", [SIX]),
        ("host all all 2001:db8:: ffff:ffff::", [SIX]),
        ("local app alice", [LOCAL]),
        ("local other,app bob,alice", [LOCAL]),
        ("local /^a.p$ /^ali", [LOCAL]),
        ('local "/^a.p$" all', [LOCAL]),
        ("local App all", []),
        ("local sameuser all", []),
        ('local "all" all', []),
        ('local all "all"', []),
        ("local replication all", []),
    ],
)
def test_where_a_line_fits(rule: str, fits: list[Visit]) -> None:
    assert [visit for visit in (LOCAL, REMOTE, SECURE, SIX) if method(f"{rule} trust", visit)] == fits


def test_names_in_quotes_are_names() -> None:
    assert method('local "all" "all" trust', Visit("all", "all", None, False)) == "trust"
    assert method('local "same user" all trust', Visit("same user", "x", None, False)) == "trust"


def test_sameuser_is_a_database_of_ones_own_name() -> None:
    assert method("local sameuser all trust", Visit("alice", "alice", None, False)) == "trust"


def test_replication_is_a_word_of_its_own_for_connections_without_a_database() -> None:
    physical = Visit("alice", "alice", None, False, is_physical=True)
    assert method("local all all trust", physical) is None
    assert method("local replication all trust", physical) == "trust"


def test_an_address_of_the_old_kind_is_one_over_the_new_kind_too() -> None:
    assert method("host all all 10.0.0.0/8 trust", Visit("a", "b", "::ffff:10.1.1.1", False)) == "trust"
    assert method("host all all fe80::/16 trust", Visit("a", "b", "fe80::1%1", False)) == "trust"


def test_the_first_line_that_fits_decides() -> None:
    text = "host all bob all reject\nhost all all 10.0.0.0/8 md5\nhost all all all scram-sha-256"
    assert method(text, REMOTE) == "md5"
    assert method(text, SIX) == "scram-sha-256"
    assert method(text, Visit("app", "bob", "10.1.1.1", False)) == "reject"
    assert method(text, LOCAL) is None


ROLES = """\
host all bob 10.0.0.0/8 trust
host all +crew,"+odd" 10.0.0.0/8 reject
host samerole all 10.0.0.0/8 md5
host all all 10.0.0.0/8 scram-sha-256
host all all 192.0.2.0/24 password
"""


@pytest.mark.parametrize(
    ("user", "roles", "asks", "expected"),
    [
        ("bob", {"crew"}, False, "trust"),
        ("ann", {"ann", "crew"}, True, "reject"),
        ("ann", {"ann", "app"}, True, "md5"),
        ("ann", {"ann"}, True, "scram-sha-256"),
        ("+odd", {"odd"}, True, "reject"),
        ("crew", {"crew"}, True, "reject"),
    ],
)
def test_members_of_roles_are_meant_by_a_plus_and_by_the_name_of_the_database(
    user: str, roles: set[str], asks: bool, expected: str
) -> None:
    hba, wrong = load(ROLES)
    assert not wrong and hba.names_roles
    visit = Visit("app", user, "10.1.1.1", False)
    assert hba.depends_on_roles(visit) == asks
    rule = hba.find(replace(visit, roles=frozenset(roles)))
    assert rule is not None and rule.method == expected


def test_roles_are_not_looked_up_where_no_line_depends_on_them() -> None:
    hba, _ = load(ROLES)
    assert not hba.depends_on_roles(Visit("app", "ann", "192.0.2.1", False))
    assert not hba.depends_on_roles(Visit("app", "ann", "203.0.113.1", False))
    assert not load("host all all all trust")[0].names_roles


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ("hosts all all all trust", 1, "unknown type `hosts`"),
        ("host", 1, "the line ends before databases"),
        ("host all", 1, "the line ends before users"),
        ("host all all", 1, "the line ends before the address"),
        ("host all all all", 1, "the line ends before the method"),
        ("host all all 10.0.0.1 trust", 23, "not a network"),
        ("host all all 10.0.0.1 255.0.255.0 trust", 23, "not a network"),
        ("host all all 10.0.0.0/33 trust", 14, "not a network"),
        ("host all all example.org trust", 14, "`example.org` is no address"),
        ("host all all samenet trust", 14, "`samenet` is not supported"),
        ("host all /( all trust", 10, "not a regular expression"),
        ("host all all all gss", 18, "method `gss` is not supported"),
        ("host all all all trusted", 18, "unknown method `trusted`"),
        ("host all all all peer", 18, "`peer` is for local connections"),
        ("host all all all cert", 18, "`cert` is for hostssl connections"),
        ("host all all all trust now", 24, "`now` is not an option"),
        ("host all all all trust map=x", 24, "`trust` has no option `map`"),
        ("local all all peer map=x", 20, "there is no map `x` in auth_ident_file"),
        ("host all all all ldap", 18, "`ldapserver` is needed"),
        ("host all all all ldap ldapserver=h ldapsrv=x", 36, "`ldap` has no option `ldapsrv`"),
        ("host all all all pam service=x", 22, "`pam` has no option `service`"),
        ("host all all a,b trust", 14, "several values for the address"),
        ('host "all', 6, "a quote is not closed"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(line: str, column: int, says: str) -> None:
    hba, wrong = load(f"# comment\n{line}\nlocal all all trust")
    assert [(one.line, one.column) for one in wrong] == [(2, column)]
    assert wrong[0].message.startswith(says)
    assert len(hba.rules) == 1


def test_everything_wrong_is_told_at_once() -> None:
    _, wrong = load("x\nhost\n\nlocal all all ident")
    assert [one.line for one in wrong] == [1, 2, 4]


def test_a_visit_is_told_as_postgresql_would() -> None:
    assert str(REMOTE) == 'host "10.1.2.3", user "alice", database "app", no encryption'
    assert str(Visit("x", "r", None, True, True)) == (
        'replication connection from host "[local]", user "r", SSL encryption'
    )


VOCABULARY = """local host hostssl all sameuser replication "all" "" , " # \\ @x +g /^a /( 10.0.0.0/8 10.0.0.1 255.0.0.0
  ::1/128 trust md5 peer cert map=x reject include include_dir"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n"])
TEXTS = st.lists(WORDS | st.text(max_size=5)).map(" ".join)


@given(TEXTS)
def test_no_text_breaks_it_and_each_error_has_its_line(text: str) -> None:
    hba, wrong = load(text.encode(errors="replace").decode())
    lines = text.count("\n") + 1
    assert all(1 <= one.line <= lines and one.column >= 1 and one.message for one in wrong)
    for visit in (LOCAL, REMOTE, SECURE, SIX):
        found = hba.find(visit)
        assert found is None or found.fits(visit)


def test_a_line_says_which_directory_or_service_judges() -> None:
    hba, wrong = load(
        'host all all all ldap ldapserver=h "ldapbasedn=dc=a,dc=b" ldapsearchattribute=cn\n'
        "local all all pam pamservice=login\n"
    )
    assert wrong == []
    assert hba.rules[0].ldap == LdapOptions("ldap://h:389", base_dn="dc=a,dc=b", filter="(cn=$username)")
    assert hba.rules[1].options == {"pamservice": "login"}
