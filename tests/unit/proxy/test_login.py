"""From the first byte to the first ReadyForQuery, and every way in which that ends early."""

from __future__ import annotations

import pytest

from tests.unit.proxy.door import door
from tests.unit.relay import READY, error, query, rows
from trunkline.errors import ServerRefused
from trunkline.protocol.messages import (
    AUTHENTICATION_OK,
    SSL_REQUEST,
    cancel_request,
    message,
    parse_fields,
    startup_message,
)
from trunkline.proxy.identity import Peer

ALICE = [(b"user", b"alice"), (b"database", b"app")]
GSS_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x30"


def sqlstates(frames: list[tuple[str, bytes]]) -> list[str]:
    return [parse_fields(body)["C"] for kind, body in frames if kind == "E"]


async def test_the_first_client_waits_for_a_server_to_judge_and_the_next_does_not() -> None:
    async with door() as made:
        for _ in range(2):
            client = await made.come(startup_message(ALICE))
            frames = client.frames()
            assert "".join(kind for kind, _ in frames) == "RSKZ"
            assert (b"TimeZone\0UTC\0") in [body for _, body in frames]
        assert len(made.opener.calls) == 1


async def test_settings_that_no_server_has_judged_are_asked_of_one() -> None:
    async with door() as made:
        client = await made.come(startup_message([*ALICE, (b"timezone", b"CET"), (b"options", b"-c work_mem=1MB")]))
        assert client.bytes() == b""
        _, far = made.opener.opened[0]
        [(kind, body)] = far.frames()
        assert kind == "Q"
        assert b"set_config('TimeZone', 'CET', false)" in body
        assert b"set_config('work_mem', '1MB', false)" in body
        far.send(rows(b"CET"), message(b"S", b"TimeZone\0CET\0"), READY)
        await made.settle()
        assert (("S", b"TimeZone\0CET\0")) in client.frames()


async def test_a_setting_that_the_server_refuses_ends_the_login_in_the_servers_words() -> None:
    async with door() as made:
        client = await made.come(startup_message([*ALICE, (b"timezone", b"Mars")]))
        server, far = made.opener.opened[0]
        far.send(error("22023", 'invalid value "Mars"'), READY)
        await made.settle()
        (said, _), (_, body), *rest = client.frames()
        assert (said, rest) == ("R", [])
        fields = parse_fields(body)
        assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "22023", 'invalid value "Mars"')
        assert client.closed
        assert server.opened


async def test_what_was_sent_with_the_startup_packet_is_served() -> None:
    async with door() as made:
        client = await made.come(startup_message(ALICE) + query(b"select 1"))
        far = made.opener.opened[0][1]
        assert far.bytes() == query(b"select 1")
        far.send(rows(b"1"), READY)
        await made.settle()
        assert client.bytes().endswith(READY + rows(b"1") + READY)


@pytest.mark.parametrize("requests", [[SSL_REQUEST], [GSS_REQUEST], [GSS_REQUEST, SSL_REQUEST]])
async def test_encryption_that_is_not_offered_is_declined_and_the_login_goes_on(requests: list[bytes]) -> None:
    async with door() as made:
        client = await made.come()
        for request in requests:
            client.send(request)
            await made.settle()
            assert client.bytes() == b"N"
        client.send(startup_message(ALICE))
        await made.settle()
        assert client.bytes().startswith(AUTHENTICATION_OK)


@pytest.mark.parametrize(
    ("said", "sqlstate"),
    [
        (startup_message([(b"user", b"alice"), (b"database", b"none")]), "3D000"),
        (startup_message([(b"database", b"app")]), "28000"),
        (b"\0\0\0\x08\0\2\0\0", "0A000"),
        (b"\0\0\0\3", "08P01"),
        (startup_message([*ALICE, (b"options", b"-Q")]), "42601"),
    ],
    ids=["no such database", "no user", "protocol 2", "length", "options"],
)
async def test_who_cannot_come_in_is_told_why(said: bytes, sqlstate: str) -> None:
    async with door() as made:
        client = await made.come(said)
        frames = client.frames()
        assert sqlstates(frames) == [sqlstate]
        assert parse_fields(frames[-1][1])["S"] == "FATAL"
        assert client.closed
        assert not len(made.instance.clients)


async def test_a_server_that_cannot_be_had_ends_the_first_login() -> None:
    async with door() as made:
        made.opener.refusal = ServerRefused("3D000", 'database "app" does not exist')
        client = await made.come(startup_message(ALICE))
        assert sqlstates(client.frames()) == ["3D000"]


