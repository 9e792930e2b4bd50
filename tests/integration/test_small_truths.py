"""The small truths of a direct connection: what PostgreSQL says at a login, and in which order, a proxy says too.

Each conversation is had with PostgreSQL itself first. The server knows roles by trust, by md5 and by SCRAM; the proxy
asks each of its clients for what `auth_type` says, so what is compared begins with AuthenticationOk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.transcript import errors, session
from tests.integration.wire import PROTOCOL_3_0, PROTOCOL_3_2, Frame, Wire, error_fields, rows
from trunkline.auth.md5 import md5_secret

HBA = """\
host all trusted all trust
host all hashed all md5
host all rejected all reject
host all all all scram-sha-256
"""

ROLES = """\
CREATE ROLE trusted LOGIN; CREATE ROLE scram LOGIN PASSWORD 'pw'; CREATE ROLE rejected LOGIN PASSWORD 'pw';
CREATE ROLE nologin PASSWORD 'pw'; CREATE ROLE expired LOGIN PASSWORD 'pw' VALID UNTIL '2000-01-01';
CREATE ROLE crowded LOGIN PASSWORD 'pw' CONNECTION LIMIT 0;
SET password_encryption = md5; CREATE ROLE hashed LOGIN PASSWORD 'pw';
CREATE DATABASE private; REVOKE CONNECT ON DATABASE private FROM PUBLIC;
CREATE DATABASE closed ALLOW_CONNECTIONS false;
"""

USERS = dict.fromkeys(("trusted", "scram", "hashed", "rejected", "nologin", "expired", "crowded", "unheard"), "pw")
AUTH_TYPES = ["trust", "plain", "md5", "scram-sha-256"]
MODES = ["transaction", "session", "statement"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(farm: Farm, flavour: str) -> AsyncIterator[Postgres]:
    """A server that knows its roles in many ways."""
    async with farm.prepare(flavour, hba=HBA) as made:
        await made.sql(ROLES)
        yield made
    made.remove()


@pytest.fixture
async def through(server: Postgres, start_proxy: ProxyFactory, request: pytest.FixtureRequest) -> Proxy:
    """A proxy that knows the same roles, and any database."""
    auth_type, mode = getattr(request, "param", ("scram-sha-256", "transaction"))
    config = {"auth_type": auth_type, "pool_mode": mode, "default_pool_size": 2}
    databases = {"*": {"host": HOST, "port": server.port}, "gone": {"host": HOST, "port": server.port}}
    return await start_proxy(config, databases=databases, users=USERS)


async def login(
    server: Postgres | Proxy, user: str, password: str, database: str, version: int = PROTOCOL_3_0, **parameters: str
) -> list[object]:
    """What a login sees from AuthenticationOk or the error on; process id and key left out."""
    async with await Wire.connect(server.port) as wire:
        await wire.send_startup({"user": user, "database": database, **parameters}, version)
        seen = [_readable(frame) for frame in await wire.login_with(user, password)]
        return [item for item in seen if item is not None]


def _readable(frame: Frame) -> object:
    if frame.type == "E":
        fields = error_fields(frame)
        return {letter: fields.get(letter) for letter in "SVCMDH"}
    if frame.type == "R":
        return "ok" if frame.body == bytes(4) else None
    return frame.type if frame.type == "K" else (frame.type, frame.body)


# --- who may come in ------------------------------------------------------------------------------------------------

LOGINS = [
    ("scram", "pw", "postgres"),
    ("hashed", "pw", "postgres"),
    ("trusted", "pw", "postgres"),
    ("scram", "pw", "gone"),
    ("scram", "pw", "no such database"),
    ("hashed", "pw", "gone"),
    ("trusted", "pw", "gone"),
    ("nologin", "pw", "postgres"),
    ("expired", "pw", "postgres"),
    ("unheard", "pw", "postgres"),
    ("scram", "pw", "private"),
    ("scram", "pw", "closed"),
]
WRONG = [
    ("scram", "wrong", "postgres"),
    ("scram", "wrong", "gone"),
    ("scram", "wrong", "no such database"),
    ("hashed", "wrong", "postgres"),
    ("nologin", "wrong", "postgres"),
    ("nobody", "pw", "postgres"),
    ("nobody", "pw", "no such database"),
]
COMBINATIONS = [(auth_type, mode) for auth_type in AUTH_TYPES for mode in MODES[:2]]


@pytest.mark.parametrize("through", COMBINATIONS, indirect=True, ids=" ".join)
async def test_a_login_ends_as_it_does_at_postgresql(
    server: Postgres, through: Proxy, request: pytest.FixtureRequest
) -> None:
    auth_type, _ = request.node.callspec.params["through"]
    for who in LOGINS if auth_type == "trust" else LOGINS + WRONG:
        assert await login(through, *who) == await login(server, *who), who


async def test_a_role_that_trust_does_not_know_is_missing(server: Postgres, start_proxy: ProxyFactory) -> None:
    """In the same words, whether the proxy trusts or the server does."""
    proxy = await start_proxy({"auth_type": "trust"}, databases={"postgres": server})
    [refusal] = await login(proxy, "nobody", "", "postgres")
    assert refusal == dict(
        zip("SVCMDH", ("FATAL", "FATAL", "28000", 'role "nobody" does not exist', None, None), strict=True)
    )


async def test_the_rules_of_the_server_are_not_told(server: Postgres, through: Proxy) -> None:
    """pg_hba.conf speaks of our address, not the client's: the SQLSTATE is enough."""
    [direct], [seen] = [await login(where, "rejected", "pw", "postgres") for where in (server, through)]
    assert isinstance(direct, dict) and isinstance(seen, dict)
    assert (seen["S"], seen["C"]) == (direct["S"], direct["C"]) == ("FATAL", "28000")
    assert HOST in direct["M"]
    assert HOST not in seen["M"]


