"""Failpoints: named instants at which a test can have this process fail, crash or dawdle.

`failpoint("cancel_sent")` stands where an exception or a crash would do the most harm. In production it costs nothing
in compiled modules, where it is a macro that is empty unless the build had TRUNKLINE_FAILPOINTS=1 (`failpoints.pxd`,
`setup.py`), and an empty call in Python modules, where no message is relayed.

The environment variable TRUNKLINE_FAILPOINTS, read when this module is imported, arms them:

    name=action[:hit],...   `hit` is at which time the point is passed; without it, at the first
    @path                   the same text in a file, read anew at each point, so that a test can arm while we run

A point that has acted is spent. Each name stands once in the code and once in the tests' table.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

log = logging.getLogger("trunkline.failpoints")

VARIABLE: Final = "TRUNKLINE_FAILPOINTS"
CRASH_EXIT_CODE: Final = 86
SLEEP_S: Final = 0.05  # the loop stands still, while clients and servers go on


class Injected(Exception):
    """What a failpoint raises: an error that nobody has foreseen."""


def _raise(name: str) -> None:
    raise Injected(name)


def _cancel(name: str) -> None:
    raise asyncio.CancelledError(name)


def _sleep(name: str) -> None:
    time.sleep(SLEEP_S)


def _crash(name: str) -> None:
    os._exit(CRASH_EXIT_CODE)


def _stop(name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


ACTIONS: Final[Mapping[str, Callable[[str], None]]] = {
    "raise": _raise,
    "cancel": _cancel,
    "sleep": _sleep,
    "crash": _crash,
    "stop": _stop,
}


class Armed:
    """What the variable says, and how often each point was passed since it says so."""

    def __init__(self, text: str) -> None:
        self._path = Path(text[1:]) if text.startswith("@") else None
        self._passed: Counter[str] = Counter()
        self._text = ""
        self._armed: dict[str, tuple[str, int]] = {}
        self._read(text if self._path is None else "")

    def _read(self, text: str) -> None:
        self._text = text
        self._passed.clear()
        self._armed = dict(_entry(part.strip()) for part in text.split(",") if part.strip())

    def hit(self, name: str) -> None:
        """The process is at this point."""
        if self._path is not None and (text := self._path.read_text()) != self._text:
            self._read(text)
        self._passed[name] += 1
        action, at = self._armed.get(name, ("", 0))
        if self._passed[name] == at:
            log.warning("failpoint %s: %s", name, action)
            ACTIONS[action](name)


def _entry(part: str) -> tuple[str, tuple[str, int]]:
    """name=action:hit, taken apart."""
    name, _, what = part.partition("=")
    action, _, at = what.partition(":")
    if action not in ACTIONS:
        raise ValueError(f"{VARIABLE}: {part!r} is not name=action[:hit]")
    return name, (action, int(at or 1))


def _pass_by(name: str) -> None:
    """Nothing is armed, and nothing can be any more."""


_text = os.environ.get(VARIABLE)
failpoint: Callable[[str], None] = Armed(_text).hit if _text else _pass_by
