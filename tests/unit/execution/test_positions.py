"""What a client has written, as text and back."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidPosition
from trunkline.execution.positions import (
    PREPARED,
    UNKNOWN,
    is_set,
    is_shown,
    nothing_set,
    positions_of,
    raised,
    shown,
    token_of,
    token_set,
    without_token,
)

WHOLE, SHARDS = ("",), ("s0", "s1")


@pytest.mark.parametrize(
    ("positions", "shards", "token"),
    [
        ({}, WHOLE, ""),
        ({0: 0x16B3748}, WHOLE, "0/16B3748"),
        ({0: 0x2_0000000A}, WHOLE, "2/A"),
        ({0: UNKNOWN}, WHOLE, "?"),
        ({}, SHARDS, ""),
        ({1: 0x10}, SHARDS, "s1:0/10"),
        ({1: UNKNOWN, 0: 0x10}, SHARDS, "s0:0/10,s1:?"),
    ],
)
def test_a_token_says_what_was_written_and_is_read_again(
    positions: dict[int, int], shards: tuple[str, ...], token: str
) -> None:
    assert token_of(positions, shards) == token
    assert positions_of(token, shards) == positions


def test_a_shard_that_there_is_no_more_is_not_told() -> None:
    assert token_of({0: 16, 5: 16}, SHARDS) == "s0:0/10"


@pytest.mark.parametrize("token", ["0", "0/", "0/x", "/1", "s0:0/1", "0/1,0/2", "0/123456789", "-1/2", "0/1;", "??"])
def test_what_is_no_token_of_a_database_without_shards_is_refused(token: str) -> None:
    with pytest.raises(InvalidPosition) as refused:
        positions_of(token, WHOLE)
    assert (refused.value.sqlstate, bool(refused.value.hint)) == ("22023", True)


@pytest.mark.parametrize("token", ["0/1", "?", "s2:0/1", "s0", "s0:", "s0:0/1,", "s0=0/1"])
def test_what_is_no_token_of_a_database_with_shards_is_refused(token: str) -> None:
    with pytest.raises(InvalidPosition):
        positions_of(token, SHARDS)


def test_what_is_taken_is_never_lowered() -> None:
    assert raised({0: 5, 1: 9, 2: UNKNOWN}, {0: 7, 1: 3, 2: 4, 3: 1}) == {0: 7, 1: 9, 2: UNKNOWN, 3: 1}
    assert raised(None, {0: UNKNOWN}) == {0: UNKNOWN}
    assert raised({0: 5}, {0: UNKNOWN}) == {0: UNKNOWN}


@pytest.mark.parametrize("sql", [b"SHOW trunkline.lsn", b" show  TRUNKLINE.lsn ; ", PREPARED])
def test_what_asks_for_the_token_is_known(sql: bytes) -> None:
    assert is_shown(sql)
    assert not is_set(sql)


@pytest.mark.parametrize("sql", [b"SHOW trunkline.lsn2", b"SHOW trunkline.lsn; SELECT 1", shown("0/1"), b"SHOW lsn"])
def test_what_does_not_is_not(sql: bytes) -> None:
    assert not is_shown(sql)


@pytest.mark.parametrize(
    ("sql", "token", "instead"),
    [
        (b"SET trunkline.min_lsn = '0/1'", "0/1", b"SET trunkline.min_lsn TO DEFAULT"),
        (b"set session trunkline.MIN_LSN to 's0:?' ;", "s0:?", b"SET trunkline.min_lsn TO DEFAULT"),
        (b"SET LOCAL trunkline.min_lsn='?'", "?", b"SET LOCAL trunkline.min_lsn TO DEFAULT"),
    ],
)
def test_what_takes_a_token_is_known_and_has_a_server_set_nothing(sql: bytes, token: str, instead: bytes) -> None:
    assert is_set(sql)
    assert (token_set(sql), nothing_set(sql)) == (token, instead)
    assert is_set(instead)
    assert token_set(instead) is None


@pytest.mark.parametrize("sql", [b"RESET trunkline.min_lsn", b"SET trunkline.min_lsn='0/1'; SELECT 1", b"SET x = '1'"])
def test_what_takes_none_is_not(sql: bytes) -> None:
    assert not is_set(sql)
    assert token_set(sql) is None


def test_a_startup_packet_has_its_token_taken_out() -> None:
    settings = ((b"work_mem", b"1MB"), (b"trunkline.Min_lsn", b"0/1"))
    assert without_token(settings) == (((b"work_mem", b"1MB"),), "0/1")
    assert without_token(settings[:1]) == (settings[:1], "")
