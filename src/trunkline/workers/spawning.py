"""Starting our own program once more, with descriptors that it inherits: a worker, or the successor after an upgrade.

Contract: the new process runs the command line of this one; the environment variable says what it is to be, and by
which numbers it finds its descriptors. What is installed by then is what it runs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "TRUNKLINE_INHERITED"


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker gets from its supervisor: its number, and by which descriptors they talk."""

    number: int
    count: int
    port: int
    channel: int = -1
    connections: int = -1
    elders_before: int = 0  # as `Instance.start` has it


@dataclass(frozen=True, slots=True)
class Successor:
    """What a new program gets from the one that it replaces."""

    channel: int
    listening: tuple[int, ...] = ()
    metrics: int = -1
    control: int = -1
    lent: bool = False  # systemd's


Inherited = Worker | Successor
_KINDS: Mapping[str, type[Worker] | type[Successor]] = {"worker": Worker, "successor": Successor}


def start(what: Inherited, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """Run this program as that."""
    name = next(name for name, kind in _KINDS.items() if isinstance(what, kind))
    environ = {**os.environ, VARIABLE: json.dumps([name, asdict(what)])}
    return subprocess.Popen(command(), env=environ, pass_fds=descriptors, stdin=subprocess.DEVNULL)


def command() -> list[str]:
    """The command line that this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]


def inherited(environ: dict[str, str] | os._Environ[str]) -> Inherited | None:
    """What this process was started as, if not by hand; it is forgotten here, so that no child takes it for its own."""
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    name, values = json.loads(text)
    found: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return _KINDS[name](**found)


def adopt(descriptor: int) -> socket.socket:
    """An inherited socket, which no child of ours inherits in turn."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    return sock
