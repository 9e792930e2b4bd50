"""What we take a key for is what PostgreSQL takes it for: texts, casts, and what a column keeps of a value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from tests.integration.key_texts import TEXTS, words
from tests.integration.postgres import Postgres
from trunkline.routing.keys.arrays import elements_from_binary, elements_from_text
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.values import from_binary, from_number, from_text, order_of

pytestmark = pytest.mark.every_postgres

STYLES = ["ISO, MDY", "SQL, DMY", "German, YMD"]
NUMBERS = ("int2", "int4", "int8", "numeric", "float4", "float8")
STRINGS = ("text", "varchar", "bpchar")
TIMES = ("date", "timestamp", "timestamptz")
# Each type of column with the types of values that are compared with it, or stored in it.
PAIRS = {
    **dict.fromkeys((*NUMBERS, "numeric(5,2)", "numeric(3,-1)", "numeric(20,0)"), NUMBERS),
    **dict.fromkeys((*STRINGS, "varchar(3)", "bpchar(4)"), (*STRINGS, "int4")),
    **dict.fromkeys((*TIMES, "timestamp(2)", "timestamptz(0)", "timestamp(6)"), TIMES),
}
UNQUOTED = words("0 5 -5 5.0 5.5 -5.5 6.5 1e2 1e-1 .5 5. 32768 -32768 2147483648 99999999999999999999 1e30 1e400")

NEW_IN_16 = re.compile(r".*[0-9]_|\s*[+-]?0[xXoObB]")

Read = Callable[[], Value | None]


class Refused(Exception):
    """PostgreSQL's own refusal."""


