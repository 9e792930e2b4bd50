"""A read that a replica has failed before anything of its answer was given is asked again elsewhere, once."""

from __future__ import annotations

import pytest

from tests.unit.proxy.test_reads import POSITION, READ, WRITE, Stage, stage
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, bind, describe, error, execute, parse, query, rows
from tests.unit.relay import close as close_statement
from trunkline.protocol.messages import command_complete, message

DESCRIBED = message(b"T", b"\0\1c\0" + bytes(18))
ROW = message(b"D", b"\0\1\0\0\0\0011")
PARSED, BOUND = message(b"1", b""), message(b"2", b"")
OTHER = b"SELECT id FROM t AS other"
CONFLICT = error("40001", "canceling statement due to conflict with recovery")
SERIALIZABLE = message(b"E", b"SERROR\0VERROR\0C0A000\0Mno\0RGetSerializableTransactionSnapshot\0\0")
OUTDATED = message(b"E", b"SERROR\0VERROR\0C0A000\0Mno\0RRevalidateCachedQuery\0\0")
BATCH = bind(b"") + execute() + SYNC


def repeated(on: Stage) -> int:
    return on.made.pools.pool("app/replica1", "u").repeated


async def fail(on: Stage, *messages: bytes, lost: bool = False) -> None:
    """The replica says this, and is perhaps gone then."""
    on.replica.frames()
    on.replica.send(*messages)
    if lost:
        on.replica.close()
    await on.made.settle()