async def test_a_full_role_is_told_in_the_servers_words(server: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"server_login_retry": 0.1}, databases={"postgres": server}, users=USERS)
    who = ("crowded", "pw", "postgres")
    assert await login(proxy, *who) == await login(server, *who)


@pytest.mark.parametrize("name", ["role", "database"])
async def test_what_is_made_after_a_refusal_is_found_at_the_next_login(
    server: Postgres, through: Proxy, name: str
) -> None:
    """At once: nothing of a refusal is remembered."""
    user, database = ("newcomer", "postgres") if name == "role" else ("scram", "newbuilt")
    through.write_users(USERS | {"newcomer": "pw"})
    await through.reload()
    made = f"{name} {'newcomer' if name == 'role' else 'newbuilt'}"
    for _ in range(2):
        refused = await login(through, user, "pw", database)
        assert refused == await login(server, user, "pw", database)
    await server.fetch(f"CREATE {made} {'LOGIN PASSWORD $$pw$$' if name == 'role' else ''}")
    try:
        assert await login(through, user, "pw", database) == await login(server, user, "pw", database)
    finally:
        await through.stop()
        await server.fetch(f"DROP {made}")


# --- what it asks for at startup ------------------------------------------------------------------------------------

STARTUPS: list[dict[str, str]] = [
    {"client_encoding": "utf8"},
    {"client_encoding": "'utf-8'"},
    {"client_encoding": "latin-1"},
    {"client_encoding": "sql_ascii"},
    {"client_encoding": "nonsense"},
    {"options": "-c client_encoding=Windows1252"},
    {"options": "-P"},
    {"options": "-W 0"},
    {"options": "-P -c DateStyle=German -c work_mem=7MB"},
    {"ignore_system_indexes": "perhaps"},
    {"log_connections": "on"},
    {"options": "-c jit_debugging_support=on"},
    {"server_version": "1"},
    {"server_encoding": "LATIN1"},
    {"is_superuser": "on"},
    {"in_hot_standby": "on"},
    {"integer_datetimes": "off"},
    {"shared_buffers": "1"},
    {"max_connections": "1"},
    {"config_file": "/etc/passwd"},
    {"log_line_prefix": "x"},
    {"session_authorization": "scram"},
    {"session_authorization": "postgres"},
    {"role": "none"},
    {"role": "postgres"},
    {"replication": "nonsense"},
    {"replication": ""},
    {"options": "-x"},
    {"options": "-c nothing"},
    {"options": "--"},
    {"options": "-c a b"},
]


@pytest.mark.parametrize("user", ["scram", "postgres"])
@pytest.mark.parametrize("through", [("scram-sha-256", mode) for mode in MODES], indirect=True, ids=" ".join)
async def test_a_startup_packet_is_answered_as_postgresql_answers_it(
    server: Postgres, through: Proxy, user: str
) -> None:
    password = PASSWORD if user == "postgres" else "pw"
    for parameters in STARTUPS:
        for version in (PROTOCOL_3_0, PROTOCOL_3_2):
            asked = (user, password, "postgres", version)
            wanted = await login(server, *asked, **parameters)
            assert await login(through, *asked, **parameters) == wanted, parameters