class Server:
    """Statements with one parameter in text format, and results in binary."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._pg = connection.pgconn
        self._version = connection.info.server_version

    def ask(self, sql: str, *texts: str) -> list[bytes | None]:
        """The first column."""
        parameters = [text.encode() for text in texts]
        result = self._pg.exec_params(sql.encode(), parameters, result_format=1)
        if result.status == ExecStatus.FATAL_ERROR:
            raise Refused(result.error_message.decode())
        return [result.get_value(row, 0) for row in range(result.ntuples)]

    def attempt(self, sql: str, *texts: str) -> None:
        with contextlib.suppress(Refused):
            self.ask(sql, *texts)

    def is_older_than(self, *texts: str) -> bool:
        """Whether it refuses a form that later ones know, and with it the statement, wherever that goes."""
        return self._version < 160000 and any(NEW_IN_16.match(text) for text in texts)

    def values(self, type: str, sql: str, *texts: str) -> list[Value | None]:
        base = type.partition("(")[0]
        return [None if data is None else from_binary(data, base) for data in self.ask(sql, *texts)]


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Server]:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        yield Server(connection)


def ours(type: str, read: Read) -> object:
    """A value in the form in which equal ones are equal, or the class of what is raised."""
    try:
        value = read()
    except NotCoercible:
        return NotCoercible
    except KeyUnknown:
        return KeyUnknown
    return value if value is None else order_of(type)(value)


def theirs(server: Server, type: str, sql: str, *texts: str) -> object:
    """What the server says, in the same form."""
    try:
        (value,) = server.values(type, sql, *texts)
    except Refused:
        return NotCoercible
    return value if value is None else order_of(type)(value)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("type", TEXTS)
def test_a_text_is_read_as_postgresql_reads_it(server: Server, type: str, style: str) -> None:
    server.ask(f"SET datestyle = '{style}'")
    server.ask("SET timezone = 'America/St_Johns'")
    known = 0
    for text in TEXTS[type]:
        mine = ours(type, lambda: from_text(text.encode(), type))  # noqa: B023
        if mine is KeyUnknown or server.is_older_than(text):
            continue
        known += 1
        assert mine == theirs(server, type, f"SELECT $1::{type}", text), text
    assert known > 15


@pytest.mark.parametrize("target", PAIRS)
def test_a_value_finds_what_it_is_equal_to_and_where_it_is_stored(server: Server, target: str) -> None:
    base = target.partition("(")[0]
    server.ask(f"CREATE TEMP TABLE kept (k {target})")
    server.ask(f"CREATE TEMP TABLE candidates (k {target})")
    for text in TEXTS[base]:
        server.attempt("INSERT INTO candidates VALUES ($1)", text)
    for source in PAIRS[target]:
        for text in TEXTS[source]:
            check(server, target, f"$1::{source}", lambda: from_text(text.encode(), target, source), text)  # noqa: B023


@pytest.mark.parametrize("target", [target for target in PAIRS if PAIRS[target] is NUMBERS])
@pytest.mark.parametrize("cast", ["", *NUMBERS])
def test_a_number_without_quotes_finds_what_it_is_equal_to(server: Server, target: str, cast: str) -> None:
    base = target.partition("(")[0]
    server.ask(f"CREATE TEMP TABLE kept (k {target})")
    server.ask(f"CREATE TEMP TABLE candidates (k {target})")
    for text in (*TEXTS[base], *UNQUOTED):
        server.attempt("INSERT INTO candidates VALUES ($1)", text)
    for number in UNQUOTED:
        digits, negative = number.lstrip("-").encode(), number.startswith("-")
        written = f"{number}::{cast}" if cast else number
        check(server, target, written, lambda: from_number(digits, target, cast, negative=negative))  # noqa: B023


def check(server: Server, target: str, expression: str, read: Read, *texts: str) -> None:
    mine = ours(target, read)
    if mine is KeyUnknown or server.is_older_than(*texts):
        return
    where = (target, expression, texts, mine)
    stored = theirs(server, target, f"INSERT INTO kept VALUES ({expression}) RETURNING k", *texts)
    assert stored in (mine, NotCoercible), (*where, stored)
    try:
        equal = server.values(target, f"SELECT k FROM candidates WHERE k = {expression}", *texts)
    except Refused:
        return
    assert mine is not NotCoercible, where
    assert {order_of(target)(value) for value in equal} <= {mine}, where
    if target.partition("(")[0] not in STRINGS:  # ranges of text are nobody's but the server's
        check_order(server, target, expression, mine, *texts)


def check_order(server: Server, target: str, expression: str, mine: Any, *texts: str) -> None:
    """What the server finds on one side of it is on that side of our value, or equal to it."""
    order = order_of(target)
    below = server.values(target, f"SELECT k FROM candidates WHERE k <= {expression}", *texts)
    above = server.values(target, f"SELECT k FROM candidates WHERE k >= {expression}", *texts)
    assert all(order(value) <= mine for value in below), (target, expression, texts, mine, below)
    assert all(order(value) >= mine for value in above), (target, expression, texts, mine, above)


ARRAYS = [
    "{}", " { } ", "{1}", "{1,2,3}",
    "{ 1 , 2 }", "{1,NULL,null}", '{"1","2"}', "{1,,2}", "{1,}", "{,1}", "{", "}", "{1",
    "{1}}", "{1} x", "{1} ", "1", "", "{{1,2},{3,4}}", "{{}}", "[0:1]={1,2}", "[1:1]={1}", "{x}", "{99999999999}",
    r"{\1}", r'{"\1"}', "{1 2}", '{"1}', "{1;2}", '{""}', '{" 1 "}', "{-1,+1}", "{NULLx}", '{"NULL"}', '{1"2"}',
    '{"1"2}',
]  # fmt: skip
STRING_ARRAYS = [
    "{a,b}", '{"a b", c d }', r'{"a\"b"}', r"{a\ }", r"{a\,b}", '{"{}"}', '{"a,b"}', "{NULL}", '{"null"}', "{Ünï,日本}",
    "{a\tb}", r'{"\\"}', "{ a  b ,c}", '{""}', "{a'b}", r"{\N\U\L\L}",
]  # fmt: skip


@pytest.mark.parametrize("type", ["int4", "int8", "text"])
def test_an_array_has_the_elements_that_postgresql_finds_in_it(server: Server, type: str) -> None:
    known = 0
    for text in (*ARRAYS, *STRING_ARRAYS):
        mine = ours_of_array(lambda: elements_from_text(text.encode(), type))  # noqa: B023
        if mine is KeyUnknown:
            continue
        known += 1
        try:
            said: object = server.values(type, f"SELECT unnest($1::{type}[])", text)
            (packed,) = server.ask(f"SELECT $1::{type}[]", text)
            assert packed is not None
            assert elements_from_binary(packed, type) == said, text
        except Refused:
            said = NotCoercible
        assert mine == said, text
    assert known > 20


def ours_of_array(read: Callable[[], list[Value | None]]) -> object:
    try:
        return read()
    except NotCoercible:
        return NotCoercible
    except KeyUnknown:
        return KeyUnknown
