"""A template is what is the same in two texts that differ in constants, comments and white space only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.text.template import dotted_names, template, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SELECT 1", b"SELECT  2 -- two"),
        (b"SELECT 'a'", b"SELECT /* x */ E'b\\''"),
        (b"SELECT $$a$$, 1.5", b"SELECT $x$b$x$,\n 1e9"),
        (b"SELECT set_config('a.b', 'one', false)", b"SELECT set_config ( 'a.b' , 'two', false)"),
    ],
)
def test_constants_and_blanks_make_no_difference(one: bytes, other: bytes) -> None:
    assert template(one) == template(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SELECT a", b"SELECT b"),
        (b"SELECT $1", b"SELECT $2"),
        (b"SELECT set_config('a', 'x', false)", b"SELECT set_config('b', 'x', false)"),
        (b"SELECT set_config('a', 'x', false)", b"SELECT set_config('a', 'x', true)"),
        (b'SELECT "a b"', b"SELECT a b"),
        (b"SET a = on", b"SET a = off"),
    ],
)
def test_everything_else_does(one: bytes, other: bytes) -> None:
    assert template(one) != template(other)


def test_words_are_found_in_strings_too() -> None:
    assert words_of(b"DO $$ BEGIN perform a.f('X y') $$") == {b"do", b"begin", b"perform", b"a", b"f", b"x", b"y"}


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize("text", [b"x", b"x.", b"a$", b".", b"$a.b", b"a.b ", b"\xe9"])
def test_dotted_names_of_any_text_take_one_look_at_it(text: bytes, size: int) -> None:
    assert all(b"." in name for name in dotted_names(text * (size // len(text))))


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        (b"$$SET my.own = 1$$", {b"my.own"}),
        (b"$$my.own$$", {b"my.own", b"my.own$$"}),
        (b"$tag$my.own$tag$", {b"my.own", b"tag$my.own$tag$"}),
        (b"My$Own.x", {b"my$own.x", b"own.x"}),
        (b"a..b.c", {b"b.c"}),
        (b"1a.b .c.d. e.1 \xc3\xa9.x", {b"a.b", b"c.d", b"\xc3\xa9.x"}),
    ],
)
def test_dotted_names_stand_anywhere(sql: bytes, names: set[bytes]) -> None:
    assert dotted_names(sql) == names


def test_dotted_names_may_be_settings() -> None:
    assert dotted_names(b"SELECT set_config('App.tenant', $1, false), 1.5, t.a.b") == {b"app.tenant", b"t.a.b"}


@given(st.binary(max_size=300))
def test_any_bytes_have_a_template(sql: bytes) -> None:
    assert len(template(sql)) <= 2 * len(sql) + 1
    assert words_of(sql) is not None
