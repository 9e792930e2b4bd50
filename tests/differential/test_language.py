"""The text format of message scripts: what it means in bytes, and what it says to whoever got a line wrong."""

from __future__ import annotations

import struct

import pytest

from tests.differential.encoding import NotUnderstood, encode, expand
from tests.differential.language import ScriptError, corpus, parse
from tests.differential.script import Cancel, Elsewhere, Read, Say, Until, Vanish
from tests.integration.wire import SYNC, bind, execute, frame, query
from tests.integration.wire import parse as parse_message


@pytest.mark.parametrize(
    ("letter", "words", "message"),
    [
        ("Q", "SELECT 1 -- one", query("SELECT 1 -- one")),
        ("Q", "", query("")),
        ("P", 's (int4, 1700) SELECT $1, "a"', parse_message('SELECT $1, "a"', "s", (23, 1700))),
        ("P", '"" SELECT (1)', parse_message("SELECT (1)")),
        ("P", '""', parse_message("")),
        ("B", '"" s [1, NULL, "a, b", "", Ü]', bind("s", [b"1", None, b"a, b", b"", "Ü".encode()])),
        ("B", "p s", bind("s", [], "p")),
        ("B", '"" s [«00 01»] in=1 out=0,1', frame("B", b"\0s\0\0\1\0\1\0\1\0\0\0\2\0\1\0\2\0\0\0\1")),
        ("E", "p 10", execute("p", 10)),
        ("S", "", SYNC),
        ("d", "1«t»one«n»", frame("d", b"1\tone\n")),
        ("F", "177 [1, NULL] out=1", frame("F", struct.pack("!IHHi", 177, 0, 2, 1) + b"1\xff\xff\xff\xff\0\1")),
        ("raw", "Q«00000004»", b"Q\0\0\0\4"),
    ],
)
def test_a_line_is_a_message(letter: str, words: str, message: bytes) -> None:
    assert encode(letter, words) == message


def test_bytes_stand_between_guillemets() -> None:
    assert expand("a«00 ff»b«t n»ü«61*3»") == b"a\x00\xffb\t\n\xc3\xbcaaa"


@pytest.mark.parametrize("words", ["«", "«0»", "«xy»", "«61*»"])
def test_what_is_not_bytes_is_refused(words: str) -> None:
    with pytest.raises(NotUnderstood):
        expand(words)


SCRIPT = """
# A comment, and another:
-- one
== two clients
startup TimeZone=Asia/Tokyo
@2 startup application_name=a = b
given CREATE TABLE t (a int)
requires postgres >= 16
mode session transaction
hide pid \\d+
Q SELECT 1,
  2
-> nothing
@2 Q! SELECT 2
-> Z 2
-> T
-> 3 frames
-> end
until SELECT true
cancel
@2 vanish
elsewhere DROP TABLE t
"""


def test_a_script_is_headers_and_steps() -> None:
    (script,) = parse(SCRIPT, "family", "file.msg")
    assert (script.id, script.line, script.clients) == ("family/two-clients", 4, [1, 2])
    assert script.startup == {1: {"TimeZone": "Asia/Tokyo"}, 2: {"application_name": "a = b"}}
    assert (script.given, script.hidden) == (["CREATE TABLE t (a int)"], ["pid \\d+"])
    assert script.steps == [
        Say(11, 1, query("SELECT 1,\n2")),
        Read(13, 1, "nothing", 0),
        Say(14, 2, query("SELECT 2")),
        Read(14, 2, "Z", 1),
        Read(15, 1, "Z", 2),
        Read(16, 1, "T", 1),
        Read(17, 1, "", 3),
        Read(18, 1, "end", 0),
        Until(19, 1, "SELECT true"),
        Cancel(20, 1),
        Vanish(21, 2),
        Elsewhere(22, 1, "DROP TABLE t"),
    ]


def test_a_script_says_where_it_can_be_played() -> None:
    (script,) = parse(SCRIPT, "family", "file.msg")
    assert script.fits("session", 18)
    assert not script.fits("statement", 18)
    assert not script.fits("session", 15)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Q SELECT 1", "line 1: a file begins with"),
        ("== A Title", "line 1: a title is of small letters"),
        ("== a\n\nQuery", "line 3: a line does not begin with 'Query'; there are Q P B"),
        ("== a\nD x", "line 2: D 'x' does not read like: D S statement"),
        ("== a\nP s (integer) SELECT 1", "line 2: no type 'integer'"),
        ("== a\nB s", "line 2: B 's' does not read like: B portal"),
        ("== a\nQ «zz»", "line 2: «zz» is neither"),
        ("== a\nS\nmode session", "line 3: mode comes before the first message"),
        ("== a\nmode sessions", "line 2: mode wants some of session transaction statement"),
        ("== a\nrequires mysql", "line 2: requires wants: postgres >= or < 18"),
        ("== a\nuser root", "line 2: user wants one of"),
        ("== a\nstartup DateStyle", "line 2: startup wants name=value"),
        ("== a\nhide (", "line 2: missing )"),
        ("== a\nS\n-> all", "line 3: -> wants nothing, end"),
        ("== a\n\n== b\nS", "line 1: the script 'a' says nothing"),
    ],
)
def test_a_line_that_is_wrong_is_named(lines: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(lines, "family", "file.msg")
    assert str(caught.value).startswith(f"file.msg, {message}")


def test_the_corpus_is_large_and_every_script_has_a_name_of_its_own() -> None:
    names = [script.id for script in corpus()]
    assert len(names) >= 300
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}
