"""The startup packet's ``options``: command-line switches that become settings.

Splitting follows PostgreSQL's pg_split_opts, the switches its process_postgres_switches (postgres.c, getopt string
``B:bC:c:D:d:EeFf:h:ijk:lN:nOPp:r:S:sTt:v:W:-:``). What a switch sets is returned, in order; whether this user may set
it to that value is the server's to judge. One pass over at most 10,000 bytes: every step takes at least one byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from trunkline import errors

Setting: TypeAlias = tuple[bytes, bytes]

_SPACE: Final = frozenset(b" \t\n\v\f\r")
_BACKSLASH: Final = ord("\\")
_leading_number = re.compile(rb"\s*\+?([0-9]{1,9})").match


def parse_options(value: bytes) -> list[Setting]:
    """The settings that ``value`` asks for, as (name, value), in the order in which they take effect."""
    settings: list[Setting] = []
    words = iter(split_options(value))
    for word in words:
        if word == b"--":  # the end of switches for getopt; anything behind it is one argument too many
            _refuse_rest(words)
            break
        if len(word) < 2 or not word.startswith(b"-"):
            raise _invalid(word)
        settings += _parse_word(word, words)
    return settings


def split_options(value: bytes) -> list[bytes]:
    """Words parted by white space, in which a backslash takes the next byte as it is (pg_split_opts)."""
    words: list[bytes] = []
    word = bytearray()
    started = escaped = False
    for byte in value:
        if escaped:
            word.append(byte)
            escaped = False
        elif byte == _BACKSLASH:
            started = escaped = True
        elif byte not in _SPACE:
            word.append(byte)
            started = True
        elif started:
            words.append(bytes(word))
            word.clear()
            started = False
    return [*words, bytes(word)] if started else words


def _parse_word(word: bytes, rest: Iterator[bytes]) -> Iterator[Setting]:
    """One word of switches: flags may stand together, and the first that takes an argument takes what is left."""
    for index in range(1, len(word)):
        switch = word[index : index + 1]
        if switch in _FLAGS:
            yield from _FLAGS[switch]
        elif switch in _ARGUMENTS:
            attached = word[index + 1 :]
            argument = attached or next(rest, None)
            if argument is None:
                raise _invalid(word)
            yield from _ARGUMENTS[switch](word if attached else argument, argument)
            return
        else:
            raise _invalid(word)


def _refuse_rest(words: Iterator[bytes]) -> None:
    for word in words:
        raise _invalid(word)


def _invalid(word: bytes) -> errors.InvalidStartupOption:
    return errors.InvalidStartupOption(
        f"invalid command-line argument for server process: {_text(word)}",
        hint='Try "postgres --help" for more information.',
    )


def _text(word: bytes) -> str:
    return word.decode(errors="replace")


# --- switches that take an argument -------------------------------------------------------------------------------

# Takes the word that an error would name, which is the last one read, and the argument.
_Reader: TypeAlias = Callable[[bytes, bytes], list[Setting]]


def _assignment(spelling: str) -> _Reader:
    """``-c name=value`` and ``--name=value``; dashes in the name stand for underscores (ParseLongOption)."""

    def read(word: bytes, argument: bytes) -> list[Setting]:
        name, equals, value = argument.partition(b"=")
        if not equals:
            raise errors.InvalidStartupOption(f"{spelling}{_text(argument)} requires a value")
        if not name:
            raise errors.InvalidStartupOption('unrecognized configuration parameter ""')
        return [(name.replace(b"-", b"_"), value)]

    return read


def _named(name: bytes) -> _Reader:
    return lambda word, argument: [(name, argument)]


def _ignored(word: bytes, argument: bytes) -> list[Setting]:
    return []


def _debug_level(word: bytes, argument: bytes) -> list[Setting]:
    """``-d n`` as PostgreSQL's set_debug_options; the number is read as C's atoi does."""
    digits = _leading_number(argument)
    level = int(digits[1]) if digits else 0
    settings = [(b"log_min_messages", b"debug%d" % level if level else b"notice")]
    return settings + [setting for least, setting in _DEBUG_SETTINGS if level >= least]


def _first_letter(table: dict[bytes, bytes], setting: bytes, letters: int = 1) -> _Reader:
    def read(word: bytes, argument: bytes) -> list[Setting]:
        name = table.get(argument[:letters]) or table.get(argument[:1])
        if name is None:
            raise _invalid(word)
        return [(name, setting)]

    return read


_DEBUG_SETTINGS: Final[tuple[tuple[int, Setting], ...]] = (
    (2, (b"log_statement", b"all")),
    (3, (b"debug_print_parse", b"true")),
    (4, (b"debug_print_plan", b"true")),
    (5, (b"debug_print_rewritten", b"true")),
)

_PLANS: Final = {
    b"s": b"enable_seqscan",
    b"i": b"enable_indexscan",
    b"o": b"enable_indexonlyscan",
    b"b": b"enable_bitmapscan",
    b"t": b"enable_tidscan",
    b"n": b"enable_nestloop",
    b"m": b"enable_mergejoin",
    b"h": b"enable_hashjoin",
}

_STATISTICS: Final = {b"pa": b"log_parser_stats", b"pl": b"log_planner_stats", b"e": b"log_executor_stats"}

_ARGUMENTS: Final[dict[bytes, _Reader]] = {
    b"-": _assignment("--"),
    b"c": _assignment("-c "),
    b"B": _named(b"shared_buffers"),
    b"d": _debug_level,
    b"f": _first_letter(_PLANS, b"false"),
    b"h": _named(b"listen_addresses"),
    b"k": _named(b"unix_socket_directories"),
    b"N": _named(b"max_connections"),
    b"p": _named(b"port"),
    b"S": _named(b"work_mem"),
    b"t": _first_letter(_STATISTICS, b"true", letters=2),
    b"W": _named(b"post_auth_delay"),
    # Heeded only on a real command line; from a client PostgreSQL takes them and does nothing.
    b"C": _ignored,
    b"D": _ignored,
    b"r": _ignored,
    b"v": _ignored,
}

# --- switches that take none --------------------------------------------------------------------------------------

_FLAGS: Final[dict[bytes, list[Setting]]] = {
    b"e": [(b"datestyle", b"euro")],
    b"F": [(b"fsync", b"false")],
    b"i": [(b"listen_addresses", b"*")],
    b"l": [(b"ssl", b"true")],
    b"O": [(b"allow_system_table_mods", b"true")],
    b"P": [(b"ignore_system_indexes", b"true")],
    b"s": [(b"log_statement_stats", b"true")],
    b"b": [],
    b"E": [],
    b"j": [],
    b"n": [],
    b"T": [],
}
