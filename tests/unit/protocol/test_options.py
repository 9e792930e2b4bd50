"""Command-line switches of the startup packet, as PostgreSQL's postgres.c takes them."""

from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.protocol.options import parse_options, split_options


@pytest.mark.parametrize(
    "value, words",
    [
        (b"", []),
        (b" \t\n", []),
        (b"-c a=b", [b"-c", b"a=b"]),
        (b"  -c\ta=b\n", [b"-c", b"a=b"]),
        (rb"-c a=b\ c", [b"-c", b"a=b c"]),
        (rb"-c a=b\\c", [b"-c", rb"a=b\c"]),
        (rb"a\b", [b"ab"]),
        (b"a\\", [b"a"]),
        (b"\\", [b""]),
        (b"\\ ", [b" "]),
    ],
)
def test_words_are_split_at_white_space_that_is_not_escaped(value: bytes, words: list[bytes]) -> None:
    assert split_options(value) == words


@pytest.mark.parametrize(
    "value, settings",
    [
        (b"", []),
        (b"-c search_path=a", [(b"search_path", b"a")]),
        (b"-csearch_path=a", [(b"search_path", b"a")]),
        (b"--search_path=a", [(b"search_path", b"a")]),
        (b"--statement-timeout=5s", [(b"statement_timeout", b"5s")]),
        (b"-c statement-timeout=5s", [(b"statement_timeout", b"5s")]),
        (b"-c a=", [(b"a", b"")]),
        (b"-c a=b=c", [(b"a", b"b=c")]),
        (b"-c a=x-y", [(b"a", b"x-y")]),
        (rb"-c application_name=my\ app", [(b"application_name", b"my app")]),
        (b"-c a=1 -c b=2 --c=3 -c a=4", [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"a", b"4")]),
        (b"-S 64MB", [(b"work_mem", b"64MB")]),
        (b"-S64", [(b"work_mem", b"64")]),
        (b"-e", [(b"datestyle", b"euro")]),
        (b"-F", [(b"fsync", b"false")]),
        (b"-eF", [(b"datestyle", b"euro"), (b"fsync", b"false")]),
        (b"-eca=b", [(b"datestyle", b"euro"), (b"a", b"b")]),
        (b"-fs -fi", [(b"enable_seqscan", b"false"), (b"enable_indexscan", b"false")]),
        (b"-f h", [(b"enable_hashjoin", b"false")]),
        (b"-s", [(b"log_statement_stats", b"true")]),
        (
            b"-tpa -tpl -te",
            [(b"log_parser_stats", b"true"), (b"log_planner_stats", b"true"), (b"log_executor_stats", b"true")],
        ),
        (b"-d 1", [(b"log_min_messages", b"debug1")]),
        (b"-d0", [(b"log_min_messages", b"notice")]),
        (b"-d x", [(b"log_min_messages", b"notice")]),
        (b"-d 2x", [(b"log_min_messages", b"debug2"), (b"log_statement", b"all")]),
        (b"-W 0", [(b"post_auth_delay", b"0")]),
        (b"-n -T -E -j", []),
        (b"-r file -v 196608", []),
        (b"-c a=b --", [(b"a", b"b")]),
    ],
)
def test_switches_become_settings_in_their_order(value: bytes, settings: list[tuple[bytes, bytes]]) -> None:
    assert parse_options(value) == settings


@pytest.mark.parametrize(
    "value, word",
    [
        (b"a=b", "a=b"),
        (b"-", "-"),
        (b"-c a=b stray", "stray"),
        (b"-x", "-x"),
        (b"-ex", "-ex"),
        (b"-c", "-c"),
        (b"-S", "-S"),
        (b"-f x", "x"),
        (b"-fx", "-fx"),
        (b"-tp", "-tp"),
        (b"-- -c a=b", "-c"),
        (b"\\", ""),
        (b"-\xff", "-�"),
    ],
)
def test_another_switch_is_refused_in_postgresqls_words(value: bytes, word: str) -> None:
    with pytest.raises(errors.InvalidStartupOption) as refused:
        parse_options(value)
    assert refused.value.message == f"invalid command-line argument for server process: {word}"
    assert refused.value.sqlstate == "42601"


@pytest.mark.parametrize(
    "value, message",
    [
        (b"-c a", "-c a requires a value"),
        (b"--a", "--a requires a value"),
        (b"-c -c", "-c -c requires a value"),
        (b"-c=", 'unrecognized configuration parameter ""'),
        (b"--=x", 'unrecognized configuration parameter ""'),
        (b"-c =x", 'unrecognized configuration parameter ""'),
    ],
)
def test_an_assignment_needs_a_name_and_a_value(value: bytes, message: str) -> None:
    with pytest.raises(errors.InvalidStartupOption) as refused:
        parse_options(value)
    assert refused.value.message == message


def test_thousands_of_options_are_read_in_one_pass() -> None:
    assert len(parse_options(b"-c a=b " * 1400)) == 1400
    assert len(parse_options(b"-" + b"e" * 9900)) == 9900
