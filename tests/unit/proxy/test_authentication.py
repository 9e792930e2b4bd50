"""Secrets that a server is asked for, at the login of a client."""

from __future__ import annotations

from tests.unit.pool.test_auth_link import row
from tests.unit.proxy.door import Visitors, door
from tests.unit.proxy.test_login import ALICE, sqlstates
from tests.unit.relay import READY, FarEnd
from trunkline.protocol.messages import message, startup_message

CAROL = [(b"user", b"carol"), (b"database", b"app")]


async def asked_for(made: Visitors, *rows: bytes) -> FarEnd:
    """A client whose user is looked up with this answer."""
    client = await made.come(startup_message(CAROL))
    made.opener.opened[-1][1].send(*rows, READY)
    await made.settle()
    return client


async def test_a_user_who_is_not_listed_is_asked_for_and_its_password_taken_to_servers() -> None:
    async with door(auth_type="plain", auth_user="alice") as made:
        client = await asked_for(made, row(b"carol", b"sesame"))
        assert client.bytes() == message(b"R", b"\0\0\0\3")
        client.send(message(b"p", b"sesame\0"))
        await made.settle()
        assert sqlstates(client.frames()) == []
        known = made.opener.calls[-1].credentials
        assert (known.user, known.password) == ("carol", b"sesame")
        assert made.instance.pools.credentials_of("carol").password is None  # nor of any other database
        assert made.instance.pools.credentials_of("carol", "app") == known


async def test_who_is_listed_is_not_asked_for() -> None:
    async with door(auth_type="plain", auth_user="alice") as made:
        await made.come(startup_message(ALICE))
        assert not made.opener.calls


async def test_trust_lets_in_who_exists() -> None:
    for rows, expected in (((row(b"carol", b""),), []), ((), ["28000"])):
        async with door(auth_user="alice") as made:
            client = await asked_for(made, *rows)
            assert sqlstates(client.frames()) == expected


async def test_with_any_nobody_is_asked_for() -> None:
    async with door(auth_type="any", auth_user="alice") as made:
        client = await made.come(startup_message(CAROL))
        assert client.kinds() == "RSKZ"
        assert [call.credentials.user for call in made.opener.calls] == ["carol"]