@pytest.mark.parametrize("code", ["57P01", "57P02", "57P03", "57P04", "40001"])
async def test_a_replica_that_ends_the_connection_has_its_read_asked_of_the_primary(code: str) -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, error(code, "bye", "FATAL"), lost=True)
        assert on.primary.frames() == [("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"1"), READY)
        assert (on.client.kinds(), repeated(on)) == ("TDCZ", 1)


@pytest.mark.parametrize("words", [b"", message(b"N", b"SWARNING\0VWARNING\0C57P02\0Mcrash\0\0")])
async def test_so_has_one_that_is_gone_without_a_word_or_with_a_warning(words: bytes) -> None:
    async with stage() as on:
        on.say(parse(b"", READ) + BATCH)
        await fail(on, words, lost=True)
        assert on.primary.kinds() == "PBES"
        on.answer(on.primary, PARSED, BOUND, ROW, command_complete("SELECT 1"), READY)
        assert on.client.kinds() == "12DCZ"


async def test_a_warning_behind_the_last_answer_is_nothing_of_the_next() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, rows(b"1"), READY, message(b"N", b"SWARNING\0VWARNING\0C57P01\0Mbye\0\0"))
        on.client.frames()
        on.say(query(READ))
        assert on.replica.kinds() == "Q"
        await fail(on, b"", lost=True)
        assert on.primary.frames() == [("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"1"), READY)
        assert on.client.kinds() == "TDCZ"


async def test_a_conflict_with_recovery_is_not_seen_and_the_server_goes_on() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, DESCRIBED, CONFLICT, READY)
        assert on.primary.frames() == [("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"1"), READY)
        assert on.client.kinds() == "TDCZ"
        on.say(query(READ))
        assert on.replica.kinds() == "Q"


@pytest.mark.parametrize("code", ["42601", "22012", "57014", "23505"])
async def test_any_other_error_is_told(code: str) -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, DESCRIBED, error(code), READY)
        assert (on.client.kinds(), on.primary.kinds(), repeated(on)) == ("TEZ", "", 0)


async def test_a_plan_that_is_out_of_date_is_told() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, OUTDATED, READY)
        assert (on.client.kinds(), repeated(on)) == ("EZ", 0)


async def test_with_a_row_given_the_failure_is_told() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, DESCRIBED, ROW)
        await fail(on, CONFLICT, READY)
        assert (on.client.kinds(), on.primary.kinds(), repeated(on)) == ("TDEZ", "", 0)
        on.say(query(READ))
        await fail(on, DESCRIBED, ROW)
        await fail(on, lost=True)
        assert b"C08006" in dict(on.client.frames())["E"]


async def test_what_a_standby_refuses_for_writing_is_a_write_whatever_the_catalog_says() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, error("25006"), READY)
        assert on.primary.frames() == [("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"1"), READY)
        assert on.primary.frames() == [("Q", POSITION + b"\0")]


@pytest.mark.parametrize("code", ["0A000", "55000"])
async def test_what_a_standby_does_not_do_is_the_primarys_from_then_on(code: str) -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, error(code), READY)
        assert on.primary.frames() == [("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"1"), READY)
        await on.made.settle()
        on.say(query(OTHER))
        assert (on.primary.frames(), on.replica.kinds()) == ([], "Q")
        on.answer(on.replica, rows(b"2"), READY)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
        assert repeated(on) == 1


async def test_a_batch_that_a_standby_does_not_do_has_all_its_statements_remembered() -> None:
    async with stage() as on:
        other = parse(b"", OTHER) + bind(b"") + execute()
        on.say(other + parse(b"", READ) + BATCH)
        await fail(on, PARSED, BOUND, error("0A000"), READY)
        assert on.primary.kinds() == "PBEPBES"
        on.answer(on.primary, *(PARSED, BOUND, command_complete("SELECT 0")) * 2, READY)
        assert (on.client.kinds(), on.primary.kinds()) == ("12C12CZ", "")
        for sql in (OTHER, READ):
            on.say(query(sql))
            assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
            on.answer(on.primary, rows(b"1"), READY)


async def test_a_serializable_client_is_remembered_and_not_its_statements() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, SERIALIZABLE, READY)
        assert on.primary.kinds() == "Q"
        on.answer(on.primary, rows(b"1"), READY)
        for sql in (READ, OTHER):
            on.say(query(sql))
            assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")
            on.answer(on.primary, rows(b"1"), READY)
        assert repeated(on) == 1


async def test_a_second_failure_is_told() -> None:
    async with stage() as on:
        on.say(query(READ))
        await fail(on, error("57P01", "bye", "FATAL"), lost=True)
        assert on.primary.kinds() == "Q"
        on.primary.close()
        await on.made.settle()
        (said, ready) = on.client.frames()
        assert (said[0], b"C08006" in said[1], ready[0]) == ("E", True, "Z")


async def test_behind_an_answered_read_the_rest_is_repeated_in_order() -> None:
    async with stage() as on:
        on.say(query(READ), query(OTHER), query(READ))
        assert on.replica.kinds() == "QQQ"
        await fail(on, rows(b"1"), READY, DESCRIBED, CONFLICT, READY)
        assert on.client.kinds() == "TDCZ"
        assert on.primary.frames() == [("Q", OTHER + b"\0"), ("Q", READ + b"\0")]
        on.answer(on.primary, rows(b"2"), READY, rows(b"1"), READY)
        assert (on.client.kinds(), repeated(on)) == ("TDCZTDCZ", 2)


async def test_a_write_that_waits_behind_a_read_comes_behind_its_repetition() -> None:
    async with stage() as on:
        on.say(query(READ), query(WRITE))
        await fail(on, lost=True)
        assert on.primary.frames() == [("Q", READ + b"\0"), ("Q", WRITE + b"\0")]
        on.answer(on.primary, rows(b"1"), READY, command_complete("INSERT 0 1"), READY)
        assert on.client.kinds() == "TDCZCZ"


async def test_a_name_given_in_the_batch_is_given_again() -> None:
    async with stage() as on:
        on.say(parse(b"x", READ) + bind(b"x") + execute() + SYNC)
        await fail(on, PARSED, BOUND, CONFLICT, READY)
        sent = on.primary.frames()
        assert "".join(kind for kind, _ in sent) == "PBES"
        assert sent[0][1].split(b"\0")[0] == sent[1][1].split(b"\0")[1] != b""
        on.answer(on.primary, PARSED, BOUND, ROW, command_complete("SELECT 1"), READY)
        assert on.client.kinds() == "12DCZ"
        on.say(bind(b"x") + execute() + SYNC)
        assert on.replica.kinds() == "BES"


async def test_so_is_one_whose_definition_is_known_to_the_server_and_was_answered_at_once() -> None:
    async with stage() as on:
        on.say(parse(b"x", READ) + bind(b"x") + execute() + SYNC)
        on.answer(on.replica, PARSED, BOUND, ROW, command_complete("SELECT 1"), READY)
        on.say(close_statement(b"x") + parse(b"y", READ) + bind(b"y") + execute() + SYNC)
        assert on.client.kinds() == "12DCZ" + "31"
        await fail(on, lost=True)
        assert on.primary.kinds() == "PBES"
        on.answer(on.primary, PARSED, BOUND, ROW, command_complete("SELECT 1"), READY)
        assert on.client.kinds() == "2DCZ"


async def test_a_name_from_before_the_batch_stays() -> None:
    async with stage() as on:
        on.say(parse(b"x", READ) + bind(b"x") + execute() + SYNC)
        on.answer(on.replica, PARSED, BOUND, ROW, command_complete("SELECT 1"), READY)
        on.say(bind(b"x") + describe(b"", b"P") + execute() + SYNC)
        await fail(on, BOUND, DESCRIBED, CONFLICT, READY)
        assert on.primary.kinds() == "PBDES"
        on.answer(on.primary, PARSED, BOUND, DESCRIBED, ROW, command_complete("SELECT 1"), READY)
        assert on.client.kinds() == "12DCZ" + "2TDCZ"


async def test_a_cancel_that_comes_in_between_stops_the_repetition() -> None:
    async with stage() as on:
        link = on.made.links[0]
        on.say(query(READ))
        on.replica.send(CONFLICT, READY)
        on.made.turn()
        heard = on.made.clients.cancels.request(link.session.pid, link.session.key)
        assert heard is not None
        await on.made.settle()
        assert not heard.done()
        assert on.primary.kinds() == "Q"
        assert b"".join(far.bytes() for far in on.made.opener.dialed)


async def test_a_cancel_for_the_replica_that_is_lost_stops_the_repetition() -> None:
    async with stage() as on:
        link = on.made.links[0]
        on.say(query(READ))
        on.made.clients.cancels.request(link.session.pid, link.session.key)
        await fail(on, lost=True)
        assert on.primary.kinds() == "Q"
        assert len(on.made.opener.dialed) == 2


async def test_the_client_that_leaves_in_between_is_gone() -> None:
    async with stage() as on:
        on.say(query(READ))
        on.replica.send(CONFLICT, READY)
        on.made.turn()
        on.client.close()
        await on.made.settle()
        assert on.primary.kinds() == ""
        assert not on.made.links[0].opened


async def test_in_the_block_of_the_primary_nothing_is_repeated() -> None:
    async with stage() as on:
        on.say(query(b"BEGIN"), query(READ))
        on.answer(on.primary, command_complete("BEGIN"), IN_TRANSACTION, CONFLICT, READY)
        assert (on.client.kinds(), on.replica.kinds()) == ("CZEZ", "")


async def test_what_is_longer_than_is_kept_is_told() -> None:
    async with stage() as on:
        long = READ + b" " * 10_000
        on.say(*(query(long) for _ in range(5)))
        on.made.turn()
        on.say(*(query(long) for _ in range(5)))
        await fail(on, lost=True)
        assert on.client.kinds().count("E") >= 1
        assert repeated(on) == 0
