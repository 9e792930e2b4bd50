"""The demo's client, at a real server: it hears every answer, and every error by its code."""

from __future__ import annotations

import pytest

from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from trunkline.demo.session import CONNECTION_LOST, Answer, Session
from trunkline.errors import ServerRefused


async def test_it_hears_rows_and_errors_and_knows_of_its_block(postgres: Postgres) -> None:
    async with await Session.open(postgres.port, "postgres", USER, PASSWORD) as session:
        assert await session.ask("SELECT 1, NULL UNION ALL SELECT 2, ''") == Answer(([b"1", None], [b"2", b""]))
        await session.ask("BEGIN")
        assert session.in_block
        answer = await session.ask("SELECT 1/0")
        assert (answer.code, answer.text) == ("22012", "division by zero")
        assert session.in_block
        await session.ask("ROLLBACK")
        assert not session.in_block


async def test_it_is_a_client_of_trunkline_too(proxy: Proxy) -> None:
    async with await Session.open(proxy.port, "postgres", USER, PASSWORD) as session:
        assert (await session.ask("SELECT 1")).rows == ([b"1"],)


async def test_a_refused_login_is_an_error(postgres: Postgres) -> None:
    with pytest.raises(ServerRefused, match="password authentication failed"):
        await Session.open(postgres.port, "postgres", USER, "wrong")


async def test_a_connection_that_ends_is_told_as_its_last_words(postgres: Postgres) -> None:
    async with await Session.open(postgres.port, "postgres", USER, PASSWORD) as session:
        answer = await session.ask("SELECT pg_terminate_backend(pg_backend_pid())")
        assert answer.code == CONNECTION_LOST
