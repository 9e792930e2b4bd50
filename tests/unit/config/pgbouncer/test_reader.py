"""A pgbouncer.ini as a Config: PgBouncer's defaults, its resets, every error at its place, and warnings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from trunkline.config.choices import PoolMode
from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.pgbouncer.reader import Document, load
from trunkline.config.settings import Config, PeerSettings
from trunkline.config.toml_file import load as load_toml

MAIN = "[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = trust\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pgbouncer.ini"


def read(file: Path, text: str) -> Config:
    file.write_text(text)
    return load(file)


def errors(file: Path, text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(ConfigErrors) as raised:
        read(file, text)
    return [(wrong.line, wrong.column, wrong.message) for wrong in raised.value.diagnostics]


def warnings(file: Path, text: str) -> list[tuple[int, int, str]]:
    return [(told.line, told.column, told.message) for told in read(file, text).warnings]


def test_pgbouncers_defaults_hold(file: Path) -> None:
    settings = read(file, "[pgbouncer]\n").settings
    assert (settings.listen_addr, settings.unix_socket_dir, settings.listen_port) == ("", "/tmp", 6432)
    assert (settings.pool_mode, settings.max_client_conn, settings.auth_type) == (PoolMode.SESSION, 100, "md5")


def test_a_database_has_what_its_connection_string_says(file: Path) -> None:
    text = (
        "[databases]\nshop = host=a,b port=5433 dbname=s user=u password='p''w' pool_size=3 reserve_pool=2 "
        "min_pool_size=1 pool_mode=Transaction max_db_connections=9 connect_query='SELECT 1' client_encoding=UTF8 "
        "datestyle=ISO timezone=UTC application_name=x load_balance_hosts=disable server_lifetime=60\n"
    )
    shop = read(file, text + MAIN).databases["shop"]
    assert (shop.hosts, shop.port, shop.dbname, shop.user, shop.password) == (("a", "b"), 5433, "s", "u", "p'w")
    assert (shop.pool_size, shop.reserve_pool_size, shop.min_pool_size, shop.max_db_connections) == (3, 2, 1, 9)
    assert (shop.pool_mode, shop.connect_query, shop.server_lifetime) == (PoolMode.TRANSACTION, "SELECT 1", 60)
    assert (shop.client_encoding, shop.datestyle, shop.timezone, shop.application_name) == ("UTF8", "ISO", "UTC", "x")
    assert shop.load_balance_hosts == "disable"


def test_a_database_without_a_host_is_behind_the_unix_socket(file: Path) -> None:
    config = read(file, "[databases]\na =\n* = port=5433\n[pgbouncer]\nunix_socket_dir = /run\n")
    assert config.databases["a"].hosts == ("/run",)
    fallback = config.database("anything")
    assert fallback is not None and (fallback.hosts, fallback.port) == (("/run",), 5433)


def test_a_negative_size_is_the_global_one(file: Path) -> None:
    config = read(file, "[databases]\na = host=x pool_size=-1\n" + MAIN + "default_pool_size=7\n")
    assert config.pool_settings("a", "u").pool_size == 7


def test_users_have_their_settings(file: Path) -> None:
    config = read(file, MAIN + "[users]\nbob = pool_mode=statement max_user_connections=3 query_timeout=4\n")
    bob = config.users["bob"]
    assert (bob.pool_mode, bob.max_user_connections, bob.query_timeout) == (PoolMode.STATEMENT, 3, 4.0)


def test_the_last_of_equal_names_is_meant(file: Path) -> None:
    config = read(file, "[databases]\na = host=x port=1 port=2\na = host=y\n" + MAIN + "verbose=1\nverbose=2\n")
    assert (config.databases["a"].hosts, config.databases["a"].port) == (("y",), 5432)
    assert config.settings.verbose == 2


def test_a_second_header_sets_back_what_has_a_default(file: Path) -> None:
    settings = read(file, "[pgbouncer]\nlisten_port=1\nverbose=1\n[databases]\n[pgbouncer]\n").settings
    assert (settings.listen_port, settings.verbose) == (6432, 1)


def test_what_is_no_longer_there_has_its_default_at_the_next_reading(file: Path) -> None:
    assert read(file, MAIN + "max_client_conn=7\n").settings.max_client_conn == 7
    assert read(file, MAIN).settings.max_client_conn == 100


def test_a_setting_of_ours_may_stand_in_the_file(file: Path) -> None:
    assert read(file, MAIN + "session_state = pgbouncer\ndrain_timeout = 2min\n").settings.drain_timeout == 120


def test_peers_are_numbers_with_an_address(file: Path) -> None:
    said = MAIN + "peer_id = 0x10\n[peers]\n1 = host=a\n2 = host=/tmp port=6433 pool_size=5\n"
    found = read(file, said)
    assert found.settings.peer_id == 16
    assert found.peers == {1: PeerSettings(1, "a"), 2: PeerSettings(2, "/tmp", 6433, 5)}


def test_paths_are_relative_to_the_working_directory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users.txt").write_text('"bob" "secret"\n')
    assert read(file, "[pgbouncer]\nauth_file = users.txt\n").secrets == {"bob": "secret"}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (MAIN + "foo = 1\n", 4, 1, "unknown setting `foo`"),
        (MAIN + "POOL_MODE = session\n", 4, 1, "unknown setting `POOL_MODE`"),
        (MAIN + "  log_stats = yes\n", 4, 15, "`log_stats`: must be a whole number"),
        (MAIN + "query_timeout = 5s\n", 4, 17, "`query_timeout`: must be a number of seconds"),
        (MAIN + "pool_mode = foo\n", 4, 13, "`pool_mode`: unknown value `foo`"),
        (MAIN + "pool_mode =\n", 4, 12, "`pool_mode`: unknown value ``"),
        (MAIN + "peer_id = 16384\n", 4, 11, "`peer_id`: must be from 0 to 16383"),
        (MAIN + "[peers]\n0 = host=x\n", 5, 1, "`0` is no number of a peer"),
        (MAIN + "[peers]\none = host=x\n", 5, 1, "`one` is no number of a peer"),
        (MAIN + "[peers]\n1 = port=1\n", 5, 1, "peer `1` has no host"),
        (MAIN + "[peers]\n1 = host=x user=u\n", 5, 12, "unknown setting `user`"),
        (MAIN + "[foo]\n", 4, 2, "unknown section `foo`"),
        ("a = b\n" + MAIN, 1, 1, "`a` stands before any section"),
        ("[databases]\na = host=x\n", 0, 0, "there is no section [pgbouncer]"),
        ("[databases]\na = host=x foo=1\n" + MAIN, 2, 12, "unknown setting `foo`"),
        ("[databases]\na = host=x  port='0'\n" + MAIN, 2, 19, "`port`: must be from 1 to 65535"),
        ("[databases]\na = host='x\n" + MAIN, 2, 10, "a quote is not closed"),
        ("[databases]\npgbouncer =\n" + MAIN, 2, 1, "`pgbouncer` is the console's own name"),
        ("[databases]\n= x\n" + MAIN, 2, 3, "not key=value"),
        (MAIN + "[users]\nu = pool_size=1 foo=1\n", 5, 17, "unknown setting `foo`"),
    ],
)
def test_an_error_has_its_place(file: Path, text: str, line: int, column: int, words: str) -> None:
    assert (line, column, words) in errors(file, text)


def test_all_errors_are_told_at_once(file: Path) -> None:
    text = "[databases]\na = port=0\n!\n[pgbouncer]\nfoo=1\nverbose=x\n"
    assert [(line, column) for line, column, _ in errors(file, text)] == [(2, 10), (3, 1), (5, 1), (6, 9)]


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("pkt_buf = 8192", 1, "`pkt_buf` has no effect: the process has one buffer, which fits what arrives"),
        ("min_pool_size = 30", 17, "above default_pool_size, which is 20"),
        ("client_tls_protocols = tlsv1.1,tlsv1.2", 24, "tlsv1.1 is not spoken: "),
    ],
)
def test_what_has_no_meaning_here_is_a_warning(file: Path, line: str, column: int, words: str) -> None:
    told = warnings(file, "[databases]\na = host=x\n" + MAIN + line + "\n")
    assert [(number, at, text[: len(words)]) for number, at, text in told] == [(6, column, words)]


@pytest.mark.parametrize(
    "line", ["pkt_buf=4096", "auth_hba_file=", "auth_user=", "disable_pqexec=0", "peer_id=0", "job_name=pgbouncer"]
)
def test_a_default_that_is_written_down_is_no_warning(file: Path, line: str) -> None:
    assert warnings(file, "[databases]\na = host=x\n" + MAIN + line + "\n") == []


def test_pgbouncer_starts_with_what_we_would_refuse_elsewhere(file: Path) -> None:
    told = warnings(file, "[databases]\na = password=x pool_size=20;\n[pgbouncer]\n")
    assert [words for _, _, words in told] == [
        "`pool_size` is 20: only the number at the beginning of a value counts",
        "a password without a user has no effect",
        "auth_type md5 needs passwords, and there are none",
    ]
    assert [words for _, _, words in warnings(file, MAIN)] == ["no database is configured"]


def test_the_last_line_of_a_user_counts(file: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.write_text('"bob" "old"\n"bob" "new"\n')
    config = read(file, "[databases]\na = host=x\n" + MAIN + f"auth_file = {users}\n")
    assert config.secrets == {"bob": "new"}
    assert [str(told) for told in config.warnings] == [f"{users}:2:1: user `bob` is listed twice"]


def test_no_password_is_shown(file: Path) -> None:
    file.write_text("[databases]\na = password='it''s' foo=1\nb = password=hush host='x\n" + MAIN)
    with pytest.raises(ConfigErrors) as raised:
        load(file)
    assert "it" not in raised.value.render().replace("write", "") and "hush" not in raised.value.render()


def test_places_are_those_of_the_file_that_was_included(file: Path, tmp_path: Path) -> None:
    (tmp_path / "more.ini").write_text("\nfoo = 1\n")
    with pytest.raises(ConfigErrors) as raised:
        read(file, MAIN + f"%include {tmp_path}/more.ini\n")
    (wrong,) = [w for w in raised.value.diagnostics if "foo" in w.message]
    assert (wrong.file, wrong.line) == (f"{tmp_path}/more.ini", 2)


def test_a_document_says_where_its_settings_stand() -> None:
    place = Document(MAIN, "f").place(("auth_type",), "value")
    assert place is not None and (place.line, place.column) == (3, 13)


def test_the_environment_wins(file: Path) -> None:
    file.write_text(MAIN)
    assert load(file, {"TRUNKLINE_MAX_CLIENT_CONN": "3"}).settings.max_client_conn == 3


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(ConfigErrors, match="no such file"):
        load(file)


def test_a_wrong_line_of_the_hba_file_is_passed_over_with_a_warning(file: Path, tmp_path: Path) -> None:
    """As PgBouncer does; in TOML it is an error."""
    hba = tmp_path / "hba.conf"
    hba.write_text("host all all nonsense trust\nhost all all 127.0.0.1/32 trust\n")
    text = "[databases]\napp = host=h\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = hba\n"
    config = read(file, f"{text}auth_hba_file = {hba}\n")
    assert [(told.file, told.line) for told in config.warnings] == [(str(hba), 1)]
    assert len(config.hba.rules) == 1
    toml = tmp_path / "trunkline.toml"
    toml.write_text(f'auth_type = "hba"\nauth_hba_file = "{hba}"\n[databases.app]\nprimary = "postgres://h/app"\n')
    with pytest.raises(ConfigErrors):
        load_toml(toml)


def test_values_are_of_the_types_that_drivers_take(file: Path) -> None:
    """asyncpg's startup takes a `str` for a name, and nothing that is made of one."""
    database = "[databases]\na = host=h,i dbname=d user=u password=p auth_user=x auth_query='SELECT $1, 1'\n"
    config = read(file, f"{database}[users]\nu = pool_mode=session\n{MAIN}auth_user = ann\nlogfile = /tmp/x\n")

    def odd(value: object) -> list[object]:
        if dataclasses.is_dataclass(value):
            return [one for name in value.__dataclass_fields__ for one in odd(getattr(value, name))]
        if isinstance(value, tuple | list | frozenset):
            return [one for item in value for one in odd(item)]
        if isinstance(value, dict):
            return [one for item in value.items() for one in odd(item)]
        return [value] if isinstance(value, str) and type(value).__name__ == "Text" else []

    assert odd(config) == []
