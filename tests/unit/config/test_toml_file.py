"""A TOML file as a Config: what is right is read, what is wrong is said at once and in its place."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings, UserSettings
from trunkline.config.table import specs
from trunkline.config.toml_file import ConfigErrors, Diagnostic, load

DATABASE = '[databases.app]\nprimary = "postgres://10.0.0.5/app"\n'


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "trunkline.toml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def wrong(path: Path) -> list[Diagnostic]:
    with pytest.raises(ConfigErrors) as error:
        load(path)
    return error.value.diagnostics


def the_one(path: Path) -> Diagnostic:
    (diagnostic,) = wrong(path)
    return diagnostic


def test_a_whole_file_is_read(write, tmp_path: Path) -> None:
    write('"ops" "hush"\n', "userlist.txt")
    config = load(
        write(
            """
            listen_addr = "127.0.0.1"
            listen_port = 7432
            pool_mode = "session"
            query_wait_timeout = "200ms"
            max_packet_size = "1MB"
            auth_file = "userlist.txt"
            admin_users = ["ops"]
            server_round_robin = 1

            [databases.app]
            primary = "postgres://10.0.0.5:6000/app"
            replicas = ["postgres://10.0.0.6:5432/app"]
            pool_size = 5
            pool_mode = "statement"

            [databases."*"]
            host = "a,b"
            port = 6001

            [users.bob]
            pool_size = 2
            password = "secret"
            """
        )
    )
    assert config.settings.listen_port == 7432
    assert config.settings.pool_mode is PoolMode.SESSION
    assert config.settings.query_wait_timeout == 0.2
    assert config.settings.max_packet_size == 1048576
    assert config.settings.server_round_robin is True
    assert config.settings.auth_file == str(tmp_path / "userlist.txt")
    app = config.databases["app"]
    assert (app.hosts, app.port, app.dbname, app.user) == (("10.0.0.5",), 6000, "app", None)
    assert app.replicas[0].host == "10.0.0.6"
    assert (config.databases["*"].hosts, config.databases["*"].port) == (("a", "b"), 6001)
    assert config.secrets == {"ops": "hush", "bob": "secret"}
    assert config.pool_settings("app", "bob").pool_size == 2
    assert config.pool_settings("app", "bob").pool_mode is PoolMode.STATEMENT
    assert config.source == str(tmp_path / "trunkline.toml")


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(write) -> None:
    path = write(
        "listen_port = 99999\n"
        'pool_mode = "transacton"\n'
        "default_pool_sise = 3\n"
        "[databases.app]\n"
        'primary = "postgres://h:x/app"\n'
        'pool_size = "20"\n'
        "auth_query = 'x'\n"
        "[users.bob]\n"
        'password = "x"\n'
    )
    found = [(d.line, d.column, d.message, d.hint) for d in wrong(path)]
    assert found == [
        (1, 15, "`listen_port`: must be from 0 to 65535", ""),
        (2, 13, "`pool_mode`: unknown value `transacton`", "did you mean `transaction`?"),
        (3, 1, "unknown setting `default_pool_sise`", "did you mean `default_pool_size`?"),
        (5, 25, "the port is not a number from 1 to 65535", wrong(path)[3].hint),
        (6, 13, "`pool_size`: must be a whole number, not a string", "write 20 without quotes"),
        (7, 14, "`auth_query` does not ask for a user", "its name is $1"),
    ]


def test_a_caret_stands_under_the_value(write) -> None:
    rendered = the_one(write('auth_type = "trust"\npool_mode = "x"\n' + DATABASE)).render()
    assert '  2 | pool_mode = "x"\n    |             ^\n' in rendered


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a = ", 1, 5, "invalid value"),
        ("\na = 1\na = 2\n", 3, 6, "cannot overwrite"),
        ("[databases.a]\n[databases.a]\n", 2, 13, "cannot declare"),
        ('a = "x', 1, 7, "unterminated string"),
        ("[databases", 1, 11, "expected ']'"),
        (b"a = 1\nb = '\xff'\n", 2, 6, "0xff"),
        ("a = " + "[" * 5000, 0, 0, "nested too deeply"),
        ("a = " + "9" * 5000, 0, 0, "digits"),
    ],
)
def test_what_is_no_toml_is_placed_too(write, text: str | bytes, line: int, column: int, says: str) -> None:
    diagnostic = the_one(write(text))
    assert (diagnostic.line, diagnostic.column) == (line, column)
    assert says in diagnostic.message.lower()


def test_a_missing_file_and_a_directory_are_diagnostics(tmp_path: Path) -> None:
    assert "no such file" in the_one(tmp_path / "none.toml").message
    assert "is a directory" in the_one(tmp_path).message


@pytest.mark.parametrize("key", ["pkt_buf", "pool_idle_timeout"])
def test_settings_of_a_later_version_are_not_called_unknown(write, key: str) -> None:
    assert the_one(write(f"auth_type = 'trust'\n{key} = 2\n" + DATABASE)).message == f"`{key}` is not supported yet"


def test_reads_go_to_the_primary_or_a_replica(write) -> None:
    diagnostic = the_one(write("auth_type = 'trust'\n" + DATABASE + "reads = 'replicas'"))
    assert (diagnostic.line, "replica" in f"{diagnostic.message} {diagnostic.hint}") == (4, True)


@pytest.mark.parametrize(
    ("written", "caret", "says"),
    [
        ("{ url = 'postgres://a', wieght = 3 }", "3 }", "a replica has no `wieght`"),
        ("{ url = 'postgres://a', weight = -1 }", "-1", "a whole number from 0 to 1000"),
        ("{ url = 'postgres://a', weight = true }", "true", "a whole number from 0 to 1000"),
        ("{ url = 'postgres://a', zone = 1 }", "1 }", "a zone is a string"),
        ("{ url = 'postgres://a:port/app' }", "port/", "port"),
        ("{ weight = 3 }", "{ weight", "needs its `url`"),
        ("5", "5]", "a URL in quotes, or a table"),
        ("'postgres://h,i/a'", "'postgres://h,i", "one host"),
    ],
)
def test_what_is_wrong_with_a_replica_is_marked_where_it_stands(write, written: str, caret: str, says: str) -> None:
    line = f"replicas = ['postgres://first/app', {written}]"
    diagnostic = the_one(write("auth_type = 'trust'\n" + DATABASE + line))
    assert says in diagnostic.message
    assert (diagnostic.line, line[diagnostic.column - 1 :].startswith(caret)) == (4, True)


def test_a_setting_in_the_wrong_section_is_sent_to_the_right_one(write) -> None:
    diagnostic = the_one(write("auth_type = 'trust'\n" + DATABASE + "listen_port = 1\n"))
    assert diagnostic.hint == "it belongs to the top of the file"


@pytest.mark.parametrize("name", ["trunkline", "pgbouncer"])
def test_the_console_names_are_reserved(write, name: str) -> None:
    diagnostic = the_one(write(f"auth_type = 'trust'\n[databases.{name}]\nhost = 'h'\n"))
    assert diagnostic.message == f"`{name}` is the console's own name"
    assert (diagnostic.line, diagnostic.column) == (2, 12)


def test_a_section_must_be_a_table(write) -> None:
    assert the_one(write("auth_type = 'trust'\ndatabases = 5")).message == "must be a table, written [databases.NAME]"
    diagnostic = the_one(write("auth_type = 'trust'\n[users]\nbob = 5\n" + DATABASE))
    assert diagnostic.message == "must be a table, written [users.bob]"


def test_primary_and_host_together_are_one_too_many(write) -> None:
    assert "already in `primary`" in the_one(write("auth_type = 'trust'\n" + DATABASE + "host = 'h'\n")).message


def test_keys_beside_primary_win_over_the_url(write) -> None:
    config = load(write("auth_type = 'trust'\n" + DATABASE + "user = 'u'\npassword = 'p'\ndbname = 'other'\n"))
    app = config.databases["app"]
    assert (app.hosts, app.dbname, app.user, app.password) == (("10.0.0.5",), "other", "u", "p")


def test_a_url_parameter_of_libpq_is_sent_to_its_setting(write) -> None:
    diagnostic = the_one(write("auth_type='trust'\n[databases.a]\nprimary = 'postgres://h/a?sslmode=require'\n"))
    assert diagnostic.hint == "set server_tls_sslmode at the top of the file"
    assert diagnostic.source_line[diagnostic.column - 1 :].startswith("sslmode")


def test_a_missing_auth_file_is_said_where_it_is_named(write) -> None:
    diagnostic = the_one(write("auth_file = 'none.txt'\n" + DATABASE))
    assert diagnostic.line == 1
    assert "none.txt cannot be read: no such file" in diagnostic.message


def test_a_bad_userlist_is_said_with_its_own_lines(write, tmp_path: Path) -> None:
    write('"a" "x"\noops\n', "users.txt")
    diagnostic = the_one(write("auth_file = 'users.txt'\n" + DATABASE))
    assert (diagnostic.file, diagnostic.line) == (str(tmp_path / "users.txt"), 2)


def test_a_misspelt_setting_does_not_cause_a_second_error(write) -> None:
    assert the_one(write("auth_fil = 'users.txt'\n" + DATABASE)).hint == "did you mean `auth_file`?"


def test_the_environment_wins_over_the_file(write) -> None:
    path = write("auth_type = 'trust'\nlisten_port = 1000\n" + DATABASE)
    assert load(path, {"TRUNKLINE_LISTEN_PORT": "2000", "HOME": "/"}).settings.listen_port == 2000


def test_an_error_in_the_environment_is_placed_there(write) -> None:
    path = write("auth_type = 'trust'\npool_mode = 'session'\n" + DATABASE)
    with pytest.raises(ConfigErrors) as error:
        load(path, {"TRUNKLINE_POOL_MODE": "sesion"})
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.file, diagnostic.source_line) == ("environment", "TRUNKLINE_POOL_MODE=sesion")
    assert diagnostic.source_line[diagnostic.column - 1 :] == "sesion"


def test_no_error_shows_a_password(write) -> None:
    path = write(
        "[databases.app]\nprimary = 'postgres://u:hush@h:x/app'\nreplicas = ['postgres://u:hush@h:y']\n"
        "[databases.b]\nhost = 'h'\npassword = 'hush'\n[users.bob]\npassword = ['hush']\n"
    )
    with pytest.raises(ConfigErrors) as error:
        load(path)
    assert len(error.value.diagnostics) >= 3
    assert "hush" not in error.value.render() + str(error.value) + repr(error.value.diagnostics)


def read_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        config = load(path)
    except ConfigErrors as errors:
        assert errors.diagnostics
        assert errors.render(color=True)
    else:
        assert isinstance(config, Config)


ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@ANY_FILE
@given(data=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_config_or_errors(tmp_path: Path, data: bytes) -> None:
    read_or_refused(tmp_path / "any.toml", data)


KEYS = st.sampled_from(
    [key for t in (Settings, DatabaseSettings, UserSettings) for key in specs(t)] + ["primary", "x", "shards"]
)
WRITTEN = """1 -1 1e400 nan true '' 'a,b' '5s' [] ['a'] [1] {} 1979-05-27 'disable' 'trust' [[[]]] '.' '/nonexistent'
'postgres://u:p@h:1,i:2/d' 'postgres://%' "\\u0000" 9999999999999999999999999999"""
VALUES = st.sampled_from(WRITTEN.split())
HEADERS = st.sampled_from(
    ["[databases.app]", "[databases.'*']", "[databases]", "[users.bob]", "[[databases.x]]", "[users.'']"]
)
LINES = HEADERS | st.tuples(KEYS, VALUES).map(" = ".join)


@ANY_FILE
@given(lines=st.lists(LINES, max_size=8))
def test_any_mixture_of_real_keys_and_values_is_a_config_or_errors(tmp_path: Path, lines: list[str]) -> None:
    read_or_refused(tmp_path / "any.toml", "\n".join(lines).encode())
