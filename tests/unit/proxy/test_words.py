"""SHOW trunkline.lsn and SET trunkline.min_lsn: what a client has written, for others to read behind."""

from __future__ import annotations

import pytest

from tests.unit.proxy.test_reads import READ, WRITE, Stage, located, stage, two_shards, wrote
from tests.unit.proxy.test_routed import EVEN
from tests.unit.relay import READY, SYNC, bind, describe, error, execute, parse, query, rows
from trunkline.protocol.messages import command_complete

SHOW = b"SHOW trunkline.lsn"
SET = b"SET trunkline.min_lsn = '%b'"
NOTHING = b"SET trunkline.min_lsn TO DEFAULT\0"
DONE = command_complete("SET")


def asked(token: bytes) -> bytes:
    return b"SELECT '%b'::pg_catalog.text AS \"trunkline.lsn\"\0" % token


async def take(on: Stage, token: bytes) -> None:
    on.say(query(SET % token))
    assert on.primary.frames() == [("Q", NOTHING)]
    on.answer(on.primary, DONE, READY)
    assert on.client.kinds() == "CZ"


async def test_who_has_written_nothing_has_an_empty_token() -> None:
    async with stage() as on:
        on.say(query(SHOW))
        assert on.primary.frames() == [("Q", asked(b""))]
        on.answer(on.primary, rows(b""), READY)
        assert (on.client.kinds(), on.primary.kinds()) == ("TDCZ", "")


async def test_the_token_is_the_position_behind_the_last_write() -> None:
    async with stage() as on:
        await wrote(on, located(90))
        on.say(query(SHOW))
        assert on.primary.frames() == [("Q", asked(b"0/5A"))]


async def test_what_is_asked_right_behind_a_write_waits_for_its_position() -> None:
    async with stage() as on:
        on.say(query(WRITE), query(SHOW))
        assert on.primary.kinds() == "Q"
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        assert on.primary.kinds() == "Q"
        on.answer(on.primary, located(90), READY)
        assert on.primary.frames() == [("Q", asked(b"0/5A"))]


async def test_so_does_a_batch() -> None:
    async with stage() as on:
        on.say(query(WRITE), parse(b"", SHOW) + bind(b"") + execute() + SYNC)
        on.answer(on.primary, command_complete("INSERT 0 1"), READY)
        on.primary.frames()
        on.answer(on.primary, located(90), READY)
        (parsed, again, bound, *_) = on.primary.frames()
        assert b"current_setting('trunkline.lsn')" in parsed[1]
        assert again == ("P", b"\0" + asked(b"0/5A") + b"\0\0")
        assert bound[0] == "B"


async def test_a_position_that_is_not_known_is_a_question_mark() -> None:
    async with stage() as on:
        await wrote(on, error("42501"))
        on.say(query(SHOW))
        assert on.primary.frames() == [("Q", asked(b"?"))]


async def test_a_named_statement_answers_anew_each_time_it_is_bound() -> None:
    async with stage() as on:
        on.say(parse(b"x", SHOW) + describe(b"x") + SYNC)
        assert on.primary.kinds() == "PDS"
        on.answer(on.primary, b"1\0\0\0\4", b"t\0\0\0\6\0\0", rows(b"")[:27], READY)
        for position in (90, 91):
            on.primary.frames()
            on.say(query(WRITE))
            on.answer(on.primary, command_complete("INSERT 0 1"), READY)
            on.answer(on.primary, located(position), READY)
            on.primary.frames()
            on.say(bind(b"x") + execute() + SYNC)
            sent = on.primary.frames()
            assert sent[0] == ("P", b"\0" + asked(b"0/%X" % position) + b"\0\0")
            assert [kind for kind, _ in sent] == ["P", "B", "E", "S"]
            assert sent[1][1].startswith(b"\0\0")
            on.answer(on.primary, b"1\0\0\0\4", b"2\0\0\0\4", command_complete("SELECT 1"), READY)
        assert on.client.kinds() == "1tTZ" + "CZ2CZ" * 2


async def test_the_clients_own_unnamed_statement_is_there_again_behind_it() -> None:
    async with stage() as on:
        on.say(parse(b"x", SHOW) + SYNC, parse(b"", WRITE) + bind(b"x") + execute() + bind(b"") + SYNC)
        on.answer(on.primary, b"1\0\0\0\4", READY)
        sent = on.primary.frames()
        assert [kind for kind, _ in sent] == ["P", "S", "P", "P", "B", "E", "P", "B", "S"]
        assert (sent[2][1], sent[6][1]) == (sent[6][1], sent[2][1])


async def test_half_a_bind_is_waited_for() -> None:
    async with stage() as on:
        bound = bind(b"")
        on.say(parse(b"", SHOW) + bound[:8])
        on.say(bound[8:] + execute() + SYNC)
        assert asked(b"") in dict(on.primary.frames())["P"]


async def test_a_token_is_read_behind_and_restores_nothing() -> None:
    async with stage() as on:
        await take(on, b"0/5A")
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")
        on.answer(on.replica, rows(b"1"), READY)
        assert on.client.kinds() == "TDCZ"
        await take(on, b"0/FF")
        on.say(query(READ))
        await on.made.settle()
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_a_token_never_lowers_what_is_read_behind() -> None:
    async with stage() as on:
        for token in (b"0/FF", b"0/1", b""):
            await take(on, token)
        on.say(query(READ))
        await on.made.settle()
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_behind_a_question_mark_the_primary_answers_until_the_next_write() -> None:
    async with stage() as on:
        await take(on, b"?")
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
        on.answer(on.primary, rows(b"1"), READY)
        assert on.client.kinds() == "TDCZ"
        await wrote(on, located(90))
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")


async def test_over_the_extended_protocol_a_token_is_taken_too() -> None:
    async with stage() as on:
        on.say(parse(b"", SET % b"?") + bind(b"") + execute() + SYNC)
        sent = on.primary.frames()
        assert sent[0] == ("P", b"\0" + NOTHING + b"\0\0")
        on.answer(on.primary, b"1\0\0\0\4", b"2\0\0\0\4", DONE, READY)
        assert (on.client.kinds(), on.primary.kinds()) == ("12CZ", "")
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


@pytest.mark.parametrize("sent", [query(SET % b"x"), parse(b"", SET % b"x") + bind(b"") + execute() + SYNC])
async def test_a_token_that_is_none_is_refused(sent: bytes) -> None:
    async with stage() as on:
        on.say(sent)
        kinds = on.primary.kinds()
        on.answer(on.primary, error("26000"), READY)
        (said, ready) = on.client.frames()
        assert (kinds[0] in "QB", b"C22023" in said[1], ready[0]) == (True, True, "Z")


async def test_the_token_of_a_database_with_shards_names_them() -> None:
    async with two_shards() as on:
        on.say(query(SET % b"s1:0/5A,s0:?"))
        assert on.far["shop/s0"].frames() == [("Q", NOTHING)]
        on.far["shop/s0"].send(DONE, READY)
        on.made.turn()
        on.say(query(SHOW))
        assert on.far["shop/s0"].frames() == [("Q", asked(b"s0:?,s1:0/5A"))]
        on.far["shop/s0"].send(rows(b""), READY)
        on.made.turn()
        on.say(query(EVEN))
        assert on.heard() == {"shop/s0": "Q"}
