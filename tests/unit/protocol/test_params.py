"""Settings that follow a client: what differs is applied, what is applied is equal, and no value is ever SQL."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.protocol.params import FIXED, IDENTITY, Params, quote, quote_name

names = st.sampled_from([b"TimeZone", b"DateStyle", b"client_encoding", b"application_name", *sorted(FIXED)])
values = st.sampled_from([b"", b"UTC", b"Europe/Berlin", b"it's", b"back\\slash"])
extras = st.sampled_from([b"search_path", b"statement_timeout", b"my.setting"])
reported = st.dictionaries(names, values, max_size=6)
extra = st.dictionaries(extras, values, max_size=3)
params = st.builds(Params.of, reported, extra)
any_bytes = st.binary(max_size=40).filter(lambda value: b"\0" not in value)


def test_equal_settings_are_one_object() -> None:
    one = Params.of({b"a": b"1", b"b": b"2"}, {b"c": b"3"})
    assert Params.of({b"b": b"2", b"a": b"1"}, {b"c": b"3"}) is one
    assert Params.of({b"a": b"1", b"b": b"2"}, {}) is not one
    assert Params.of({b"c": b"3"}, {b"a": b"1", b"b": b"2"}) is not one


def test_what_is_interned_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Params.of({b"a": b"1"}, {}).reported[b"a"] = b"2"  # type: ignore[index]


def test_who_makes_params_keeps_its_own_mapping() -> None:
    mine = {b"a": b"1"}
    made = Params.of(mine, {})
    mine[b"a"] = b"2"
    assert made.reported[b"a"] == b"1"


@given(params)
def test_no_difference_to_itself(one: Params) -> None:
    difference = one.difference(one)
    assert (difference.assign, difference.reset, difference.tell) == ((), (), ())
    assert difference.sql() is None


@given(params, params)
def test_applying_the_difference_gives_the_target(one: Params, target: Params) -> None:
    """As a server would do it: what it reports changes by ParameterStatus, the rest by our own account."""
    difference = one.difference(target)
    after = one
    for name, value in difference.assign:
        if name in target.reported:
            after = after.with_reported(name, value)
    rest = {n: v for n, v in one.extra.items() if n not in difference.reset}
    rest |= {n: v for n, v in difference.assign if n not in target.reported}
    assert rest == target.extra
    assert {n: v for n, v in after.reported.items() if n in target.reported and n not in FIXED} == {
        n: v for n, v in target.reported.items() if n not in FIXED
    }


@given(params, params)
def test_facts_of_a_server_are_told_and_never_set(one: Params, target: Params) -> None:
    difference = one.difference(target)
    assert not FIXED & {name for name, _ in difference.assign}
    assert {name for name, _ in difference.tell} <= FIXED
    assert all(one.reported[name] == value for name, value in difference.tell)
    assert all(target.reported[name] != value for name, value in difference.tell)


def test_a_reported_value_that_is_the_same_is_the_same_object() -> None:
    one = Params.of({b"TimeZone": b"UTC"}, {})
    assert one.with_reported(b"TimeZone", b"UTC") is one
    assert one.with_reported(b"TimeZone", b"GMT").with_reported(b"TimeZone", b"UTC") is one


def test_startup_settings_take_the_servers_spelling_whatever_the_clients_case() -> None:
    base = Params.of({b"TimeZone": b"UTC", b"DateStyle": b"ISO, MDY"}, {})
    asked = base.requested([(b"timezone", b"GMT"), (b"Search_Path", b"a, b")])
    assert asked.reported == {b"TimeZone": b"GMT", b"DateStyle": b"ISO, MDY"}
    assert asked.extra == {b"search_path": b"a, b"}


def test_the_last_of_two_startup_settings_wins() -> None:
    asked = Params.of({b"TimeZone": b"UTC"}, {}).requested([(b"timezone", b"GMT"), (b"TIMEZONE", b"CET")])
    assert asked.reported == {b"TimeZone": b"CET"}


def test_all_settings_go_in_one_query() -> None:
    one = Params.of({b"TimeZone": b"UTC"}, {b"work_mem": b"1MB", b"my.setting": b"x"})
    target = Params.of({b"TimeZone": b"GMT"}, {b"search_path": b"a, b"})
    assert one.difference(target).sql() == (
        b'RESET "work_mem"; RESET "my"."setting"; '
        b"SELECT pg_catalog.set_config('TimeZone', 'GMT', false), pg_catalog.set_config('search_path', 'a, b', false)"
    )


# --- quoting --------------------------------------------------------------------------------------------------------


def read_literal(text: bytes, *, standard: bool) -> tuple[bytes, bytes]:
    """(value, rest) of a string literal as PostgreSQL's scan.l reads it."""
    at = text.index(b"'") + 1
    escapes = text[:at].endswith(b"E'") or not standard
    value = bytearray()
    while True:
        if text[at : at + 2] == b"''":
            value += b"'"
            at += 2
        elif text[at : at + 1] == b"'":
            return bytes(value), text[at + 1 :]
        elif escapes and text[at : at + 1] == b"\\":
            octal = re.match(rb"[0-7]{1,3}", text[at + 1 : at + 4])
            value += bytes([int(octal[0], 8)]) if octal else text[at + 1 : at + 2]
            at += 1 + len(octal[0] if octal else b"?")
        else:
            value += text[at : at + 1]
            at += 1


