"""What `trunkline check --online` says of servers: of a real one, and of facts that no server at hand has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST
from trunkline.auth.md5 import md5_secret
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.pool.server_check import Facts, _judge, look_at_servers, parts_of

GOOD = Facts(version=160000, room=97, prepared=10, encrypted=True, passwords=None)
SHARDS = tuple(DatabaseSettings(f"shop/{name}", hosts=("h",)) for name in ("s0", "s1"))
APP = DatabaseSettings("app", hosts=("h",))


def config(
    *databases: DatabaseSettings, secrets: dict[str, str] | None = None, settings: Settings | None = None
) -> Config:
    return Config(settings or Settings(), {one.name: one for one in databases}, {}, secrets or {}, "test")


def said(read: Config, facts: Facts | str) -> list[str]:
    return [str(finding) for finding in _judge(read, "h:5432", list(parts_of(read)), facts)]


def test_a_server_that_fits_is_not_spoken_of() -> None:
    assert said(config(APP, replace(APP, name="other")), GOOD) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ("no route", "error: h:5432: cannot be asked: no route"),
        (replace(GOOD, version=120005), "error: h:5432: PostgreSQL 12 is too old, the oldest is 13"),
        (
            replace(GOOD, encrypted=False),
            "note: h:5432: the connection is not encrypted: server_tls_sslmode can demand it",
        ),
        (
            replace(GOOD, room=19),
            "note: h:5432: the pools may open 20 connections, and max_connections leaves 19: "
            "max_db_connections can bound them",
        ),
    ],
)
def test_what_does_not_fit_is_said(facts: Facts | str, sentence: str) -> None:
    assert said(config(APP), facts) == [sentence]


def test_the_pools_of_all_users_and_databases_of_a_server_are_added_up() -> None:
    users = {"ann": "pw", "bob": "pw"}
    forced = replace(APP, name="forced", user="ann", pool_size=3, reserve_pool_size=2)
    facts = replace(GOOD, room=44)
    assert "may open 45 connections" in said(config(APP, forced, secrets=users), facts)[0]
    bounded = config(APP, forced, secrets=users, settings=Settings(max_db_connections=30))
    assert said(bounded, facts) == []
    endless = config(APP, settings=Settings(default_pool_size=0))
    assert "has no end" in said(endless, facts)[0]


def test_a_server_is_near_only_where_its_address_says_so() -> None:
    facts = replace(GOOD, encrypted=False)
    for host in ("127.0.0.1", "::1", "localhost", "/run/postgresql"):
        assert said(config(replace(APP, hosts=(host,))), facts) == []


def test_secrets_are_compared_by_kind_and_by_letter() -> None:
    md5, other = md5_secret("ann", "pw"), md5_secret("ann", "other")
    scram = "SCRAM-SHA-256$4096:c2FsdA==$" + "A" * 43 + "=:" + "A" * 43 + "="
    ours = config(APP, secrets={"ann": md5, "bob": "plain", "eve": md5})
    assert said(ours, replace(GOOD, passwords={"ann": md5, "bob": scram})) == []
    for stored, what in ((scram, "one of kind scram-sha-256"), (other, "another one")):
        (sentence,) = said(ours, replace(GOOD, passwords={"ann": stored}))
        assert sentence == f"error: h:5432: user ann has a secret of kind md5 here, and {what} there: no login"


def test_shards_need_prepared_transactions_where_they_commit_in_two_phases() -> None:
    shop = DatabaseSettings("shop", shards=SHARDS)
    facts = replace(GOOD, prepared=0)
    assert said(config(shop), facts) == [
        "error: h:5432: max_prepared_transactions is 0: no transaction over several shards can commit"
    ]
    assert said(config(replace(shop, transaction_mode="single")), facts) == []
    assert said(config(APP), facts) == []


async def test_a_real_server_is_asked_once_for_all_its_databases(postgres: Postgres) -> None:
    server = DatabaseSettings("app", hosts=(HOST,), port=postgres.port, dbname="postgres")
    environ = {"PGUSER": "postgres", "PGPASSWORD": PASSWORD}
    read = config(server, replace(server, name="other"), settings=Settings(max_db_connections=5))
    assert await look_at_servers(read, environ) == []
    await postgres.fetch("DROP ROLE IF EXISTS check_hashed")
    await postgres.fetch("CREATE ROLE check_hashed LOGIN PASSWORD 'pw'")
    hashed = replace(read, secrets={"check_hashed": md5_secret("check_hashed", "pw")})
    (finding,) = await look_at_servers(hashed, environ)
    await postgres.fetch("DROP ROLE check_hashed")
    assert "user check_hashed has a secret of kind md5 here, and one of kind scram-sha-256 there" in finding.what
    (finding,) = await look_at_servers(read, environ | {"PGPASSWORD": "wrong"})
    assert finding.is_error and "password authentication failed" in finding.what
