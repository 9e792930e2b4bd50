"""PgBouncer's file written as TOML: it means the same, whatever the file says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import toml_file
from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.pgbouncer.importing import imported
from trunkline.config.pgbouncer.reader import load

MAIN = "[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = trust\n"

NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True).filter(
    lambda name: name not in ("trunkline", "pgbouncer")
)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\x7f\t"), min_size=1, max_size=12)
SIZES = st.integers(0, 99).map(str)
TIMES = st.floats(0, 1e6, allow_nan=False).map(lambda seconds: f"{seconds:.3f}")
MODES = st.sampled_from(("session", "Transaction", "STATEMENT"))
GLOBAL = {
    "default_pool_size": st.integers(100, 200).map(str),
    "max_db_connections": SIZES,
    "server_lifetime": TIMES,
    "query_timeout": TIMES,
    "log_stats": st.sampled_from(("0", "1", "2", "-1", "0x0")),
    "pool_mode": MODES,
    "admin_users": st.lists(NAMES).map(" ".join),
    "server_check_query": WORDS,
    "unix_socket_mode": st.integers(0, 0o777).map(lambda mode: f"0{mode:o}"),
    "pkt_buf": SIZES,
    "max_packet_size": st.sampled_from(("-1", "2048", "0x7fffffff")),
}
DATABASE = {
    "host": st.lists(NAMES, min_size=1, max_size=3).map(",".join),
    "port": st.integers(1, 65535).map(str),
    "dbname": WORDS,
    "user": WORDS,
    "pool_size": SIZES,
    "reserve_pool": SIZES,
    "reserve_pool_size": st.just("-1"),
    "pool_mode": MODES,
    "connect_query": WORDS,
    "server_lifetime": st.integers(0, 99).map(str),
    "client_encoding": WORDS,
}
USER = {"pool_mode": MODES, "pool_size": SIZES, "max_user_connections": SIZES, "query_timeout": SIZES}


def pairs(keys: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    return st.fixed_dictionaries({}, optional=keys).map(
        lambda chosen: " ".join(f"{key}='{value.replace(chr(39), chr(39) * 2)}'" for key, value in chosen.items())
    )


def section(name: str, keys: dict[str, st.SearchStrategy[str]], at_least: int) -> st.SearchStrategy[str]:
    entries = st.dictionaries(st.one_of(NAMES, st.just("*")), pairs(keys), min_size=at_least, max_size=4)
    return entries.map(lambda all_: f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in all_.items()))


@st.composite
def files(draw: st.DrawFn) -> str:
    chosen = draw(st.fixed_dictionaries({}, optional=GLOBAL))
    settings = "".join(f"{key} = {value}\n" for key, value in chosen.items())
    return draw(section("databases", DATABASE, 1)) + MAIN + settings + draw(section("users", USER, 0))


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@given(text=files())
def test_what_is_written_means_the_same(directory: Path, text: str) -> None:
    ini, toml = directory / "pgbouncer.ini", directory / "trunkline.toml"
    ini.write_text(text)
    toml.write_text(imported(str(ini)))
    assert replace(toml_file.load(toml), source="") == replace(load(ini), source="")


def test_every_setting_of_the_file_is_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "users").write_text('"bob" "hush"\n')
    file = tmp_path / "pgbouncer.ini"
    file.write_text(
        "[databases]\na = host=x reserve_pool=1\n" + MAIN + f"pkt_buf = 1\nsbuf_loopcnt=5\nauth_file={tmp_path}/users\n"
    )
    text = imported(str(file))
    table = [line.removeprefix("#").split() for line in text.splitlines() if line.startswith("#")]
    assert ["listen_addr", "127.0.0.1", "kept"] in table
    assert ["sbuf_loopcnt", "5", "ignored:", "it", "is", "PgBouncer's", "default"] in table
    assert any(row[:3] == ["pkt_buf", "1", "ignored:"] for row in table)
    assert any(row[:3] == ["reserve_pool", "of", "a"] and "reserve_pool_size" in row for row in table)
    assert 'pool_mode = "session"  # PgBouncer\'s default' in text
    assert f'auth_file = "{tmp_path}/users"' in text and "hush" not in text


def test_a_path_is_absolute_in_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users").write_text('"bob" "hush"\n')
    (tmp_path / "p.ini").write_text("[databases]\na = host=x\n" + MAIN + "auth_file = users\n")
    assert f'auth_file = "{tmp_path}/users"' in imported("p.ini")


def test_what_pgbouncer_starts_with_and_toml_does_not_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.ini").write_text(MAIN)
    with pytest.raises(ConfigErrors, match="no database is configured"):
        imported(str(tmp_path / "p.ini"))