@given(any_bytes, st.booleans())
def test_a_quoted_value_reads_as_itself_and_ends_where_it_should(value: bytes, standard: bool) -> None:
    assert read_literal(quote(value) + b", false)", standard=standard) == (value, b", false)")


@pytest.mark.parametrize("value", [b"'; DROP TABLE t; --", b"\\'; DROP TABLE t; --", b"\\", b"'", b"''", b"\\\\'"])
def test_an_injection_stays_a_value(value: bytes) -> None:
    for standard in (True, False):
        assert read_literal(quote(value), standard=standard) == (value, b"")


@given(any_bytes)
def test_a_backslash_never_stands_behind_a_byte_that_could_make_a_letter_of_it(value: bytes) -> None:
    """Shift JIS, Big5, GBK: read in those, 0x95 and a backslash are one letter, and a doubled one ends the literal."""
    quoted = quote(value)
    assert b"\\" not in value or quoted.isascii()


@given(any_bytes)
def test_a_quoted_name_is_one_name_a_part(name: bytes) -> None:
    quoted = quote_name(name)
    assert re.fullmatch(rb'"(?:[^"]|"")*"(?:\."(?:[^"]|"")*")*', quoted, re.DOTALL)
    parts = re.findall(rb'"((?:[^"]|"")*)"', quoted, re.DOTALL)
    assert b".".join(part.replace(b'""', b'"') for part in parts) == name


@given(any_bytes.filter(lambda name: name not in IDENTITY), any_bytes)
def test_hostile_settings_make_no_second_statement(name: bytes, value: bytes) -> None:
    sql = Params.of({}, {}).difference(Params.of({}, {name: value})).sql()
    assert sql is not None
    start = b"SELECT pg_catalog.set_config("
    assert sql.startswith(start)
    read_name, rest = read_literal(sql[len(start) :], standard=True)
    if value.isascii():
        read_value, rest = read_literal(rest, standard=True)
    else:
        convert = b"pg_catalog.convert_from(pg_catalog.decode("
        assert rest.startswith(b", " + convert)
        digits, rest = read_literal(rest[len(convert) :], standard=True)
        read_value = bytes.fromhex(digits.decode())
        rest = rest.removeprefix(b", 'hex'), 'UTF8')")
    assert (read_name, read_value, rest) == (name, value, b", false)")


def test_a_role_goes_first_and_comes_last() -> None:
    one = Params.of({b"is_superuser": b"off"}, {b"role": b"a", b"work_mem": b"1MB"})
    target = Params.of({b"is_superuser": b"on"}, {b"role": b"b", b"statement_timeout": b"1"})
    difference = one.difference(target)
    assert difference.sql() == (
        b"RESET role; RESET \"work_mem\"; SELECT pg_catalog.set_config('statement_timeout', '1', false), "
        b"pg_catalog.set_config('role', 'b', false)"
    )
    assert difference.tell == (), "the server reports what follows from the role"


def test_sessions_that_understand_a_text_alike_have_one_meaning() -> None:
    plain = Params.of({b"TimeZone": b"UTC", b"application_name": b"a"}, {b"work_mem": b"1MB"})
    assert plain.meaning == Params.of({b"TimeZone": b"UTC", b"application_name": b"b"}, {}).meaning
    assert plain.meaning != Params.of({b"TimeZone": b"CET"}, {}).meaning
    assert plain.meaning != plain.with_extra({b"search_path": b"x"}).meaning


def test_repr_shows_both_kinds() -> None:
    assert repr(Params.of({b"a": b"1"}, {b"b": b"2"})) == "<Params {b'a': b'1'} {b'b': b'2'}>"
