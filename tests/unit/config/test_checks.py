"""What must hold between settings."""

from pathlib import Path

import pytest

from trunkline.config.build import build
from trunkline.config.checks import is_loopback
from trunkline.config.diagnostics import ConfigErrors, Report

SHARD = {"name": "s", "primary": "postgres://h/a"}
GOOD = {"auth_type": "trust", "databases": {"app": {"host": "h"}}}


def messages(raw: dict[str, object], base: Path = Path()) -> list[str]:
    try:
        build(raw, Report("r"), base=base, source="s")
    except ConfigErrors as errors:
        return [d.message for d in errors.diagnostics]
    return []


def test_a_small_config_is_good() -> None:
    assert messages(GOOD) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"databases": {}}, "no database is configured"),
        ({"listen_addr": ""}, "nothing to listen on"),
        ({"databases": {"a": {}}}, "database `a` has no server"),
        ({"databases": {"a": {"host": "h", "password": "x"}}}, "a password without a user"),
        ({"min_pool_size": 21}, "above default_pool_size, which is 20"),
        (
            {"databases": {"a": {"host": "h", "pool_size": 3, "min_pool_size": 4}}},
            "min_pool_size 4 is above pool_size 3",
        ),
        ({"databases": {"a": {"host": "h", "min_pool_size": 21}}}, "min_pool_size 21 is above pool_size 20"),
        (
            {"min_pool_size": 5, "databases": {"a": {"host": "h", "pool_size": 3}}},
            "min_pool_size 5 is above pool_size 3",
        ),
        ({"auth_type": "scram-sha-256"}, "auth_type scram-sha-256 needs passwords, and there are none"),
        (
            {"databases": {"a": {"pool_mode": "session", "shards": [{"name": "s", "primary": "postgres://h/a"}]}}},
            "database `a` has shards, and pool_mode is session",
        ),
        (
            {"pool_mode": "session", "databases": {"a": {"shards": [{"name": "s", "primary": "postgres://h/a"}]}}},
            "database `a` has shards, and pool_mode is session",
        ),
        ({"auth_type": "md5"}, "auth_type md5 needs passwords, and there are none"),
        ({"auth_query": "SELECT 1, 2"}, "`auth_query` does not ask for a user"),
        ({"auth_dbname": "pgbouncer"}, "`pgbouncer` is the console, which knows no users"),
        (
            {"databases": {"app": {"host": "h", "auth_dbname": "ap"}}},
            "`ap` is no database of this configuration",
        ),
        ({"auth_type": "cert"}, "auth_type cert needs client certificates"),
        ({"auth_type": "hba"}, "auth_type hba needs rules"),
        ({"auth_type": "ldap"}, "`auth_ldap_options`: `ldapserver` is needed"),
        ({"auth_type": "any"}, "auth_type any needs a user for database `app`"),
        ({"server_tls_sslmode": "verify-full"}, "server_tls_sslmode verify-full needs server_tls_ca_file"),
    ],
)
def test_a_rule_that_is_broken_is_said(change: dict[str, object], says: str) -> None:
    assert messages(GOOD | change) == [says]


@pytest.mark.parametrize(
    "change",
    [
        {"default_pool_size": 0, "min_pool_size": 50},
        {"auth_type": "md5", "users": {"bob": {"password": "x"}}},
        {"auth_type": "any", "databases": {"a": {"host": "h", "user": "u"}}},
        {"listen_addr": "", "unix_socket_dir": "/tmp"},
        {"databases": {"a": {"host": "h", "user": "u", "password": "p"}}},
    ],
)
def test_what_is_allowed_is_not_complained_about(change: dict[str, object]) -> None:
    assert messages(GOOD | change) == []


def test_tls_needs_its_files() -> None:
    found = messages(GOOD | {"client_tls_sslmode": "require"})
    assert found == [
        "client_tls_sslmode require needs client_tls_key_file",
        "client_tls_sslmode require needs client_tls_cert_file",
    ]


def test_tls_files_must_exist_and_come_in_pairs(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("")
    found = messages(GOOD | {"server_tls_key_file": "key", "server_tls_ca_file": "none"}, tmp_path)
    assert found == ["needs server_tls_cert_file too", f"{tmp_path / 'none'} is not a file that can be read"]


def test_a_rule_is_silent_about_a_setting_that_was_refused() -> None:
    assert messages(GOOD | {"default_pool_size": -1, "min_pool_size": 21}) == [
        "`default_pool_size`: must be from 0 to 2147483647"
    ]


def test_a_rule_on_other_settings_still_speaks() -> None:
    assert len(messages(GOOD | {"listen_port": -1, "min_pool_size": 21})) == 2


@pytest.mark.parametrize(
    ("listen", "inside"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1, ::1", True),
        ("localhost", True),
        ("", True),
        ("*", False),
        ("0.0.0.0", False),
        ("127.0.0.1,10.0.0.1", False),
        ("db.example", False),
    ],
)
def test_loopback_is_told_from_the_world(listen: str, inside: bool) -> None:
    assert is_loopback(listen) is inside


def test_users_that_servers_know_need_no_file() -> None:
    assert messages(GOOD | {"auth_type": "md5", "auth_user": "asker"}) == []
    assert messages(GOOD | {"auth_type": "md5", "databases": {"app": {"host": "h", "auth_user": "asker"}}}) == []


def test_rules_for_members_of_roles_need_somebody_who_looks_them_up(tmp_path: Path) -> None:
    (tmp_path / "hba").write_text("host all +crew all trust")
    ruled = GOOD | {"auth_type": "hba", "auth_hba_file": "hba"}
    assert messages(ruled, tmp_path) == ["its members of roles are known to servers"]
    assert messages(ruled | {"auth_user": "asker"}, tmp_path) == []


def test_rules_that_ask_for_certificates_need_authorities(tmp_path: Path) -> None:
    (tmp_path / "hba").write_text("hostssl all all all cert")
    ruled = GOOD | {"auth_type": "hba", "auth_hba_file": "hba"}
    assert messages(ruled, tmp_path) == ["its method cert needs client certificates"]


def test_everything_wrong_in_the_files_of_rules_and_maps_is_told(tmp_path: Path) -> None:
    (tmp_path / "hba").write_text("nonsense\nlocal all all peer map=one\n")
    (tmp_path / "ident").write_text("one\n")
    ruled = GOOD | {"auth_type": "hba", "auth_hba_file": "hba", "auth_ident_file": "ident"}
    assert messages(ruled, tmp_path) == [
        "unknown type `nonsense`",
        "there is no map `one` in auth_ident_file",
        "not a line of an ident map",
    ]
    assert "none cannot be read" in messages(ruled | {"auth_hba_file": "none"}, tmp_path)[-1]


def test_rules_that_nobody_goes_by_are_not_read() -> None:
    assert messages(GOOD | {"auth_hba_file": "/none", "auth_ident_file": "/none"}) == []
