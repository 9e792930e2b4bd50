"""Who may come in, and what is never said: section 1b of the catalogue of faults."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import psycopg
import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import Frame, Wire, error_fields
from trunkline.auth.md5 import md5_secret

METHODS = ["plain", "md5", "scram-sha-256"]


@pytest.fixture(params=METHODS)
async def strict_proxy(request: pytest.FixtureRequest, start_proxy: Any, postgres: Postgres) -> Proxy:
    """A proxy by each method, with one server, to which it has a login of its own."""
    real = {"primary": postgres.dsn(), "pool_size": 1}
    proxy: Proxy = await start_proxy(
        {"auth_type": request.param, "pool_mode": "transaction"}, databases={"one": real}, users={"guest": "guest's"}
    )
    return proxy


async def attempt(proxy: Proxy, user: str, password: str, database: str = "one") -> list[Frame]:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": user, "database": database})
        frames = await wire.login_with(user, password)
        return frames if frames[-1].type == "Z" else [*frames, *await wire.read_frames_to_end()]


def without_chance(frames: list[Frame], user: str) -> list[tuple[str, bytes, int]]:
    """The frames with the salts and nonces taken out, and the user's own name."""
    shown = []
    for item in frames:
        body = item.body[:4] if item.type == "R" else item.body.replace(user.encode(), b"<user>")
        shown.append((item.type, body, len(item.body.replace(user.encode(), b"<user>"))))
    return shown


async def test_row_error_oracle_an_unknown_user_and_a_wrong_password_look_the_same(strict_proxy: Proxy) -> None:
    """Byte by byte, and whether or not there is such a database. [1b auth_user confusion] [1b timing]"""
    async with unharmed(strict_proxy, "one"):
        seen = [
            without_chance(await attempt(strict_proxy, user, "wrong", database), user)
            for user in ("postgres", "nobody", "guest")
            for database in ("one", "no such database")
        ]
        assert seen[0][-1][0] == "E"
        assert b"C28P01\0" in seen[0][-1][1]
        assert all(answer == seen[0] for answer in seen)


async def test_row_unknown_database_is_told_after_authentication(strict_proxy: Proxy) -> None:
    frames = await attempt(strict_proxy, "postgres", PASSWORD, "no such database")
    assert error_fields(frames[-1])["C"] == "3D000"
    frames = await attempt(strict_proxy, "postgres", "wrong", "no such database")
    assert error_fields(frames[-1])["C"] == "28P01"


async def test_row_cached_connection_bypass_a_warm_pool_opens_no_door(strict_proxy: Proxy) -> None:
    await expect_own_answers(strict_proxy)
    for password in ("wrong", "", PASSWORD[:-1], PASSWORD + " ", md5_secret("postgres", PASSWORD.encode())):
        for user in ("postgres", "guest", "POSTGRES", "postgres "):
            frames = await attempt(strict_proxy, user, password or " ")
            assert error_fields(frames[-1])["C"] == "28P01", user
    await expect_own_answers(strict_proxy)


async def test_row_brute_force_opens_no_server_and_harms_nobody(start_proxy: Any, postgres: Postgres) -> None:
    proxy = await start_proxy({}, databases={"one": {"primary": postgres.dsn(), "pool_size": 1}})
    async with unharmed(proxy, "one"):
        tries = [attempt(proxy, f"user{n % 7}" if n % 2 else "postgres", "wrong") for n in range(100)]
        told = await asyncio.gather(*tries)
        assert {error_fields(frames[-1])["C"] for frames in told} == {"28P01"}
        assert "login:" not in proxy.log
    assert proxy.log.count("cannot log in") == 0


async def test_row_expired_password_the_server_s_refusal_is_ours(start_proxy: Any, postgres: Postgres) -> None:
    """A client whom we know but whom the server refuses hears what a direct connection would, and the log says it."""
    await postgres.fetch("DROP ROLE IF EXISTS expired")
    await postgres.create_role("expired", "old", options="LOGIN VALID UNTIL '2020-01-01'")
    databases = {"one": f"postgres://127.0.0.1:{postgres.port}/postgres"}
    proxy = await start_proxy({}, databases=databases, users={"expired": "old"})
    for _ in range(2):
        frames = await attempt(proxy, "expired", "old")
        assert error_fields(frames[-1])["C"] == "28P01"
    assert "expired" in proxy.log
    await postgres.fetch("DROP ROLE expired")


async def test_row_secrets_none_of_them_is_logged_or_shown(start_proxy: Any, postgres: Postgres) -> None:
    """Passwords, SCRAM keys, cancel keys and bind values: not at verbose=3, not in SHOW, not in a refusal."""
    secret = "a-very-Secret.Password"
    await postgres.fetch("DROP ROLE IF EXISTS keeper")
    await postgres.create_role("keeper", secret)
    [[stored]] = await postgres.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = 'keeper'")
    databases = {
        "one": f"postgres://127.0.0.1:{postgres.port}/postgres",
        "fixed": postgres.dsn(),
        "broken": "postgres://postgres:a-Broken.Password@127.0.0.1:1/postgres",
    }
    settings = {"verbose": 3, "server_login_retry": 0.2, "pool_mode": "transaction"}
    proxy = await start_proxy(settings, databases=databases, users={"keeper": stored, "plain": secret})
    keys: list[bytes] = []
    for user, database in (("keeper", "one"), ("keeper", "fixed"), ("plain", "one"), ("plain", "broken")):
        await attempt(proxy, user, secret, database)
        await attempt(proxy, user, "a-Wrong.Password", database)
    async with await Wire.connect(proxy.port) as wire:
        await wire.login("keeper", secret, database="fixed", version=3 << 16 | 2)
        keys.append(wire.cancel_key)
        await wire.query("SELECT 'a-Bound.Value', pg_sleep(0)")
        await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)
        shown = await everything_shown(proxy)
        await proxy.reload()
    said = proxy.log + shown
    scram = re.split(r"[$:]", stored)[2:]
    forbidden = [secret, PASSWORD, "a-Broken.Password", "a-Wrong.Password", "a-Bound.Value", stored, *scram]
    forbidden += [text for key in keys for text in (key.hex(), base64.b64encode(key).decode(), repr(key)[2:-1])]
    assert not [text for text in forbidden if text in said]


async def everything_shown(proxy: Proxy) -> str:
    commands = ("CONFIG", "DATABASES", "POOLS", "CLIENTS", "SERVERS", "STATS", "LISTS", "STATE", "USERS", "VERSION")
    return "".join([str(await proxy.admin(f"SHOW {command}")) for command in commands])


async def test_row_admin_console_is_for_admins_alone(start_proxy: Any, postgres: Postgres) -> None:
    users = {"guest": "guest's", "reader": "reader's"}
    databases = {"one": {"primary": postgres.dsn()}}
    proxy = await start_proxy({"stats_users": ["reader"]}, databases=databases, users=users)
    for command in ("RELOAD", "PAUSE", "RESUME", "SHUTDOWN"):
        for user in users:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.OperationalError)):
                connection = await psycopg.AsyncConnection.connect(proxy.dsn("trunkline", user=user), autocommit=True)
                async with connection:
                    await connection.execute(command)
    async with await log_in(proxy) as wire:
        assert wire.backend_pid
    with pytest.raises(psycopg.errors.UndefinedTable):
        await proxy.admin("SELECT * FROM pg_authid; --")
    with pytest.raises(psycopg.errors.SyntaxError):
        await proxy.admin("DROP TABLE pools; --")