async def test_the_limit_on_clients_holds_and_spares_the_console() -> None:
    async with door(max_client_conn=1) as made:
        await made.come(startup_message(ALICE))
        refused = await made.come(startup_message(ALICE))
        assert sqlstates(refused.frames()) == ["53300"]
        await made.come(startup_message([(b"user", b"ops"), (b"database", b"trunkline")]))
        assert made.console_visits == ["ops"]


async def test_while_it_drains_only_the_console_is_let_in() -> None:
    async with door() as made:
        made.instance.door.draining = True
        refused = await made.come(startup_message(ALICE))
        assert sqlstates(refused.frames()) == ["57P01"]
        await made.come(startup_message([(b"user", b"ops"), (b"database", b"pgbouncer")]))
        assert made.console_visits == ["ops"]


async def test_a_password_in_clear_text() -> None:
    for password, accepted in ((b"secret", True), (b"wrong", False)):
        async with door(auth_type="plain") as made:
            client = await made.come(startup_message(ALICE))
            assert client.bytes() == message(b"R", b"\0\0\0\3")
            client.send(message(b"p", password + b"\0"))
            await made.settle()
            frames = client.frames()
            assert sqlstates(frames) == ([] if accepted else ["28P01"])
            assert client.closed is not accepted


@pytest.mark.parametrize("said", [query(b"select 1"), message(b"?", b""), b"p\0\0\0\3", b"p\xff\xff\xff\xff"])
async def test_anything_but_a_password_ends_a_login(said: bytes) -> None:
    async with door(auth_type="plain") as made:
        client = await made.come(startup_message(ALICE))
        client.bytes()
        client.send(said)
        await made.settle()
        assert sqlstates(client.frames()) == ["08P01"]
        assert client.closed


async def test_who_leaves_during_the_login_leaves_nothing() -> None:
    async with door(auth_type="plain") as made:
        client = await made.come(startup_message(ALICE))
        client.close()
        await made.settle()
        assert not made.links[0].opened
        assert not len(made.instance.clients.logging_in)


async def test_a_login_that_takes_too_long_is_ended() -> None:
    async with door(client_login_timeout=0.01) as made:
        client = await made.come(b"\0\0")
        while not client.closed:
            await made.settle()
            assert sqlstates(client.frames()) in ([], ["08P01"])


async def test_where_tls_is_demanded_a_login_without_it_is_refused_but_not_over_a_socket_file() -> None:
    async with door() as made:
        made.instance.door.tls = type(made.instance.door.tls)("require", None, None)
        client = await made.come(startup_message(ALICE), peer=Peer(("10.0.0.1", 1), ("10.0.0.2", 2)))
        assert sqlstates(client.frames()) == ["28000"]
        client = await made.come(startup_message(ALICE), peer=Peer("", ""))
        assert client.bytes().startswith(AUTHENTICATION_OK)


async def test_a_cancel_request_stops_the_query_of_its_key_and_says_nothing() -> None:
    async with door() as made:
        client = await made.come(startup_message(ALICE))
        [key] = [body for kind, body in client.frames() if kind == "K"]
        client.send(query(b"select pg_sleep(9)"))
        await made.settle()
        server = made.opener.opened[0][0]
        for wrong in (b"nope", key[4:6], b""):
            asking = await made.come(cancel_request(int.from_bytes(key[:4], "big"), wrong.ljust(4, b"x")))
            assert asking.bytes() == b""
            assert asking.closed
        assert not made.opener.dialed
        await made.come(cancel_request(int.from_bytes(key[:4], "big"), key[4:]))
        assert made.opener.dialed[0].bytes() == cancel_request(server.pid, server.cancel_key)


async def test_startup_parameters_can_be_ignored() -> None:
    async with door(ignore_startup_parameters=("extra_float_digits",)) as made:
        client = await made.come(startup_message([*ALICE, (b"extra_float_digits", b"3")]))
        assert client.kinds() == "RSKZ"


async def test_the_clients_address_can_be_put_into_its_name() -> None:
    async with door(application_name_add_host=True) as made:
        startup = startup_message([*ALICE, (b"application_name", b"psql")])
        await made.come(startup, peer=Peer(("10.0.0.1", 99), ("10.0.0.2", 6432)))
        assert b"'psql - 10.0.0.1:99'" in made.opener.opened[0][1].bytes()
