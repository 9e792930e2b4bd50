"""What comes of an answer before its first row is held back while the request may yet be asked elsewhere."""

from __future__ import annotations

import pytest

from tests.unit.proxy.test_reads import READ, WRITE, stage
from tests.unit.proxy.test_repeats import (
    BOUND,
    CONFLICT,
    DESCRIBED,
    OTHER,
    PARSED,
    ROW,
    fail,
    repeated,
)
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, bind, describe, error, execute, parse, query, rows
from trunkline.protocol.messages import command_complete, message

END = (ROW, command_complete("SELECT 1"), READY)
RUN = bind(b"") + describe(b"", b"P") + execute() + SYNC
PIECES = [(), (PARSED,), (PARSED, BOUND), (PARSED, BOUND, DESCRIBED)]


@pytest.mark.parametrize("before", PIECES)
async def test_a_replica_that_is_lost_behind_it_has_its_read_asked_of_the_primary(before: tuple[bytes, ...]) -> None:
    async with stage() as on:
        on.say(parse(b"", READ) + RUN)
        for piece in before:
            on.answer(on.replica, piece)
        assert on.client.kinds() == ""
        await fail(on, lost=True)
        assert on.primary.kinds() == "PBDES"
        on.answer(on.primary, PARSED, BOUND, DESCRIBED, *END)
        assert (on.client.kinds(), repeated(on)) == ("12TDCZ", 1)


@pytest.mark.parametrize("before", PIECES)
async def test_so_has_one_that_fails_it_by_an_error_of_its_own(before: tuple[bytes, ...]) -> None:
    async with stage() as on:
        on.say(parse(b"", READ) + RUN)
        for piece in before:
            on.answer(on.replica, piece)
        await fail(on, CONFLICT, READY)
        on.answer(on.primary, PARSED, BOUND, DESCRIBED, *END)
        assert (on.client.kinds(), repeated(on)) == ("12TDCZ", 1)
        on.say(query(READ))
        assert on.replica.kinds() == "Q"
        on.answer(on.replica, rows(b"1"), READY)
        assert on.client.kinds() == "TDCZ"


async def test_it_goes_out_in_front_of_what_follows_however_that_is_cut() -> None:
    answer = b"".join((PARSED, BOUND, DESCRIBED, *END))
    for cut in range(1, len(answer)):
        async with stage() as on:
            on.say(parse(b"", READ) + RUN)
            on.answer(on.replica, answer[:cut])
            on.answer(on.replica, answer[cut:])
            assert on.client.bytes() == answer, cut


async def test_an_error_that_is_told_comes_behind_it() -> None:
    async with stage() as on:
        on.say(parse(b"", READ) + RUN)
        on.answer(on.replica, PARSED, BOUND, DESCRIBED)
        await fail(on, error("22012"), READY)
        assert (on.client.kinds(), on.primary.kinds()) == ("12TEZ", "")


async def test_with_the_second_server_lost_too_all_is_told_once() -> None:
    async with stage() as on:
        on.say(parse(b"x", READ) + bind(b"x") + describe(b"", b"P") + execute() + SYNC)
        on.answer(on.replica, PARSED, BOUND)
        await fail(on, lost=True)
        on.answer(on.primary, PARSED, BOUND)
        assert on.client.kinds() == "12"
        on.primary.close()
        await on.made.settle()
        assert on.client.kinds() == "EZ"


async def test_behind_an_answer_only_what_belongs_to_the_next_is_held_back() -> None:
    async with stage() as on:
        on.say(query(READ), query(OTHER))
        on.answer(on.replica, rows(b"1"), READY, DESCRIBED)
        assert on.client.kinds() == "TDCZ"
        await fail(on, lost=True)
        assert on.primary.frames() == [("Q", OTHER + b"\0")]
        on.answer(on.primary, rows(b"2"), READY)
        assert on.client.kinds() == "TDCZ"


async def test_nothing_of_the_primary_is_held_back() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), parse(b"", READ) + RUN)
        on.answer(on.primary, command_complete("BEGIN"), IN_TRANSACTION, PARSED, BOUND, DESCRIBED)
        assert on.client.kinds() == "CZ12T"
        on.answer(on.primary, *END[:2], IN_TRANSACTION)
        on.say(query(b"COMMIT"), query(WRITE))
        on.answer(on.primary, command_complete("COMMIT"), READY)
        assert on.client.kinds() == "DCZCZ"


async def test_columns_that_are_longer_than_is_kept_are_passed() -> None:
    name = b"n" * 63 + b"\0" + bytes(18)
    columns = message(b"T", (790).to_bytes(2, "big") + name * 790)
    assert len(columns) < 65536
    async with stage() as on:
        described = describe(b"", b"P")
        on.say(parse(b"", READ) + bind(b"") + described + described + execute() + SYNC)
        on.answer(on.replica, PARSED, BOUND, columns)
        assert on.client.kinds() == ""
        on.answer(on.replica, columns)
        assert on.client.kinds() == "12TT"


async def test_what_is_held_for_a_client_that_leaves_is_nobodys() -> None:
    async with stage() as on:
        on.say(parse(b"", READ) + RUN)
        on.answer(on.replica, PARSED, BOUND)
        link, other = on.made.client()
        link.begin(on.made.pools.pool("app/replica1", "u"), on.made.opener.params, False, 1 << 30)
        on.client.close()
        await on.made.settle()
        await fail(on, DESCRIBED, *END)
        other.send(query(READ))
        await on.made.settle()
        on.answer(on.replica, rows(b"7"), READY)
        assert other.kinds() == "TDCZ"
