"""The harness itself: every flavour of server runs, has its verbs, and comes back from a crash."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.postgres import Postgres, flavours_to_run
from tests.integration.proxy import toml
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields


@pytest.mark.every_postgres
async def test_each_flavour_answers_on_loopback_with_scram(postgres: Postgres) -> None:
    rows = await postgres.fetch("SELECT current_setting('server_version_num')::int / 10000, inet_server_addr()::text")
    assert rows == [(postgres.launcher.binaries.major, "127.0.0.1/32")]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(postgres.dsn(password="wrong"))


@pytest.mark.every_postgres
async def test_a_server_is_found_again_after_a_crash(own_postgres: Postgres) -> None:
    await own_postgres.fetch("CREATE TABLE kept AS SELECT 42 AS answer")
    port = own_postgres.port
    await own_postgres.kill()
    assert not own_postgres.is_running
    await own_postgres.start()
    assert own_postgres.port == port
    assert await own_postgres.fetch("SELECT answer FROM kept") == [(42,)]


async def test_the_replica_streams_and_refuses_writes(postgres: Postgres, replica: Postgres) -> None:
    await postgres.fetch("DROP TABLE IF EXISTS streamed; CREATE TABLE streamed AS SELECT 1 AS number")
    await postgres.wait_for_replicas()
    assert await replica.fetch("SELECT number FROM streamed") == [(1,)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await replica.fetch("DROP TABLE streamed")


async def test_the_tls_server_shows_a_certificate_of_our_authority(tls_postgres: Postgres, authority, tmp_path) -> None:
    options = {"sslmode": "verify-full", "sslrootcert": str(authority.write(tmp_path)), "host": "localhost"}
    connection = await psycopg.AsyncConnection.connect(tls_postgres.dsn(), **options)
    async with connection:
        assert connection.pgconn.ssl_in_use


async def test_roles_are_made_with_quoted_passwords(own_postgres: Postgres) -> None:
    await own_postgres.create_role("o'brien", "it's")
    connection = await psycopg.AsyncConnection.connect(own_postgres.dsn(user="o'brien", password="it's"))
    await connection.close()


@pytest.mark.every_postgres
@pytest.mark.parametrize("hash_type", ["scram-sha-256", "md5"])
async def test_the_wire_client_logs_in_and_queries(postgres: Postgres, hash_type: str) -> None:
    await postgres.fetch(f"SET password_encryption = '{hash_type}'; DROP ROLE IF EXISTS wire_{hash_type[:3]};")
    statement = f"SET password_encryption = '{hash_type}'; CREATE ROLE wire_{hash_type[:3]} LOGIN PASSWORD 'secret'"
    await postgres.fetch(statement)
    async with await Wire.connect(postgres.port) as wire:
        if hash_type == "md5":  # pg_hba.conf asks for SCRAM, which an md5 secret cannot do
            await wire.send_startup({"user": "wire_md5", "database": "postgres"})
            refusal = (await wire.login_with("wire_md5", "secret"))[-1]
            assert error_fields(refusal)["C"] == "28P01"
            return
        await wire.login("wire_scr", "secret", database="postgres")
        frames = await wire.query("SELECT 1; SELECT 'two'")
        assert [frame.type for frame in frames] == list("TDCTDCZ")


async def test_the_wire_client_cancels(postgres: Postgres) -> None:
    async with await Wire.connect(postgres.port) as wire:
        await wire.login("postgres", postgres.password)
        await wire.send_query("SELECT pg_sleep(60)")
        sleeping = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep' AND pid = %s"
        await wait_until(lambda: postgres.fetch(sleeping, wire.backend_pid))
        await Wire.cancel(postgres.port, wire.backend_pid, wire.cancel_key)
        frames = await wire.read_until("Z")
        assert error_fields(next(frame for frame in frames if frame.type == "E"))["C"] == "57014"


async def test_the_wire_client_speaks_tls(tls_postgres: Postgres) -> None:
    async with await Wire.connect(tls_postgres.port) as wire:
        assert await wire.request_tls() == b"S"
        await wire.login("postgres", tls_postgres.password)
        assert (await wire.query("SELECT 1"))[-1].body == b"I"


def test_the_environment_decides_over_the_mark() -> None:
    assert flavours_to_run(True, {"TRUNKLINE_TEST_PG": "embedded"}) == ["embedded"]
    assert flavours_to_run(False, {"TRUNKLINE_TEST_PG": "system"}) == ["system"]
    with pytest.raises(pytest.UsageError):
        flavours_to_run(False, {"TRUNKLINE_TEST_PG": "oracle"})


def test_configurations_are_written_as_toml() -> None:
    import tomllib

    table = {
        "a": 1,
        "b": ['x"y', "ü"],
        "databases": {"*": {"primary": "postgres://h/d", "on": True}, "e": {"f": {"g": 2.5}}},
    }
    assert tomllib.loads(toml(table)) == table
