"""How the clients of each language are installed, below ``build/compat``, and how a script of theirs is started.

The registries are whatever this machine's own configuration of pip, npm, Maven and apt names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.compat.clients import SCRIPTS, Client

BUILD = Path(__file__).parents[2] / "build" / "compat"
INSTALL_TIMEOUT_S = 600


class NotInstalled(Exception):
    """What a client needs is not to be had here; ``detail`` has the words of the tool that said so."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


@dataclass(frozen=True)
class Command:
    """How a client's script is started."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


def install(client: Client) -> Command:
    """Install what this client needs, if it is not there yet; ``NotInstalled`` when that cannot be done."""
    BUILD.mkdir(parents=True, exist_ok=True)
    return ECOSYSTEMS[client.ecosystem](client)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotInstalled(f"there is no {name} on this machine")
    return found


def _run(reason: str, *command: str | Path, cwd: Path | None = None) -> None:
    """Run a tool to its end; its output matters only when it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(reason, str(error)) from None
    if done.returncode:
        raise NotInstalled(reason, done.stdout.decode(errors="replace"))


# --- Python -----------------------------------------------------------------------------------------------------


def _python(client: Client) -> Command:
    environment = BUILD / "python"
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        _run("a virtual environment could not be made", sys.executable, "-m", "venv", environment)
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(
        f"pip could not install {', '.join(client.requires)}",
        interpreter,
        "-m",
        "pip",
        "install",
        *quiet,
        *client.requires,
    )
    return python_command(client, str(interpreter))


def python_command(client: Client, interpreter: str) -> Command:
    """The script with an interpreter that has what it needs."""
    # -B: the scripts are in the source tree, which is to stay as it is
    return Command((interpreter, "-B", str(client.path), *client.arguments))


# --- JavaScript -------------------------------------------------------------------------------------------------


def _javascript(client: Client) -> Command:
    node, prefix = _program("node"), BUILD / "javascript"
    prefix.mkdir(exist_ok=True)
    reason = f"npm could not install {', '.join(client.requires)}"
    _run(reason, _program("npm"), "install", "--no-audit", "--no-fund", "--prefix", prefix, *client.requires)
    return Command((node, str(client.path)), {"NODE_PATH": str(prefix / "node_modules")})


# --- Java -------------------------------------------------------------------------------------------------------


def _java(client: Client) -> Command:
    java, classes = _program("java"), BUILD / "java" / "classes"
    jar = _jar(*client.requires)
    sources = sorted((SCRIPTS / "java").glob("*.java"))
    compile_them = (_program("javac"), "-encoding", "UTF-8", "-d", classes, "-cp", jar)
    _run("the Java scripts do not compile", *compile_them, *sources)
    options = ("-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8")
    return Command((java, *options, "-cp", f"{jar}{os.pathsep}{classes}", client.path.stem, *client.arguments))


@cache
def _jar(artifact: str, package: str) -> Path:
    """The driver's newest release by Maven, else the one in Debian's package."""
    directory = BUILD / "java"
    directory.mkdir(exist_ok=True)
    reasons = []
    for fetch, name in ((_by_maven, artifact), (_by_apt, package)):
        try:
            return fetch(name, directory)
        except NotInstalled as refusal:
            reasons.append(refusal)
    raise NotInstalled(" and ".join(map(str, reasons)), "\n".join(refusal.detail for refusal in reasons))


def _by_maven(artifact: str, directory: Path) -> Path:
    target = directory / "maven"
    copy = (_program("mvn"), "--quiet", "--batch-mode", "dependency:copy", f"-Dartifact={artifact}")
    _run(f"Maven could not fetch {artifact}", *copy, f"-DoutputDirectory={target}", "-Dmdep.stripVersion=true")
    return target / f"{artifact.split(':')[1]}.jar"


def _by_apt(package: str, directory: Path) -> Path:
    """The package's files, without installing it: that would need to be root, and would stay."""
    target = directory / package
    jar = target / "usr" / "share" / "java" / "postgresql.jar"
    if not jar.exists():
        reason = f"apt could not fetch {package}"
        _run(reason, _program("apt-get"), "download", package, cwd=directory)
        _run(reason, _program("dpkg-deb"), "-x", *directory.glob(f"{package}_*.deb"), target)
    return jar


ECOSYSTEMS: Mapping[str, Callable[[Client], Command]] = {"python": _python, "javascript": _javascript, "java": _java}
