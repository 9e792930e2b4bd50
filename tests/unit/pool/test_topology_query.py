"""What is read from the answer to a health check; the answers are those of real servers, PostgreSQL 18 and 15."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pool.test_probe import row
from trunkline.errors import ServerLost
from trunkline.pool.topology import Observation, Role
from trunkline.pool.topology_query import position, read, shown

SYSTEM = 7710662943918628003
STARTED = 1795278617899847
COMMON = (b"%d" % SYSTEM, b"%d" % STARTED)


def primary(file: bytes = b"00000002000000000000000A") -> bytes:
    return row(b"f", *COMMON, file, b"1", b"0", None, None, b"A/4003998", None, None, None)


def replica(pid: bytes | None, streamed: bytes | None, control: bytes = b"1", recovery: bytes = b"1") -> bytes:
    return row(b"t", *COMMON, None, control, recovery, pid, streamed, None, b"0/4003998", b"0/4003000", b"4.5")


def test_a_primary_says_its_timeline_in_the_name_of_its_wal_file() -> None:
    seen = read([primary()], 3.0)
    assert seen == Observation(3.0, False, 2, SYSTEM, STARTED, written=0xA_0400_3998)
    assert (seen.role, seen.position) == (Role.PRIMARY, 0xA_0400_3998)
    assert read([primary(b"0000001F000000000000000A")], 3.0).timeline == 31


def test_a_replica_follows_the_newest_timeline_that_any_of_its_words_has() -> None:
    seen = read([replica(b"4711", b"3")], 3.0)
    assert (seen.role, seen.timeline, seen.receiver_is_hidden) == (Role.REPLICA, 3, False)
    assert (seen.received, seen.replayed, seen.position) == (0x400_3998, 0x400_3000, 0x400_3000)
    assert seen.replay_age_s == 4.5
    assert read([replica(None, None, b"2", b"4")], 3.0).timeline == 4


def test_a_receiver_whose_timeline_is_not_shown_is_hidden() -> None:
    seen = read([replica(b"4711", None)], 3.0)
    assert (seen.timeline, seen.receiver_is_hidden) == (1, True)
    assert not read([replica(None, None)], 3.0).receiver_is_hidden


@pytest.mark.parametrize(
    "bodies",
    [
        [],
        [primary(), primary()],
        [row(b"f")],
        [primary(b"nonsense")],
        [row(b"f", None, None, *[None] * 9)],
        [replica(b"1", b"\xff")],
    ],
    ids=["no row", "two rows", "few columns", "a file name that is none", "nothing", "bytes"],
)
def test_what_no_postgresql_says_is_no_answer(bodies: list[bytes]) -> None:
    with pytest.raises(ServerLost):
        read(bodies, 3.0)


@given(st.integers(0, 2**64 - 1))
def test_positions_are_read_as_they_are_written(number: int) -> None:
    assert position(shown(number)) == number


def test_positions_have_postgresql_s_form() -> None:
    assert (shown(0x16_B374_D848), shown(None), position(None)) == ("16/B374D848", "", None)
