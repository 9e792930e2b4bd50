"""auth_type hba: each method and each refusal, from TCP, TLS and a Unix socket."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.integration.certificates import Authority
from tests.integration.conftest import ProxyFactory
from tests.integration.directory_server import BASE, directory_server
from tests.integration.postgres import Postgres
from tests.integration.proxy import HOST, USER, Proxy
from trunkline.auth.md5 import md5_secret
from trunkline.auth.scram import ScramSecret, derive

ME = getpass.getuser()
SALT = b"0123456789abcdef"
SECRETS = {
    "plain": "sesame",
    "md5": md5_secret("hba_md5", "sesame"),
    "scram-sha-256": ScramSecret.of(derive("sesame", SALT, 4096), SALT, 4096).format(),
}
USERS = {"hba_plain": SECRETS["plain"], "hba_md5": SECRETS["md5"], "hba_scram": SECRETS["scram-sha-256"]}

Rules = Any


@pytest.fixture
async def ruled(start_proxy: ProxyFactory, postgres: Postgres, tmp_path: Path) -> AsyncIterator[Rules]:
    """``await ruled(rules)``: a proxy whose servers are all one user's, so that only the client's login counts."""

    async def start(rules: str, maps: str = "", **settings: Any) -> Proxy:
        (tmp_path / "hba.conf").write_text(rules)
        (tmp_path / "ident.conf").write_text(maps)
        config = {
            "auth_type": "hba",
            "auth_hba_file": str(tmp_path / "hba.conf"),
            "auth_ident_file": str(tmp_path / "ident.conf"),
            "unix_socket_dir": str(tmp_path),
            **settings,
        }
        made: Proxy = await start_proxy(config, databases={"app": {"primary": postgres.dsn()}}, users=USERS)
        return made

    yield start


def unix(proxy: Proxy, directory: Path) -> Mapping[str, Any]:
    return {"host": str(directory), "port": proxy.port}


async def by_asyncpg(proxy: Proxy, user: str, password: str, **options: Any) -> str:
    """ "in", or the refusal."""
    where = {"host": HOST, "port": proxy.port, "ssl": False, **options}
    try:
        connection = await asyncpg.connect(user=user, password=password, database="app", **where)
    except asyncpg.PostgresError as error:
        return f"{error.sqlstate} {error}"
    await connection.close()
    return "in"


async def by_psycopg(proxy: Proxy, user: str, password: str, **options: Any) -> str:
    where = {"host": HOST, "port": proxy.port, **options}
    try:
        connection = await psycopg.AsyncConnection.connect(user=user, password=password, dbname="app", **where)
    except psycopg.OperationalError as error:
        return str(error).partition("FATAL:  ")[2]
    await connection.close()
    return "in"


METHODS = {
    # method: secrets by which one gets in
    "trust": ("plain", "md5", "scram"),
    "password": ("plain", "md5", "scram"),
    "md5": ("plain", "md5", "scram"),
    "scram-sha-256": ("plain", "scram"),
}


@pytest.mark.parametrize("method", METHODS)
async def test_each_method_with_each_kind_of_secret_and_library(ruled: Rules, method: str) -> None:
    proxy = await ruled(f"host all all all {method}")
    for kind in ("plain", "md5", "scram"):
        user = f"hba_{kind}"
        expected = "in" if kind in METHODS[method] else f'password authentication failed for user "{user}"'
        assert (await by_asyncpg(proxy, user, "sesame")).removeprefix("28P01 ") == expected
        assert (await by_psycopg(proxy, user, "sesame")).partition("\n")[0] == expected
        if method != "trust":
            wrong = await by_asyncpg(proxy, user, "wrong")
            assert wrong == f'28P01 password authentication failed for user "{user}"'


async def test_unknown_users_are_told_apart_from_others_by_no_method_that_asks_for_a_password(ruled: Rules) -> None:
    for method in ("password", "md5", "scram-sha-256"):
        proxy = await ruled(f"host all all all {method}")
        said = await by_asyncpg(proxy, "hba_nobody", "sesame")
        assert said == '28P01 password authentication failed for user "hba_nobody"'


async def test_who_is_rejected_and_whom_no_line_knows_hear_the_same(ruled: Rules) -> None:
    proxy = await ruled(f"host all hba_md5 all reject\nhost all hba_plain {HOST}/32 password\n")
    assert await by_asyncpg(proxy, "hba_plain", "sesame") == "in"
    for user in ("hba_md5", "hba_scram"):
        assert (await by_asyncpg(proxy, user, "sesame")).startswith("28000 login rejected")
        assert f'host "{HOST}", user "{user}", database "app", no encryption' in await by_psycopg_detail(proxy, user)
    assert "hba.conf:1 rejects" in proxy.log
    assert 'no line of auth_hba_file for host "127.0.0.1", user "hba_scram"' in proxy.log


async def by_psycopg_detail(proxy: Proxy, user: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        await psycopg.AsyncConnection.connect(host=HOST, port=proxy.port, user=user, dbname="app", password="x")
    return str(caught.value)


async def test_a_peer_is_who_owns_its_process(ruled: Rules, tmp_path: Path) -> None:
    """[1b HBA and peer]"""
    proxy = await ruled(
        "local all mapped_away peer map=other\nlocal all hba_plain peer map=me\nlocal all all peer",
        f"me {ME} hba_plain\nother /^no(.*)$ \\1\n",
    )
    where = unix(proxy, tmp_path)
    assert await by_psycopg(proxy, ME, "", **where) == "in"
    assert await by_psycopg(proxy, "hba_plain", "", **where) == "in"
    for user in ("hba_md5", "mapped_away"):
        assert await by_psycopg(proxy, user, "x", **where) == f'Peer authentication failed for user "{user}"'
        assert (await by_asyncpg(proxy, user, "x", **where)).startswith("28000 Peer authentication failed")
    assert "login rejected" in await by_psycopg(proxy, ME, "")  # there is no line for TCP


async def test_a_certificate_is_a_login_by_its_name_or_a_map(
    ruled: Rules, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("localhost").write(tmp_path, "proxy")
    proxy = await ruled(
        "hostssl all hba_plain all cert map=staff\nhostssl all all all cert\nhostnossl all all all password",
        r"staff /^(.*)\.example$ hba_\1",
        client_tls_sslmode="allow",
        client_tls_cert_file=str(certificate),
        client_tls_key_file=str(key),
        client_tls_ca_file=str(authority.write(tmp_path, "clients")),
    )

    async def enter(user: str, name: str | None) -> str:
        files = authority.issue(name).write(tmp_path, "client") if name else ("/nowhere", "/nowhere")
        options = {"sslmode": "require", "sslcert": str(files[0]), "sslkey": str(files[1])}
        return await by_psycopg(proxy, user, "sesame", **options)

    assert await enter("hba_md5", "hba_md5") == "in"
    assert await enter("hba_plain", "plain.example") == "in"
    for user, name in (("hba_md5", "hba_plain"), ("hba_plain", "hba_plain"), ("hba_plain", "md5.example")):
        assert await enter(user, name) == f'certificate authentication failed for user "{user}"'
    assert await enter("hba_md5", None) == "connection requires a valid client certificate"
    assert await by_psycopg(proxy, "hba_plain", "sesame", sslmode="disable") == "in"


async def test_a_directory_judges_by_line_and_for_all(ruled: Rules, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with directory_server(tmp_path / "directory") as port:
        options = f'ldapserver=127.0.0.1 ldapport={port} ldapprefix="uid=" ldapsuffix=",ou=people,{BASE}"'
        lined = await ruled(f"host all ldap_bob all reject\nhost all all all ldap {options}")
        every = await ruled("", auth_type="ldap", auth_ldap_options=options)
        for proxy in (lined, every):
            for enter in (by_asyncpg, by_psycopg):
                assert await enter(proxy, "ldap_alice", "sesame") == "in"
            said = await by_asyncpg(proxy, "ldap_alice", "wrong")
            assert said == '28000 LDAP authentication failed for user "ldap_alice"'
        assert (await by_asyncpg(lined, "ldap_bob", "sesame")).startswith("28000 login rejected")
        assert await by_asyncpg(every, "ldap_bob", "sesame") == "in"
    assert (await by_asyncpg(every, "ldap_alice", "sesame")) == "F0000 bouncer config error"
    assert "LDAP at ldap://127.0.0.1" in every.log
    assert "sesame" not in every.log


async def test_the_console_has_lines_too(ruled: Rules) -> None:
    proxy = await ruled("host pgbouncer postgres all scram-sha-256\nhost app all all trust")
    async with await proxy.connect("pgbouncer") as connection:
        await connection.execute("SHOW VERSION")
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        await proxy.connect("trunkline")


async def test_the_owner_of_the_process_administers_it_over_its_socket(ruled: Rules, tmp_path: Path) -> None:
    proxy = await ruled("host all all all reject", admin_users=[])
    where = {**unix(proxy, tmp_path), "user": "pgbouncer", "dbname": "pgbouncer", "autocommit": True}
    async with await psycopg.AsyncConnection.connect(**where) as connection:
        await connection.execute("RELOAD")
        await connection.execute("SHOW POOLS")
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        await psycopg.AsyncConnection.connect(**where | {"dbname": "app"})


async def test_a_reload_takes_new_lines_and_refuses_wrong_ones(ruled: Rules, tmp_path: Path) -> None:
    proxy = await ruled("host all all all reject")
    (tmp_path / "hba.conf").write_text("host all all all trusted\n")
    said = await proxy.reload()
    assert "hba.conf:1:18: unknown method `trusted`" in said
    assert (await by_asyncpg(proxy, "hba_plain", "x")).startswith("28000 login rejected")
    (tmp_path / "hba.conf").write_text("host all all all trust\nhost all all all reject\n")
    assert "rules of auth_hba_file: 1 -> 2" in await proxy.reload()
    assert await by_asyncpg(proxy, "hba_plain", "x") == "in"


async def test_members_of_roles_are_looked_up_at_the_server(ruled: Rules, postgres: Postgres) -> None:
    """By way of other roles too; and where nobody can look, nobody whose line depends on it is let in."""
    await postgres.fetch(
        "CREATE ROLE hba_crew; CREATE ROLE hba_mates; GRANT hba_crew TO hba_mates; CREATE ROLE hba_plain; "
        "GRANT hba_mates TO hba_plain; CREATE ROLE hba_md5"
    )
    try:
        proxy = await ruled("host all +hba_crew all password\nhost all hba_scram all trust\n", auth_user=USER)
        assert await by_asyncpg(proxy, "hba_plain", "sesame") == "in"
        assert (await by_asyncpg(proxy, "hba_plain", "wrong")).startswith("28P01")
        assert (await by_asyncpg(proxy, "hba_md5", "sesame")).startswith("28000 login rejected")
        assert await by_asyncpg(proxy, "hba_scram", "") == "in"
        await postgres.fetch("GRANT hba_crew TO hba_md5; REVOKE hba_mates FROM hba_plain")
        assert await by_asyncpg(proxy, "hba_md5", "sesame") == "in"
        assert (await by_asyncpg(proxy, "hba_plain", "sesame")).startswith("28000 login rejected")
    finally:
        await postgres.fetch("DROP ROLE hba_crew, hba_mates, hba_plain, hba_md5")


async def test_a_map_is_for_the_members_of_a_role(ruled: Rules, postgres: Postgres, tmp_path: Path) -> None:
    await postgres.fetch(
        "CREATE ROLE hba_crew; CREATE ROLE hba_plain; GRANT hba_crew TO hba_plain; CREATE ROLE hba_md5"
    )
    try:
        proxy = await ruled("local all all peer map=m", f"m {ME} +hba_crew\n", auth_user=USER)
        where = unix(proxy, tmp_path)
        assert await by_psycopg(proxy, "hba_plain", "", **where) == "in"
        assert "Peer authentication failed" in await by_psycopg(proxy, "hba_md5", "", **where)
        await postgres.fetch("GRANT hba_crew TO hba_md5")
        assert await by_psycopg(proxy, "hba_md5", "", **where) == "in"
    finally:
        await postgres.fetch("DROP ROLE hba_crew, hba_plain, hba_md5")
