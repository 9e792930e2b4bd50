"""Users whom only the servers know: auth_query, auth_user, auth_dbname."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.waiting import wait_until

ASKER = {"auth_user": "postgres", "default_pool_size": 3}
EVIL = """x' OR 'a'='a"; DROP TABLE t; -- $1 \\"""


async def run(postgres: Postgres, *statements: str) -> None:
    connection = await postgres.connect()
    async with connection:
        for statement in statements:
            await connection.execute(statement)


@pytest.fixture
async def people(postgres: Postgres) -> AsyncIterator[Postgres]:
    """A role for each kind of secret, and for each reason not to be let in."""
    statements = [
        "SET password_encryption = 'scram-sha-256'",
        "CREATE ROLE aq_scram LOGIN PASSWORD 'sesame'",
        "CREATE ROLE aq_expired LOGIN PASSWORD 'sesame' VALID UNTIL '2001-01-01'",
        "CREATE ROLE aq_tomorrow LOGIN PASSWORD 'sesame' VALID UNTIL '2999-01-01'",
        "CREATE ROLE aq_nologin NOLOGIN PASSWORD 'sesame'",
        "CREATE ROLE aq_none LOGIN",
        "SET password_encryption = 'md5'",
        "CREATE ROLE aq_md5 LOGIN PASSWORD 'sesame'",
    ]
    await run(postgres, *statements)
    try:
        yield postgres
    finally:
        names = ("scram", "expired", "tomorrow", "nologin", "none", "md5")
        await run(postgres, *(f"DROP ROLE IF EXISTS aq_{name}" for name in names))


async def enter(proxy: Proxy, user: str, password: str = "sesame", database: str = "postgres") -> str:
    """Who one is then, or the SQLSTATE and words of the refusal."""
    try:
        connection = await asyncpg.connect(
            host=HOST, port=proxy.port, user=user, password=password, database=database, ssl=False
        )
    except asyncpg.PostgresError as error:
        return f"{error.sqlstate} {error}"
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def enter_by_psycopg(proxy: Proxy, user: str) -> str:
    dsn = proxy.dsn("postgres", user=user, password="sesame")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        row = await (await connection.execute("SELECT current_user")).fetchone()
        assert row is not None
        return str(row[0])


@pytest.mark.parametrize(
    ("user", "method"),
    [
        ("aq_scram", "md5"),
        ("aq_scram", "plain"),
        ("aq_scram", "scram-sha-256"),
        ("aq_tomorrow", "scram-sha-256"),
    ],
)
async def test_a_user_is_let_in_and_served_by_what_the_server_stores_of_it(
    people: Postgres, start_proxy: ProxyFactory, user: str, method: str
) -> None:
    proxy = await start_proxy({**ASKER, "auth_type": method}, databases={"postgres": people})
    for _ in range(2):
        assert await enter(proxy, user) == user
        assert await enter_by_psycopg(proxy, user) == user
    assert await enter(proxy, user, "wrong") == f'28P01 password authentication failed for user "{user}"'


@pytest.mark.parametrize("method", ["md5", "plain"])
async def test_an_md5_secret_lets_in_and_logs_in_to_a_server_that_takes_it(
    farm: Farm, flavour: str, start_proxy: ProxyFactory, method: str
) -> None:
    async with farm.prepare(flavour, hba="local all all trust\nhost all all all md5\n") as server:
        await run(server, "SET password_encryption = 'md5'", "CREATE ROLE aq_own_md5 LOGIN PASSWORD 'sesame'")
        proxy = await start_proxy({**ASKER, "auth_type": method}, databases={"postgres": server})
        assert await enter(proxy, "aq_own_md5") == "aq_own_md5"
        assert await enter_by_psycopg(proxy, "aq_own_md5") == "aq_own_md5"
    server.remove()


async def test_who_may_not_log_in_hears_what_a_wrong_password_would(
    people: Postgres, start_proxy: ProxyFactory
) -> None:
    """[1b expired password] [1b auth_user confusion]"""
    proxy = await start_proxy(ASKER, databases={"postgres": people})
    for user in ("aq_expired", "aq_nologin", "aq_none", "aq_nobody", EVIL, "x" * 200, "postgres\\"):
        assert (await enter(proxy, user)).startswith(f'28P01 password authentication failed for user "{user[:60]}')