@pytest.mark.parametrize("mode", MODES[:2])
async def test_settings_for_the_startup_packet_only_are_in_force(
    server: Postgres, start_proxy: ProxyFactory, mode: str
) -> None:
    """And for nobody else: the server that was opened with them ends with its client."""
    proxy = await start_proxy({"pool_mode": mode, "default_pool_size": 2}, databases={"postgres": server})
    for _ in range(3):
        async with session(proxy, options="-P -c log_disconnections=on") as wire, session(proxy) as other:
            for name, value in (("ignore_system_indexes", b"on"), ("log_disconnections", b"on")):
                assert rows(await wire.query(f"SHOW {name}")) == [[value]]
                assert rows(await other.query(f"SHOW {name}")) == [[b"off"]]
            await wire.query("BEGIN")
            assert errors(await wire.query("SELECT 1/0")) == ["22012"]
            await wire.query("ROLLBACK")
            assert rows(await wire.query("SELECT pg_backend_pid()")) == [[str(wire.backend_pid).encode()]]


async def test_such_clients_keep_to_the_size_of_the_pool(server: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": server}, audited=False)
    async with session(proxy, options="-P") as wire, await Wire.connect(proxy.port) as late:
        assert await server.server_connections("postgres") == 1
        await late.send_startup({"user": "postgres", "database": "postgres", "options": "-P"})
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
    async with session(proxy, options="-P") as wire:
        assert rows(await wire.query("SHOW ignore_system_indexes")) == [[b"on"]]


# --- how it ends ----------------------------------------------------------------------------------------------------

STATES = {"idle": "SELECT 1", "in a transaction": "BEGIN", "in a failed transaction": "BEGIN; SELECT 1/0"}
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'"


@pytest.mark.parametrize("state", STATES)
async def test_a_session_whose_server_is_terminated_hears_it_from_the_server(
    server: Postgres, start_proxy: ProxyFactory, state: str
) -> None:
    proxy = await start_proxy({"pool_mode": "session"}, databases={"postgres": server})
    heard = []
    for where in (server, proxy):
        async with session(where, application_name="doomed") as wire:
            await wire.query(STATES[state])
            await server.fetch(TERMINATE)
            heard.append(await wire.read_frames_to_end())
    assert heard[0] == heard[1]
    assert errors(heard[1]) == ["57P01"]


async def test_a_client_that_outlives_its_server_hears_the_servers_words(
    server: Postgres, start_proxy: ProxyFactory
) -> None:
    """In transaction pooling what the server said is no longer the client's end, but it is still what it said."""
    proxy = await start_proxy({}, databases={"postgres": server})
    heard = []
    for where in (server, proxy):
        async with session(where) as wire:
            await wire.send_query("SELECT pg_terminate_backend(pg_backend_pid())")
            frames = [await wire.read_frame()]
            while frames[-1].type != "E":
                frames.append(await wire.read_frame())
            heard.append(error_fields(frames[-1]))
    direct, through = heard
    assert (through["C"], through["M"]) == (direct["C"], direct["M"]) == ("57P01", through["M"])
    assert (direct["S"], through["S"]) == ("FATAL", "ERROR")


@pytest.mark.parametrize("mode", MODES)
async def test_a_hash_that_the_server_does_not_take_is_told_at_once_to_everybody_who_comes(
    server: Postgres, start_proxy: ProxyFactory, mode: str
) -> None:
    """An md5 secret opens no door where SCRAM is asked for: no waiting for server_login_retry changes that."""
    waits = {"server_login_retry": 1000, "query_wait_timeout": 0}
    proxy = await start_proxy(
        {"auth_type": "md5", "pool_mode": mode, **waits},
        databases={"postgres": server},
        users={"scram": md5_secret("scram", "pw")},
    )
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match="the server refused this login"):
            async with await psycopg.AsyncConnection.connect(proxy.dsn(user="scram", password="pw")) as client:
                await client.execute("SELECT 1")
    assert "it asks for SCRAM, and what is known of this user does not allow that (28000)" in proxy.log


@pytest.mark.parametrize("mode", MODES)
async def test_a_message_of_the_operator_s_comes_with_the_greeting(
    server: Postgres, start_proxy: ProxyFactory, mode: str
) -> None:
    proxy = await start_proxy(
        {"login_notify_message": "moved to Trunkline", "pool_mode": mode}, databases={"postgres": server}
    )
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": USER, "database": "postgres"})
        frames = await wire.login_with(USER, PASSWORD)
    assert [frame.type for frame in frames[-3:]] == ["K", "N", "Z"]
    assert error_fields(frames[-2])["M"] == "moved to Trunkline"
    assert error_fields(frames[-2])["S"] == "NOTICE"
