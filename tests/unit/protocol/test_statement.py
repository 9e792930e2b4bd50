"""Statements are interned by what was parsed, whatever the clients call them."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from trunkline.protocol.statement import intern, retire

SELECT_1 = b"select 1\0\0\0"


def test_equal_text_and_types_are_one_statement() -> None:
    assert intern(SELECT_1) is intern(bytes(bytearray(SELECT_1)))


def test_other_parameter_types_are_another_statement() -> None:
    text, int4 = b"select $1\0\0\1\0\0\0\x19", b"select $1\0\0\1\0\0\0\x17"
    one, other = intern(text), intern(int4)
    assert one is not other
    assert one.server_name != other.server_name


@given(st.lists(st.binary(max_size=20), unique=True, max_size=20))
def test_no_two_statements_share_a_name(bodies: list[bytes]) -> None:
    statements = [intern(body) for body in bodies]
    assert len({statement.server_name for statement in statements}) == len(bodies)


def test_a_name_fits_into_postgresqls_names_and_is_plain() -> None:
    name = intern(SELECT_1).server_name
    assert name.startswith(b"trunkline_")
    assert len(name) < 64
    assert name.decode().isidentifier()


def test_a_statement_that_nobody_has_is_forgotten() -> None:
    forgotten = weakref.ref(intern(b"select 'forgotten'\0\0\0"))
    gc.collect()
    assert forgotten() is None


def test_a_name_is_never_used_again() -> None:
    first = intern(b"select 'twice'\0\0\0").server_name
    assert intern(b"select 'twice'\0\0\0").server_name != first


def test_repr_shows_name_and_text() -> None:
    statement = intern(SELECT_1)
    assert repr(statement) == f"<Statement {statement.server_name.decode()} {SELECT_1!r}>"


def test_a_retired_statement_lives_on_under_its_name_and_its_text_gets_another() -> None:
    old = intern(SELECT_1)
    retire(old)
    new = intern(SELECT_1)
    assert new is not old
    assert new.server_name != old.server_name
    assert intern(SELECT_1) is new
    retire(old)
    assert intern(SELECT_1) is new