async def test_an_unknown_user_meets_the_messages_of_a_known_one(people: Postgres, start_proxy: ProxyFactory) -> None:
    for method, known in (("scram-sha-256", "aq_scram"), ("md5", "aq_md5"), ("md5", "aq_scram")):
        forced = {"primary": people.dsn()}  # only the clients' logins are looked at
        proxy = await start_proxy({**ASKER, "auth_type": method}, databases={"postgres": forced})
        assert await enter(proxy, known) == "postgres"
        assert await asked(proxy, known) == await asked(proxy, "aq_nobody") == await asked(proxy, "aq_expired")


async def asked(proxy: Proxy, user: str) -> bytes:
    """The first message to a client of this name: its type, length and what is asked for."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    body = b"\0\3\0\0user\0" + user.encode() + b"\0database\0postgres\0\0"
    writer.write((len(body) + 4).to_bytes(4, "big") + body)
    try:
        return await reader.readexactly(9)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_name_is_never_a_part_of_the_query(people: Postgres, start_proxy: ProxyFactory) -> None:
    """[1b auth_query injection]"""
    await run(people, f"CREATE ROLE \"{EVIL.replace(chr(34), chr(34) * 2)}\" LOGIN PASSWORD 'sesame'")
    try:
        proxy = await start_proxy({**ASKER, "auth_type": "plain"}, databases={"postgres": people})
        assert await enter(proxy, EVIL) == EVIL
    finally:
        await run(people, f'DROP ROLE "{EVIL.replace(chr(34), chr(34) * 2)}"')


async def test_a_changed_password_and_a_lost_right_hold_from_the_next_login_on(
    people: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy(ASKER, databases={"postgres": people})
    assert await enter(proxy, "aq_scram") == "aq_scram"
    await run(people, "ALTER ROLE aq_scram PASSWORD 'open'")
    assert (await enter(proxy, "aq_scram")).startswith("28P01")
    assert await enter(proxy, "aq_scram", "open") == "aq_scram"
    await run(people, "ALTER ROLE aq_scram NOLOGIN")
    assert (await enter(proxy, "aq_scram", "open")).startswith("28P01")


async def test_what_clients_set_does_not_reach_the_question(people: Postgres, start_proxy: ProxyFactory) -> None:
    """[1a search_path before authentication]"""
    proxy = await start_proxy({**ASKER, "default_pool_size": 1}, databases={"postgres": people})
    await run(people, "CREATE SCHEMA aq_evil", "CREATE TABLE aq_evil.pg_authid AS SELECT 'aq_nobody' AS rolname")
    try:
        for _ in range(2):  # the asking user's own pool, with a path of a client's choice
            options = {"options": "-c search_path=aq_evil"}
            dsn = proxy.dsn("postgres", user="postgres", password=PASSWORD, **options)
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute("SET search_path = aq_evil")
                assert await enter(proxy, "aq_scram") == "aq_scram"
                assert (await enter(proxy, "aq_nobody")).startswith("28P01")
    finally:
        await run(people, "DROP SCHEMA aq_evil CASCADE")


async def test_a_database_has_a_query_an_asker_and_a_place_of_its_own(
    people: Postgres, start_proxy: ProxyFactory
) -> None:
    await run(
        people,
        "CREATE ROLE aq_asker LOGIN PASSWORD 'asks'",
        "CREATE FUNCTION aq_user(INOUT name text, OUT secret text) LANGUAGE sql SECURITY DEFINER SET search_path ="
        " pg_catalog AS 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = name'",
    )
    try:
        where: dict[str, Any] = {"primary": f"postgres://{HOST}:{people.port}/template1"}
        own = {**where, "auth_user": "aq_asker", "auth_dbname": "postgres", "auth_query": "SELECT * FROM aq_user($1)"}
        proxy = await start_proxy(
            {"auth_type": "md5", "users": {"aq_asker": {"password": "asks"}}},
            databases={"postgres": people, "other": own},
        )
        assert await enter(proxy, "aq_scram", database="other") == "aq_scram"
        assert (await enter(proxy, "aq_scram")).startswith("28P01")  # nobody asks there
    finally:
        await run(people, "DROP FUNCTION aq_user", "DROP ROLE aq_asker")


async def test_the_console_asks_where_auth_dbname_says(people: Postgres, start_proxy: ProxyFactory) -> None:
    for where, expected in (({}, "28P01"), ({"auth_dbname": "postgres"}, "ops")):
        proxy = await start_proxy({**ASKER, **where, "admin_users": ["aq_scram"]}, databases={"postgres": people})
        try:
            async with await psycopg.AsyncConnection.connect(
                proxy.dsn("trunkline", user="aq_scram", password="sesame"), autocommit=True
            ) as connection:
                await connection.execute("SHOW VERSION")
                outcome = "ops"
        except psycopg.OperationalError as error:
            outcome = "28P01" if "password authentication failed" in str(error) else str(error)
        assert outcome == expected


@pytest.mark.parametrize(
    ("query", "log"),
    [
        ("SELECT rolname FROM pg_authid WHERE rolname = $1", "expected 2 columns from auth_query, not 1"),
        ("SELECT $1::text, 'x' FROM generate_series(1, 2)", "contained 2 rows"),
        ("SELECT NULL, $1::text", "contained null user name"),
        ("SELECT nonsense($1)", "function nonsense(unknown) does not exist"),
        ("SELECT 1/0, $1::text", "division by zero"),
    ],
)
async def test_a_query_that_does_not_answer_is_told_in_the_log_alone(
    people: Postgres, start_proxy: ProxyFactory, query: str, log: str
) -> None:
    proxy = await start_proxy({**ASKER, "auth_query": query}, databases={"postgres": people})
    for _ in range(2):
        assert await enter(proxy, "aq_scram") == "F0000 bouncer config error"
    assert log in proxy.log


async def test_an_asker_who_is_refused_is_a_mistake_of_the_configuration(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    settings = {"auth_user": "aq_stranger", "users": {"aq_stranger": {"password": "x"}}}
    proxy = await start_proxy(settings, databases={"postgres": postgres})
    assert await enter(proxy, "aq_somebody") == "F0000 bouncer config error"
    assert 'password authentication failed for user "aq_stranger"' in proxy.log


async def test_a_server_that_is_away_is_told_and_asked_again_when_it_is_back(
    own_postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    await own_postgres.create_role("aq_own", "sesame")
    proxy = await start_proxy(ASKER, databases={"postgres": own_postgres})
    assert await enter(proxy, "aq_own") == "aq_own"
    await own_postgres.restart()
    assert await enter(proxy, "aq_own") == "aq_own"
    await own_postgres.stop()
    said = await asyncio.gather(*(enter(proxy, user) for user in ("aq_own", "aq_own", "aq_nobody")))
    assert {words.split()[0] for words in said} == {"08001"}
    await own_postgres.start()
    assert await enter(proxy, "aq_own") == "aq_own"


async def test_many_logins_share_their_questions_and_one_connection(
    people: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy(ASKER, databases={"postgres": people})
    users = ["aq_scram", "aq_tomorrow", "aq_nobody", "aq_expired"] * 5
    said = await asyncio.gather(*(enter(proxy, user) for user in users))
    assert [words.split()[0] for words in said] == ["aq_scram", "aq_tomorrow", "28P01", "28P01"] * 5
    rows = await people.fetch("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trunkline auth_query'")
    assert rows[0][0] == 1


async def test_a_connection_that_nobody_asks_on_is_closed(people: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({**ASKER, "server_idle_timeout": 0.2}, databases={"postgres": people})
    assert await enter(proxy, "aq_scram") == "aq_scram"

    async def gone() -> bool:
        rows = await people.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trunkline auth_query'"
        )
        return rows[0][0] == 0

    await wait_until(gone)
    assert await enter(proxy, "aq_scram") == "aq_scram"


async def test_a_reload_changes_who_asks_and_what(people: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy(ASKER, databases={"postgres": people})
    assert await enter(proxy, "aq_scram") == "aq_scram"
    proxy.write_config({**ASKER, "auth_query": "SELECT $1::text, NULL"}, {"postgres": people})
    await proxy.reload()
    assert (await enter(proxy, "aq_scram")).startswith("28P01")
