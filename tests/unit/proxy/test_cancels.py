"""Whose query a cancel request stops, when, and what becomes of those that guess."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.unit.relay import IN_TRANSACTION, READY, FarEnd, Relay, bind, execute, parse, query, relay, rows
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import cancel_request, command_complete, message, parse_fields
from trunkline.protocol.params import Params
from trunkline.proxy.cancels import WRONG_KEYS_A_SECOND, Guesses
from trunkline.proxy.client import ClientLink

HERE = "192.0.2.1"


async def running(made: Relay, *said: bytes) -> tuple[ClientLink, FarEnd, ServerLink, FarEnd]:
    link, client = made.client()
    server, far = made.server()
    client.send(*(said or (query(b"select 1"),)))
    made.turn()
    far.bytes()
    return link, client, server, far


def ask(made: Relay, link: ClientLink, host: str = HERE) -> Any:
    return made.clients.cancels.request(link.session.pid, link.session.key, host)


async def test_a_cancel_that_has_reached_the_server_is_known_to_be_over() -> None:
    """The requester is told by the end of its connection, as PostgreSQL does it."""
    async with relay() as made:
        link, _, server, _ = await running(made)
        heard = made.clients.cancels.request(link.session.pid, link.session.key)
        assert heard is not None
        await made.settle()
        assert made.opener.dialed[0].bytes() == cancel_request(server.pid, server.cancel_key)
        assert not heard.done()
        made.opener.dialed[0].close()
        await made.settle()
        assert heard.done()


async def test_two_requests_for_one_query_are_one_and_both_are_over_when_the_server_has_heard() -> None:
    async with relay() as made:
        link, _, _, _ = await running(made)
        first, second = ask(made, link), ask(made, link)
        await made.settle()
        assert len(made.opener.dialed) == 1
        assert not first.done() and not second.done()
        made.opener.dialed[0].close()
        await made.settle()
        assert first.done() and second.done()


async def test_a_request_for_an_earlier_query_does_not_stand_in_the_way_of_the_next() -> None:
    async with relay() as made:
        link, client, _, far = await running(made, query(b"begin"))
        ask(made, link)
        far.send(command_complete("BEGIN"), IN_TRANSACTION)
        made.turn()
        client.send(query(b"select 2"))
        made.turn()
        assert ask(made, link) is not None
        await made.settle()
        heard = [end.bytes() for end in made.opener.dialed]
        assert sum(bool(said) for said in heard) == 1, "the first has nothing to stop any more"


async def test_requests_are_counted_by_what_became_of_them() -> None:
    async with relay() as made:
        link, _, _, _ = await running(made)
        ask(made, link)
        made.clients.cancels._guesses.too_many = lambda host, now: host == HERE  # type: ignore[method-assign]
        ask(made, link)
        made.clients.cancels.request(link.session.pid, b"guess", "192.0.2.2")
        assert made.clients.cancels.counts == {"accepted": 1, "passed_on": 0, "wrong_key": 1, "ignored": 1}


async def test_what_was_flushed_and_has_no_sync_yet_can_be_stopped() -> None:
    async with relay() as made:
        link, _, _, _ = await running(made, parse(b""), bind(b""), execute(), message(b"H", b""))
        assert ask(made, link) is not None


def being_made_ready(made: Relay) -> tuple[ClientLink, FarEnd, ServerLink, FarEnd]:
    """Its server has not been told yet what it asks."""
    link, client = made.client(params=Params.of({b"TimeZone": b"CET"}, {}))
    server, far = made.server()
    client.send(query(b"select 1"))
    made.turn()
    assert b"set_config" in far.bytes()
    return link, client, server, far


async def test_a_query_whose_server_is_being_made_ready_is_stopped_when_it_has_been_sent() -> None:
    async with relay() as made:
        link, _, server, far = being_made_ready(made)
        heard = ask(made, link)
        far.send(rows(b"CET"), message(b"S", b"TimeZone\0CET\0"), READY)
        made.turn()
        assert far.bytes() == query(b"select 1")
        await made.settle()
        assert made.opener.dialed[0].bytes() == cancel_request(server.pid, server.cancel_key)
        assert not heard.done(), "what the requester asks next could still be hit"
        made.opener.dialed[0].close()
        await made.settle()
        assert heard.done()
        assert link.cancel_wanted is None


async def test_a_requester_does_not_wait_for_a_client_that_has_gone() -> None:
    async with relay() as made:
        link, client, _, _ = being_made_ready(made)
        heard = ask(made, link)
        assert not heard.done()
        client.close()
        made.turn()
        await made.settle()
        assert heard.done()


async def test_a_requester_does_not_wait_for_what_is_refused_before_it_was_sent() -> None:
    async with relay() as made:
        link, _, _, far = being_made_ready(made)
        heard = ask(made, link)
        far.send(message(b"E", b"SERROR\0C22023\0Mno such time zone\0\0"), READY)
        made.turn()
        await made.settle()
        assert heard.done()
        assert link.cancel_wanted is None, "what it asks next is not stopped"


async def test_a_cancel_that_comes_early_finds_nobody_and_stops_nothing_later() -> None:
    async with relay() as made:
        link, client = made.client()
        made.server()
        assert ask(made, link) is None
        client.send(query(b"select 1"))
        made.turn()
        await made.settle()
        assert not made.opener.dialed


async def test_after_a_reconnect_the_old_key_is_nobodys() -> None:
    async with relay() as made:
        link, client, _, far = await running(made)
        pid, key = link.session.pid, link.session.key
        far.send(rows(b"1"), READY)
        made.turn()
        client.close()
        made.turn()
        await running(made)
        assert made.clients.cancels.request(pid, key, HERE) is None


@pytest.mark.parametrize("length", [0, 4, 5, 31, 32, 256])
async def test_a_hundred_thousand_guesses_stop_nothing(length: int) -> None:
    async with relay() as made:
        link, _, _, _ = await running(made)
        chance = random.Random(length)
        for number in range(100_000 // 6):
            made.clients.cancels.request(link.session.pid, chance.randbytes(length), f"host {number % 500}")
        await made.settle()
        assert not made.opener.dialed


async def test_who_guesses_is_not_listened_to_for_the_rest_of_the_second_and_others_are() -> None:
    async with relay() as made:
        link, _, _, _ = await running(made)
        start = made.pools.now
        while int(made.pools.now) == int(start):  # begin with a second that has not passed in part
            pass
        for _ in range(WRONG_KEYS_A_SECOND):
            made.clients.cancels.request(link.session.pid, b"nope", HERE)
        assert ask(made, link) is None
        assert ask(made, link, "192.0.2.2") is not None


def test_guesses_are_forgotten_with_their_second() -> None:
    guesses = Guesses()
    for _ in range(WRONG_KEYS_A_SECOND):
        assert not guesses.too_many(HERE, 10.1)
        guesses.note(HERE, 10.2)
    assert guesses.too_many(HERE, 10.9)
    assert not guesses.too_many("192.0.2.2", 10.9)
    assert not guesses.too_many(HERE, 11.0)


async def test_one_who_waits_is_told_at_once() -> None:
    async with relay() as made:
        made.pool.paused = True
        link, client = made.client()
        client.send(query(b"select 1"))
        made.turn()
        assert ask(made, link) is None
        assert [parse_fields(body)["C"] for kind, body in client.frames() if kind == "E"] == ["57014"]
