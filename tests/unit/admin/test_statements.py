"""Names of prepared statements and portals: PostgreSQL's rules, PostgreSQL's errors."""

from __future__ import annotations

import pytest

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.statements import MAX_PORTALS, MAX_STATEMENTS, Names
from trunkline.errors import TrunklineError


def refused(sqlstate: str) -> pytest.RaisesExc[TrunklineError]:
    return pytest.RaisesExc(TrunklineError, check=lambda error: error.sqlstate == sqlstate)


@pytest.fixture
def names() -> Names:
    return Names()


def test_the_unnamed_are_replaced_and_the_named_are_not(names: Names) -> None:
    for _ in range(2):
        names.parse(b"", "show pools")
        names.bind(b"", b"", (), ())
    names.parse(b"s", "show pools")
    names.bind(b"p", b"s", (), ())
    with refused("42P05"):
        names.parse(b"s", "show pools")
    with refused("42P03"):
        names.bind(b"p", b"s", (), ())
    names.close(b"S", b"s")
    names.close(b"P", b"p")
    names.close(b"P", b"never there")
    names.parse(b"s", "show pools")
    names.bind(b"p", b"s", (), ())


def test_a_name_that_is_not_there_gets_postgresqls_error(names: Names) -> None:
    with refused("26000"):
        names.bind(b"", b"", (), ())
    with refused("26000"):
        names.statement(b"s")
    with refused("34000"):
        names.portal(b"")


def test_only_what_can_be_carried_out_is_prepared(names: Names) -> None:
    with refused("42601"):
        names.parse(b"", "show nonsense")
    with refused("42601"):
        names.parse(b"", "show pools; show stats")
    names.parse(b"", " -- nothing")
    assert names.statement(b"").command is None
    names.bind(b"", b"", (), (0, 1, 1))


def test_bind_takes_no_parameters_and_known_formats(names: Names) -> None:
    names.parse(b"", "show version")
    with refused("08P01"):
        names.bind(b"", b"", (b"1",), ())
    with refused("08P01"):
        names.bind(b"", b"", (), (0, 0))


def test_a_session_keeps_a_bounded_number_of_names(names: Names) -> None:
    for number in range(MAX_STATEMENTS):
        names.parse(b"%d" % number, "show pools")
    for number in range(MAX_PORTALS):
        names.bind(b"%d" % number, b"0", (), ())
    with refused("54000"):
        names.parse(b"more", "show pools")
    with refused("54000"):
        names.bind(b"more", b"0", (), ())


def test_deallocate_and_discard_forget(names: Names) -> None:
    for name in (b"a", b"b", b"c"):
        names.parse(name, "show pools")
    names.after("DEALLOCATE", ("PREPARE", "a"))
    assert set(names.statements) == {b"b", b"c"}
    names.after("SHOW", ())
    assert len(names.statements) == 2
    names.after("DISCARD ALL", ())
    assert not names.statements
