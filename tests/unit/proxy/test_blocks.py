"""A block begins where its first statement says, begins anew elsewhere with what was said in it, or fails."""

from __future__ import annotations

from tests.unit.proxy.test_routed import EVEN, FAILED, ODD, stage
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, error, execute, parse, query, rows
from trunkline.protocol.messages import BIND_COMPLETE, PARSE_COMPLETE, command_complete, message


async def test_a_block_for_which_there_was_no_server_yet_leaves_none_behind() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(b"COMMIT"), query(b"START TRANSACTION"), query(b"ROLLBACK"))
        assert on.client.kinds() == "CZCZCZCZ"
        assert (on.even.frames(), on.odd.frames()) == ([], [])


async def test_a_sync_in_a_block_that_no_server_knows_of_says_so() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), SYNC)
        assert [body for kind, body in on.client.frames() if kind == "Z"] == [b"T", b"T"]


async def test_a_block_whose_server_is_lost_at_its_begin_is_begun_by_another() -> None:
    async with stage() as on:
        on.say(query(EVEN))
        on.answer(on.even, rows(b"eight"), READY)
        on.say(query(b"BEGIN"), query(EVEN))
        assert on.even.frames()[-1] == ("Q", b"BEGIN\0")
        on.even.close()
        on.made.turn()
        other = on.serve(0)
        await on.made.settle()
        assert other.frames() == [("Q", b"BEGIN\0")]
        on.answer(other, command_complete("BEGIN"), IN_TRANSACTION)
        assert other.frames() == [("Q", EVEN + b"\0")]


async def test_a_block_begins_anew_elsewhere_with_what_was_said_in_it_only() -> None:
    async with stage() as on:
        on.say(query(b"SAVEPOINT a"), query(b"BEGIN"), query(b"SET LOCAL work_mem = '1MB'"))
        on.answer(on.even, error("25P01"), READY)
        on.answer(on.even, command_complete("BEGIN"), IN_TRANSACTION, command_complete("SET"), IN_TRANSACTION)
        assert on.odd.frames() == []
        on.say(query(ODD))
        assert on.odd.frames() == [("Q", b"BEGIN; SET LOCAL work_mem = '1MB'\0")]


async def test_a_block_with_a_named_portal_stays_where_that_is() -> None:
    async with stage() as on:
        on.say(parse(b"", b"BEGIN"), message(b"B", b"portal\0\0" + bytes(6)), execute(), SYNC)
        on.answer(on.even, PARSE_COMPLETE, BIND_COMPLETE, command_complete("BEGIN"), IN_TRANSACTION)
        on.even.frames()
        on.say(query(ODD))
        assert (on.even.frames(), on.odd.frames()) == ([("Q", b"trunkline has refused a statement\0")], [])


async def test_a_block_that_cannot_begin_anew_has_failed_and_its_client_stays() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(b"SAVEPOINT a"), query(b"ROLLBACK TO b"), query(b"ROLLBACK TO a"), query(ODD))
        on.answer(on.even, command_complete("BEGIN"), IN_TRANSACTION)
        on.answer(on.even, command_complete("SAVEPOINT"), IN_TRANSACTION, error("3B001"), FAILED)
        on.answer(on.even, command_complete("ROLLBACK"), IN_TRANSACTION)
        assert on.odd.frames() == [("Q", b"BEGIN; SAVEPOINT a; ROLLBACK TO b; ROLLBACK TO a\0")]
        on.client.frames()
        on.answer(on.odd, error("3B001", "savepoint does not exist"), FAILED)
        [said, ready] = on.client.frames()
        assert b"C3B001\0" in said[1]
        assert ready == ("Z", b"E")
        on.say(query(b"ROLLBACK"), query(EVEN))
        assert on.client.kinds() == "CZ"
        await on.made.settle()
        assert [far.frames() for _, far in on.made.opener.opened if far is not on.odd][-1] == [("Q", EVEN + b"\0")]
