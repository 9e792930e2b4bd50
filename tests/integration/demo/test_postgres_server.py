"""One server: its address, its settings, its deaths."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg
import pytest

from tests.integration.postgres import Farm, Postgres
from tests.integration.waiting import wait_until
from trunkline.demo.postgres_server import PostgresServer
from trunkline.errors import ServerUnavailable


@pytest.mark.every_postgres
async def test_text_sorts_alike_on_every_version(postgres: Postgres) -> None:
    rows = await postgres.fetch(
        "SELECT string_agg(t, '' ORDER BY t) FROM unnest(ARRAY['b', 'B', 'a', 'ä', 'Z', '_']) t"
    )
    assert rows == [("BZ_abä",)]


async def test_it_listens_on_loopback_and_in_its_own_directory(postgres: Postgres) -> None:
    assert await postgres.fetch("SHOW listen_addresses") == [("127.0.0.1",)]
    assert (postgres.socket_directory / f".s.PGSQL.{postgres.port}").is_socket()
    options = {"host": str(postgres.socket_directory), "port": postgres.port, "user": "postgres"}
    with pytest.raises(psycopg.OperationalError, match="password"):
        await psycopg.AsyncConnection.connect(**options, password="wrong")


async def test_a_path_too_long_for_a_socket_gets_a_short_one(farm: Farm, flavour: str, tmp_path: Path) -> None:
    launcher = (await farm.get(flavour)).launcher
    server = PostgresServer(tmp_path / ("x" * 100), launcher)
    short = server.socket_directory
    assert len(str(short)) < 60 and short.is_dir()
    await server.stop()
    assert not short.exists()


async def test_a_long_directory_for_temporary_files_is_not_used_for_sockets(
    farm: Farm, flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("t" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    server = PostgresServer(tmp_path / ("x" * 100), (await farm.get(flavour)).launcher)
    assert len(str(server.socket_directory)) < 60
    await server.stop()


async def test_changed_settings_and_rules_are_reloaded(own_postgres: Postgres) -> None:
    own_postgres.settings["work_mem"] = "7MB"
    own_postgres.hba = "host all postgres 127.0.0.1/32 trust\n"
    own_postgres.reload()

    async def applied() -> bool:
        return await own_postgres.fetch("SHOW work_mem") == [("7MB",)]

    await wait_until(applied)
    connection = await psycopg.AsyncConnection.connect(own_postgres.dsn(password="wrong"))
    await connection.close()


async def test_a_promoted_replica_takes_writes(
    own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    replica = await own_postgres.basebackup_replica(own_postgres.directory.with_name("promoted"))
    async with replica:
        await replica.promote()
        await replica.fetch("CREATE TABLE written ()")
    replica.remove()


async def test_a_server_whose_port_was_taken_says_why_it_does_not_start(own_postgres: Postgres) -> None:
    await own_postgres.stop()
    with socket.create_server(("127.0.0.1", own_postgres.port)), pytest.raises(ServerUnavailable) as caught:
        await own_postgres.start()
    assert "Address already in use" in (caught.value.detail or "")
    await own_postgres.start()


async def test_a_failing_program_is_told_in_its_own_words(postgres: Postgres) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        await postgres.sql("SELECT nonsense")
    assert 'column "nonsense" does not exist' in (caught.value.detail or "")
