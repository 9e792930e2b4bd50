"""As whom and with what `check --online` logs in."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.postgres import PASSWORD, Postgres
from trunkline.auth.md5 import md5_secret
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.pool.online_login import FAILURES, log_in


def config(postgres: Postgres, secret: str = "", **more: object) -> tuple[Config, DatabaseSettings]:
    server = DatabaseSettings("app", hosts=("127.0.0.1",), port=postgres.port, dbname="postgres", **more)  # type: ignore[arg-type]
    secrets = {"postgres": secret} if secret else {}
    return Config(Settings(), {"app": server}, {}, secrets, "test"), server


@pytest.mark.parametrize("secret", ["", PASSWORD, md5_secret("postgres", PASSWORD)])
async def test_the_password_is_the_one_that_is_known_as_such_else_the_environment_s(
    postgres: Postgres, secret: str
) -> None:
    environ = {"PGUSER": "postgres", "PGPASSWORD": "wrong" if secret == PASSWORD else PASSWORD}
    read, server = config(postgres, secret)
    connection = await log_in(read, environ, server, server.addresses)
    assert await connection.fetchval("SELECT current_user") == "postgres"
    await connection.close()


async def test_a_database_s_own_user_and_password_come_first(postgres: Postgres) -> None:
    read, server = config(postgres, PASSWORD, user="postgres", password="wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await log_in(read, {"PGUSER": "nobody"}, server, server.addresses)
    assert issubclass(asyncpg.InvalidPasswordError, FAILURES)
