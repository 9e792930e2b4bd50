"""A block that only reads goes to a replica, begins anew at the primary where it must, or fails there."""

from __future__ import annotations

import pytest

from tests.unit.proxy.test_reads import READ, WRITE, located, stage, two_shards, wrote
from tests.unit.proxy.test_routed import EVEN, ODD
from tests.unit.relay import IN_TRANSACTION, READY, SYNC, bind, error, execute, parse, query, rows
from trunkline.protocol.messages import command_complete, ready_for_query

BEGIN = b"BEGIN READ ONLY"
LOCKING = b"SELECT setseed(0.5)"
BEGUN = command_complete("BEGIN") + IN_TRANSACTION
IN_FAILED = ready_for_query(b"E")
ROLLED_BACK = command_complete("ROLLBACK") + READY


async def test_a_block_that_only_reads_is_the_replicas_to_its_end() -> None:
    async with stage() as on:
        on.say(query(BEGIN))
        assert (on.primary.kinds(), on.replica.frames()) == ("", [("Q", BEGIN + b"\0")])
        on.answer(on.replica, BEGUN)
        on.say(query(READ))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")
        on.answer(on.replica, rows(b"1"), IN_TRANSACTION)
        on.say(query(b"COMMIT"), query(WRITE))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")
        on.answer(on.replica, command_complete("COMMIT"), READY)
        assert on.primary.frames() == [("Q", WRITE + b"\0")]


@pytest.mark.parametrize("begin", [b"BEGIN", b"BEGIN READ WRITE", b"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"])
async def test_any_other_is_the_primarys(begin: bytes) -> None:
    async with stage() as on:
        on.say(query(begin))
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_a_session_that_only_reads_need_not_say_so_with_each_block() -> None:
    async with stage() as on:
        link = on.made.links[0]
        assert link.params is not None
        link.params = link.params.with_reported(b"default_transaction_read_only", b"on")
        for server, _ in on.made.opener.opened:
            server.params = link.params
        on.say(query(b"BEGIN"))
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "Q")


async def test_one_whose_client_has_written_waits_for_its_write_or_is_the_primarys() -> None:
    async with stage() as on:
        await wrote(on, located(200))
        on.say(query(BEGIN))
        await on.made.settle()
        assert (on.primary.kinds(), on.replica.kinds()) == ("Q", "")


async def test_what_needs_the_primary_first_begins_the_block_there() -> None:
    async with stage() as on:
        on.say(query(BEGIN), query(b"SET LOCAL work_mem = '1MB'"), query(LOCKING))
        on.answer(on.replica, BEGUN, command_complete("SET"), IN_TRANSACTION)
        assert on.replica.frames()[-1] == ("Q", b"ROLLBACK\0")
        assert on.primary.frames() == [("Q", BEGIN + b"; SET LOCAL work_mem = '1MB'\0")]
        on.answer(on.primary, command_complete("BEGIN"), command_complete("SET"), IN_TRANSACTION)
        assert on.primary.frames() == [("Q", LOCKING + b"\0")]
        assert on.client.kinds()[:4] == "CZCZ"


async def test_and_fails_behind_what_was_read() -> None:
    async with stage() as on:
        on.say(query(BEGIN), query(READ), query(LOCKING))
        on.answer(on.replica, BEGUN, rows(b"1"), IN_TRANSACTION)
        assert on.replica.frames()[-1][1].startswith(b"trunkline has refused")
        on.answer(on.replica, error("42601"))
        said = on.client.frames()[-1]
        assert (said[0], b"which is volatile" in said[1], b"C0A000" in said[1]) == ("E", True, True)
        assert on.primary.kinds() == ""


async def test_in_a_batch_with_its_begin_it_is_the_primarys_at_once() -> None:
    async with stage() as on:
        batch = parse(b"", BEGIN) + bind(b"") + execute()
        on.say(batch + parse(b"", READ) + bind(b"") + execute() + parse(b"", LOCKING) + bind(b"") + execute() + SYNC)
        assert (on.primary.kinds(), on.replica.kinds()) == ("PBEPBEPBES", "")
        on.primary.close()


async def test_a_batch_with_its_begin_that_only_reads_is_the_replicas() -> None:
    async with stage() as on:
        on.say(parse(b"", BEGIN) + bind(b"") + execute() + parse(b"", READ) + bind(b"") + execute() + SYNC)
        assert (on.primary.kinds(), on.replica.kinds()) == ("", "PBEPBES")


async def test_a_write_in_it_is_refused_by_the_replica_itself() -> None:
    async with stage() as on:
        on.say(query(BEGIN), query(WRITE))
        on.answer(on.replica, BEGUN)
        assert (on.primary.kinds(), on.replica.kinds()[-1]) == ("", "Q")
        on.answer(on.replica, error("25006"))
        assert on.client.kinds() == "CZE"


async def test_nothing_of_a_block_is_asked_again() -> None:
    async with stage() as on:
        on.say(query(BEGIN), query(READ))
        on.answer(on.replica, BEGUN)
        on.replica.close()
        await on.made.settle()
        assert on.primary.kinds() == ""
        assert [kind for kind, _ in on.client.frames()] == ["C", "Z", "E", "Z"]


async def test_a_client_that_is_serializable_by_default_is_remembered() -> None:
    async with stage() as on:
        on.say(query(BEGIN), query(READ))
        refused = error("0A000")[:-1] + b"RGetSerializableTransactionSnapshot\0\0"
        on.answer(on.replica, BEGUN, refused[:1] + (len(refused) - 1).to_bytes(4, "big") + refused[5:], IN_FAILED)
        on.say(query(b"ROLLBACK"))
        on.answer(on.replica, ROLLED_BACK)
        assert on.client.kinds() == "CZEZCZ"
        on.say(query(BEGIN))
        assert on.primary.kinds() == "Q"


async def test_with_shards_the_first_statement_says_whose_replica() -> None:
    async with two_shards() as on:
        on.say(query(BEGIN), query(ODD))
        assert on.heard() == {"shop/s1/replica1": "Q"}
        on.far["shop/s1/replica1"].send(BEGUN)
        on.made.turn()
        assert on.heard() == {"shop/s1/replica1": "Q"}
        on.far["shop/s1/replica1"].send(rows(b"1"), IN_TRANSACTION)
        on.made.turn()
        on.say(query(EVEN))
        assert on.heard() == {"shop/s1/replica1": "Q"}
        on.far["shop/s1/replica1"].send(error("42601"))
        on.made.turn()
        assert on.client.kinds() == "CZTDCZE"
