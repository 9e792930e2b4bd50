"""Secrets that a server is asked for, at the login of a client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.pool.test_auth_link import row
from tests.unit.proxy.door import Visitors, door
from tests.unit.proxy.test_login import ALICE, sqlstates
from tests.unit.relay import READY, FarEnd
from trunkline.config.ldap_options import LdapOptions
from trunkline.errors import AuthUnavailable
from trunkline.protocol.messages import message, parse_fields, startup_message
from trunkline.proxy.identity import Peer

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


class Judge:
    """Stands in for PAM or a directory: keeps what it was asked, and lets in who says `sesame`."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def accepts(self, *asked: object) -> bool:
        self.asked.append(asked)
        if asked[1] == b"away":
            raise AuthUnavailable("bouncer config error")
        return asked[1] == b"sesame"

    def close(self) -> None:
        """As what it stands in for."""


async def test_the_system_or_a_directory_judges_a_password_in_clear_text() -> None:
    judge = Judge()
    for method, words in (("pam", "PAM"), ("ldap", "LDAP")):
        for password, expected in ((b"sesame", []), (b"wrong", ["28000"]), (b"", ["28P01"]), (b"away", ["F0000"])):
            async with door(auth_type=method) as made:
                made.instance.door.pam = made.instance.door.ldap = judge  # type: ignore[assignment]
                if method == "ldap":
                    made.instance.door.config = replace(made.configuration, ldap=LdapOptions("ldap://h"))
                client = await made.come(startup_message(CAROL))
                assert client.bytes() == message(b"R", b"\0\0\0\3")
                client.send(message(b"p", password + b"\0"))
                await made.settle()
                frames = client.frames()
                assert sqlstates(frames) == expected
                if expected == ["28000"]:
                    assert parse_fields(frames[-1][1])["M"] == f'{words} authentication failed for user "carol"'
                if not expected:  # it is what logs in to servers, too
                    assert made.opener.calls[-1].credentials.password == b"sesame"
    assert judge.asked[0] == (b"carol", b"sesame", b"", "pgbouncer")
    assert judge.asked[-1] == ("carol", b"away", LdapOptions("ldap://h"))


async def test_the_owner_of_the_process_has_the_console_over_a_unix_socket_without_a_password() -> None:
    unix, tcp = Peer("", ""), Peer(("10.0.0.1", 1), ("10.0.0.2", 2))
    for user, database, peer, expected in (
        (b"pgbouncer", b"pgbouncer", unix, True),
        (b"pgbouncer", b"trunkline", unix, True),
        (b"pgbouncer", b"pgbouncer", tcp, False),
        (b"pgbouncer", b"app", unix, False),
        (b"ops", b"pgbouncer", unix, False),
    ):
        async with door(auth_type="scram-sha-256") as made:
            await made.come(startup_message([(b"user", user), (b"database", database)]), peer=peer)
            assert (made.console_visits == ["pgbouncer"]) is expected
            identity = made.links[0].session
            assert identity.may_administer(made.configuration.settings) is expected


async def test_another_user_of_the_machine_is_not_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    async with door(auth_type="plain") as made:
        client = await made.come(startup_message([(b"user", b"pgbouncer"), (b"database", b"pgbouncer")]))
        assert client.bytes() == message(b"R", b"\0\0\0\3")
