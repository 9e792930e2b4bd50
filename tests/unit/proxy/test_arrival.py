"""What a client finds that has proved who it is: shared parameters, or a server that it keeps."""

from __future__ import annotations

from tests.unit.proxy.door import door
from tests.unit.relay import READY, FarEnd, error, query
from trunkline.config.choices import PoolMode
from trunkline.protocol.messages import message, parse_fields, startup_message

ALICE = [(b"user", b"alice"), (b"database", b"app")]
TOO_LATE = error("55P02", 'parameter "ignore_system_indexes" cannot be set after connection start')


def told_pid(client: FarEnd) -> int:
    [body] = [body for kind, body in client.frames() if kind == "K"]
    return int.from_bytes(body[:4], "big")


async def test_in_session_pooling_a_client_has_a_server_before_it_asks() -> None:
    async with door(pool_mode=PoolMode.SESSION) as made:
        client = await made.come(startup_message(ALICE))
        server, far = made.opener.opened[0]
        assert made.links[0].server is server
        assert told_pid(client) == server.pid
        client.send(query(b"select 1"))
        await made.settle()
        assert far.bytes() == query(b"select 1")


async def test_in_transaction_pooling_a_client_has_none_and_an_id_of_its_own() -> None:
    async with door() as made:
        client = await made.come(startup_message(ALICE))
        assert made.links[0].server is None
        assert told_pid(client) >= 1 << 22


async def test_a_login_waits_for_a_server_and_counts_while_it_does() -> None:
    async with door(pool_mode=PoolMode.SESSION, default_pool_size=1) as made:
        first = await made.come(startup_message(ALICE))
        second = await made.come(startup_message(ALICE))
        assert second.bytes() == b""
        assert len(made.instance.clients) == 2
        first.close()
        await made.settle()
        _, far = made.opener.opened[0]
        assert far.bytes() == query(b"DISCARD ALL")
        far.send(READY)
        await made.settle()
        assert told_pid(second) == made.opener.opened[0][0].pid


async def test_a_login_that_leaves_while_it_waits_is_out_of_the_line_and_the_books() -> None:
    async with door(pool_mode=PoolMode.SESSION, default_pool_size=1) as made:
        await made.come(startup_message(ALICE))
        second = await made.come(startup_message(ALICE))
        [pool] = made.instance.pools
        assert len(pool.waiting) == 1
        second.close()
        await made.settle()
        assert not pool.waiting
        assert len(made.instance.clients) == 1


async def test_the_wait_of_a_login_ends_with_query_wait_timeout() -> None:
    async with door(pool_mode=PoolMode.SESSION, default_pool_size=1, query_wait_timeout=5.0) as made:
        await made.come(startup_message(ALICE))
        second = await made.come(startup_message(ALICE))
        [pool] = made.instance.pools
        pool.tick(made.instance.pools.now + 5.0)
        await made.settle()
        (authenticated, _), (_, body) = second.frames()
        fields = parse_fields(body)
        assert (authenticated, fields["S"], fields["C"]) == ("R", "FATAL", "53300")
        assert len(made.instance.clients) == 1


async def test_a_setting_for_the_startup_packet_only_gets_a_server_of_its_own() -> None:
    async with door() as made:
        client = await made.come(startup_message([*ALICE, (b"options", b"-P")]))
        judging, far = made.opener.opened[0]
        assert b"ignore_system_indexes" in far.bytes()
        far.send(TOO_LATE, READY)
        await made.settle()
        own, own_far = made.opener.opened[1]
        assert (b"ignore_system_indexes", b"true") in made.opener.calls[1].parameters
        assert told_pid(client) == own.pid
        [pool] = made.instance.pools
        assert (judging.place, own.place) == (pool.idle, pool.active)
        client.close()
        await made.settle()
        assert not own.opened
        assert own_far.bytes() == b""


async def test_an_idle_server_gives_way_to_one_that_is_a_clients_own() -> None:
    async with door(default_pool_size=1) as made:
        await made.come(startup_message([*ALICE, (b"options", b"-P")]))
        shared, far = made.opener.opened[0]
        far.send(TOO_LATE, READY)
        await made.settle()
        assert made.links[-1].server is made.opener.opened[1][0]
        assert not shared.opened


async def test_any_other_refusal_is_the_clients() -> None:
    async with door(pool_mode=PoolMode.SESSION) as made:
        client = await made.come(startup_message([*ALICE, (b"timezone", b"Mars")]))
        _, far = made.opener.opened[0]
        far.send(error("22023", "no"), READY)
        await made.settle()
        assert [kind for kind, _ in client.frames()] == ["R", "E"]
        assert len(made.opener.opened) == 1
        assert not len(made.instance.clients)


async def test_startup_settings_are_in_force_before_the_session_begins() -> None:
    async with door(pool_mode=PoolMode.SESSION) as made:
        client = await made.come(startup_message([*ALICE, (b"timezone", b"cet")]))
        _, far = made.opener.opened[0]
        assert client.bytes() == b""
        far.send(message(b"S", b"TimeZone\0CET\0"), READY)
        await made.settle()
        assert ("S", b"TimeZone\0CET\0") in client.frames()
