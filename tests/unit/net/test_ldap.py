"""Passwords judged by a real LDAP server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.directory_server import BASE, MANAGER, directory_server
from trunkline.config.ldap_options import LdapOptions
from trunkline.errors import AuthUnavailable
from trunkline.net.ldap import Ldap

SEARCH = {"base_dn": BASE, "bind_dn": MANAGER, "bind_password": "manages"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with directory_server(tmp_path_factory.mktemp("ldap")) as port:
        yield f"ldap://127.0.0.1:{port}"


@pytest.fixture
async def ldap() -> AsyncIterator[Ldap]:
    made = Ldap(timeout_s=2.0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("user", "password", "accepted"),
    [
        ("ldap_alice", b"sesame", True),
        ("ldap_alice", b"wrong", False),
        ("ldap_alice", b"", False),
        ("ldap_nobody", b"sesame", False),
        ("ldap_*", b"sesame", False),
        ("ldap_alice,ou=people", b"sesame", False),
        ("ldap_alice)(uid=*", b"sesame", False),
        ("\udcff", b"sesame", False),
    ],
)
async def test_a_password_is_the_entrys_by_either_way(
    server: str, ldap: Ldap, user: str, password: bytes, accepted: bool
) -> None:
    at_once = LdapOptions(server, prefix="uid=", suffix=f",ou=people,{BASE}")
    searched = LdapOptions(server, filter="(uid=$username)", **SEARCH)
    unnamed = LdapOptions(server, base_dn=BASE, filter="(|(uid=$username)(mail=$username@example.org))")
    for options in (at_once, searched, unnamed):
        assert await ldap.accepts(user, password, options) is accepted


async def test_who_is_found_twice_or_elsewhere_is_nobody(server: str, ldap: Ldap) -> None:
    assert not await ldap.accepts("Same", b"sesame", LdapOptions(server, filter="(cn=$username)", **SEARCH))
    assert await ldap.accepts("Alice", b"sesame", LdapOptions(server, filter="(cn=$username)", **SEARCH))
    base = LdapOptions(server, filter="(cn=$username)", scope="base", **SEARCH)
    assert not await ldap.accepts("Alice", b"sesame", base)


@pytest.mark.parametrize("change", [{"bind_password": "wrong"}, {"base_dn": "dc=nowhere"}])
async def test_a_search_that_cannot_be_made_is_the_operators_to_mend(
    server: str, ldap: Ldap, change: dict[str, str]
) -> None:
    options = LdapOptions(server, filter="(uid=$username)", **{**SEARCH, **change})
    with pytest.raises(AuthUnavailable, match="bouncer config error"):
        await ldap.accepts("ldap_alice", b"sesame", options)


async def test_a_server_that_is_away_or_without_tls_lets_nobody_in(server: str, ldap: Ldap) -> None:
    for options in (
        LdapOptions("ldap://127.0.0.1:1", prefix="uid="),
        LdapOptions(server, starts_tls=True, prefix="uid=", suffix=f",ou=people,{BASE}"),
    ):
        with pytest.raises(AuthUnavailable):
            await ldap.accepts("ldap_alice", b"sesame", options)
    either = LdapOptions(f"ldap://127.0.0.1:1 {server}", prefix="uid=", suffix=f",ou=people,{BASE}")
    assert await ldap.accepts("ldap_alice", b"sesame", either)


async def test_without_the_library_nobody_is_let_in(ldap: Ldap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(AuthUnavailable):
        await ldap.accepts("ldap_alice", b"sesame", LdapOptions("ldap://h", prefix="uid="))
