"""Where the console is, by what is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import ConfigError
from trunkline.top.target import DEFAULT, url_of


def test_a_url_is_taken_as_it_is_and_nothing_is_the_default() -> None:
    assert url_of("postgres://h:1/x", {}) == "postgres://h:1/x"
    assert url_of(None, {}) == DEFAULT


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ('listen_addr = "*"\nadmin_users = ["boss"]', "postgres://boss:p%40ss@127.0.0.1:6432/pgbouncer"),
        ('listen_addr = "::1,h"\nstats_users = ["*", "eve"]', "postgres://eve@[::1]:6432/pgbouncer"),
        ('listen_addr = ""\nunix_socket_dir = "/run/x"', "postgres:///pgbouncer?host=%2Frun%2Fx&port=6432"),
    ],
)
def test_a_file_says_where_it_listens_and_who_may_look(tmp_path: Path, settings: str, url: str) -> None:
    (tmp_path / "userlist.txt").write_text('"boss" "p@ss"\n"eve" "md5' + "0" * 32 + '"\n')
    file = tmp_path / "trunkline.toml"
    file.write_text(f'auth_file = "userlist.txt"\n{settings}\n[databases.app]\nprimary = "postgres://h/app"\n')
    assert url_of(str(file), {}) == url


def test_a_file_that_is_wrong_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        url_of(str(tmp_path / "missing.toml"), {})
