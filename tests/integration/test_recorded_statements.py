"""What real servers write down of statements, in each form, is read as what was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.waiting import wait_until
from trunkline.routing.text.records import Form, Record, recognise, records

pytestmark = pytest.mark.every_postgres

SETTINGS = {
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "server.log",
    "log_destination": "stderr,csvlog,jsonlog",
    "log_statement": "all",
}
FILES = {Form.STDERR: "server.log", Form.CSVLOG: "server.csv", Form.JSONLOG: "server.json"}
LONG = 'SELECT\n\t\'a, "b"\',\n  $$LOG:  statement: no$$ AS "naïve"'
LAST = "SELECT 'the last'"


@pytest.fixture
async def logging_postgres(farm: Farm, flavour: str) -> AsyncIterator[Postgres]:
    async with farm.prepare(flavour, settings=SETTINGS) as server:
        yield server
    server.remove()


async def speak(server: Postgres) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database="postgres"
    )
    try:
        await connection.execute(LONG)
        for value in ("it's", None):
            await connection.fetch("SELECT $1::text, $2::int8", value, 42)
        await connection.execute("SET log_min_duration_statement = 0; SET log_statement = 'none'")
        await connection.execute("SELECT 1;\nSELECT 2")
        await connection.fetch("SELECT $1::int4", -7)
        await connection.execute("SET log_min_duration_statement = -1; SET log_statement = 'all'")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("SELECT 1 / 0")
        await connection.execute(LAST)
    finally:
        await connection.close()


async def test_each_form_of_log_says_what_was_sent(logging_postgres: Postgres) -> None:
    await speak(logging_postgres)
    for form, name in FILES.items():
        file = logging_postgres.data_directory / "log" / name

        async def has_all(file: Path = file) -> bool:
            return file.exists() and "the last" in file.read_text()

        await wait_until(has_all)
        text = file.read_text()
        assert recognise(text) is form
        said = [(one.sql.decode(), one.parameters) for one in records(text, form)]
        assert said[said.index((LONG, ())) :] == [
            (LONG, ()),
            ("SELECT $1::text, $2::int8", (b"it's", b"42")),
            ("SELECT $1::text, $2::int8", (None, b"42")),
            ("SET log_min_duration_statement = 0; SET log_statement = 'none'", ()),
            ("SELECT 1;\nSELECT 2", ()),
            ("SELECT $1::int4", (b"-7",)),
            ("SELECT 1 / 0", ()),
            (LAST, ()),
        ]
        assert all(
            LONG.split("\n", 1)[0] in text.split("\n")[one.line - 1] for one in records(text, form) if is_long(one)
        )


def is_long(record: Record) -> bool:
    return record.sql.decode() == LONG
