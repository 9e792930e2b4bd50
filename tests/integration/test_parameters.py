"""Parameters of a session: they follow their client from server to server, and the server judges what they are.

[1c ParameterStatus]
"""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.transcript import session, shape, transact
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse, query, rows

FOLLOWING = [
    ("application_name", "it's \\mine", "another"),
    ("client_encoding", "LATIN1", "UTF8"),
    ("DateStyle", "German, DMY", "ISO, MDY"),
    ("TimeZone", "America/St_Johns", "UTC"),
    ("IntervalStyle", "iso_8601", "postgres"),
    ("standard_conforming_strings", "off", "on"),
]


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


async def value_of(wire: Wire, name: str) -> str:
    return (rows(await wire.query(f"SELECT current_setting('{name}')"))[0][0] or b"").decode()


# --- changed in the session -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "first_value", "second_value"), FOLLOWING)
async def test_a_reported_parameter_follows_its_client(
    pool_of_one: Proxy, name: str, first_value: str, second_value: str
) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        for wire, value in ((first, first_value), (second, second_value)):
            await wire.query(f"SELECT set_config('{name}', $${value}$$, false)")
        for _ in range(3):
            assert await value_of(first, name) == first_value
            assert await value_of(second, name) == second_value


async def test_a_client_that_set_nothing_has_the_defaults(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as plain, session(pool_of_one) as other:
        before = await value_of(plain, "TimeZone")
        await other.query("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'")
        assert await value_of(plain, "TimeZone") == before
        assert await value_of(other, "DateStyle") == "SQL, DMY"


async def test_the_client_hears_of_its_own_changes_only(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        frames = await first.query("SET TimeZone = 'Asia/Tokyo'")
        assert [frame.body for frame in frames if frame.type == "S"] == [b"TimeZone\0Asia/Tokyo\0"]
        for wire in (second, first, second):
            assert [frame.type for frame in await wire.query("SELECT 1")] == list("TDCZ")


async def test_a_change_that_is_rolled_back_does_not_follow(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        before = await value_of(first, "TimeZone")
        await first.query("BEGIN; SET TimeZone = 'Asia/Tokyo'")
        await first.query("ROLLBACK")
        await second.query("SET TimeZone = 'Asia/Seoul'")
        assert await value_of(first, "TimeZone") == before


async def test_parameters_follow_in_the_extended_protocol(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as first, session(pool_of_one) as second:
        await transact(first, parse("SET TimeZone = 'Asia/Tokyo'"), bind(), execute(), SYNC)
        await second.query("SET TimeZone = 'Asia/Seoul'")
        ask = parse("SHOW TimeZone") + bind() + execute() + SYNC
        frames = await transact(first, ask)
        assert shape(frames) == "12DCZ"
        assert rows(frames) == [[b"Asia/Tokyo"]]


# --- asked for at startup ---------------------------------------------------------------------------------------

STARTUP = [
    ({"application_name": "mine"}, "application_name"),
    ({"options": "-c statement_timeout=12345"}, "statement_timeout"),
    ({"options": "-c search_path=pg_catalog,public -c work_mem=5MB"}, "search_path"),
    ({"options": "--work-mem=7MB"}, "work_mem"),
    ({"options": r"-c application_name=with\ space"}, "application_name"),
    ({"extra_float_digits": "0"}, "extra_float_digits"),
    ({"search_path": '"$user", pg_catalog'}, "search_path"),
    ({"datestyle": "iso, dmy"}, "DateStyle"),
    ({"DateStyle": "German"}, "DateStyle"),
    ({"client_encoding": "'utf-8'"}, "client_encoding"),
    ({"client_encoding": "latin1"}, "client_encoding"),
    ({"TimeZone": "Europe/Paris"}, "TimeZone"),
    ({"geqo": "off"}, "geqo"),
    ({"my.own": "it's"}, "my.own"),
]


@pytest.mark.parametrize(("parameters", "name"), STARTUP, ids=lambda value: str(value))
async def test_a_startup_parameter_means_what_it_means_to_postgresql(
    postgres: Postgres, pool_of_one: Proxy, parameters: dict[str, str], name: str
) -> None:
    async with session(postgres, **parameters) as direct:
        wanted = await value_of(direct, name)
        reported = direct.parameters
    async with session(pool_of_one, **parameters) as wire, session(pool_of_one) as other:
        unset = rows(await other.query(f"SELECT current_setting('{name}', true)"))
        for _ in range(2):
            assert await value_of(wire, name) == wanted
            assert rows(await other.query(f"SELECT current_setting('{name}', true)")) in (unset, [[b""]])
        assert wire.parameters == reported


@pytest.mark.parametrize(
    "parameters",
    [
        {"DateStyle": "nonsense"},
        {"client_encoding": "klingon"},
        {"TimeZone": "Mars/Olympus"},
        {"no_such_parameter": "1"},
        {"statement_timeout": "many"},
        {"options": "-c no_such_parameter=1"},
        {"options": "-c work_mem=1"},
        {"options": "-c wal_level=minimal"},
        {"shared_buffers": "1"},
    ],
    ids=str,
)
async def test_the_server_judges_what_is_invalid(
    postgres: Postgres, start_proxy: ProxyFactory, parameters: dict[str, str]
) -> None:
    pool_of_one = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres}, audited=False)
    refusals = []
    for server in (postgres, pool_of_one):
        async with await Wire.connect(server.port) as wire:
            await wire.send_startup({"user": USER, "database": "postgres", **parameters})
            fields = error_fields((await wire.login_with(USER, PASSWORD))[-1])
            refusals.append((fields["S"], fields["C"], fields["M"]))
    assert refusals[0] == refusals[1]
    async with session(pool_of_one) as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_refused_parameter_spoils_no_server(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        with pytest.raises(psycopg.OperationalError):
            await pool_of_one.connect(options="-c work_mem=9MB -c DateStyle=nonsense")
        assert await value_of(wire, "work_mem") == "4MB"


async def test_the_greeting_has_what_the_server_reports(postgres: Postgres, proxy: Proxy) -> None:
    async with session(postgres) as direct, session(proxy) as wire:
        assert wire.parameters == direct.parameters


async def test_the_clients_address_is_added_to_its_name(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"application_name_add_host": True}, databases={"postgres": postgres})
    async with session(proxy, application_name="mine") as wire:
        name = await value_of(wire, "application_name")
        host, port = wire.writer.get_extra_info("sockname")[:2]
        assert name == f"mine - {host}:{port}"


async def test_ignored_startup_parameters_are_dropped(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"ignore_startup_parameters": ["no_such_parameter", "TimeZone"]}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with session(postgres) as direct, session(proxy, no_such_parameter="1", TimeZone="Asia/Tokyo") as wire:
        assert await value_of(wire, "TimeZone") == await value_of(direct, "TimeZone")


async def test_parameters_of_the_database_are_the_servers_defaults(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    url = f"postgres://127.0.0.1:{postgres.port}/postgres"
    database = {"primary": url, "timezone": "Asia/Tokyo", "datestyle": "German", "application_name": "pooled"}
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": database})
    async with session(proxy) as plain, session(proxy, TimeZone="UTC") as own:
        for _ in range(2):
            assert await value_of(plain, "TimeZone") == "Asia/Tokyo"
            assert await value_of(own, "TimeZone") == "UTC"
            assert await value_of(plain, "DateStyle") == "German, DMY"


async def test_an_encoding_follows_its_client_into_the_bytes(pool_of_one: Proxy) -> None:
    async with session(pool_of_one, client_encoding="LATIN1") as latin, session(pool_of_one) as utf8:
        for _ in range(3):
            assert rows(await latin.query("SELECT chr(233)")) == [[b"\xe9"]]
            assert rows(await utf8.query("SELECT chr(233)")) == [["é".encode()]]


async def test_a_setting_with_a_backslash_is_replayed_as_it_is(pool_of_one: Proxy) -> None:
    name = "a\\' || pg_sleep(9) --"
    async with session(pool_of_one, application_name=name) as first, session(pool_of_one) as second:
        await second.query("SET standard_conforming_strings = off")
        for _ in range(2):
            assert await value_of(first, "application_name") == name
            assert rows(await second.query("SELECT 1")) == [[b"1"]]


async def test_a_query_close_behind_a_reset_takes_nothing_from_the_next_client(postgres: Postgres) -> None:
    """What the startup packet set comes back between the two, and that is over when the server is somebody else's."""
    settings = {"pool_mode": "transaction", "default_pool_size": 1}
    async with (
        Proxy(settings, databases={"postgres": postgres}) as proxy,
        session(proxy, TimeZone="Asia/Tokyo") as first,
    ):
        await first.query("SET TimeZone = 'Etc/UTC'")
        await first.send(query("RESET TimeZone") + query("SELECT 1"))
        for _ in range(2):
            await first.read_until("Z")
        async with session(proxy, TimeZone="Asia/Baku", DateStyle="German") as second:
            assert second.parameters["TimeZone"] == "Asia/Baku"
        assert rows(await first.query("SHOW TimeZone")) == [[b"Asia/Tokyo"]]
