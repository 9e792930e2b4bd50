"""What the Python scripts share: steps that print what they got, each under a heading of its own.

A script runs as it is at PostgreSQL and through Trunkline, and both have to print the same. So it prints nothing that
two direct runs would not print alike: no process ids, no times, nothing that depends on a race.
"""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

HOST = os.environ["PGHOST"]
PORT = int(os.environ["PGPORT"])
USER = os.environ["PGUSER"]
PASSWORD = os.environ["PGPASSWORD"]
DATABASE = os.environ["PGDATABASE"]

UNICODE = ["", "plain", "naïve", "日本語", "🐘🦣", "a\tb\nc", "quote ' \" \\ back", "\u0001\u007f\u200b", "x" * 10_000]

_steps: list[Callable[[], Any]] = []


def step(function: Callable[[], Any]) -> Callable[[], Any]:
    """Make this function, plain or async, a step of the script; its name is the heading."""
    _steps.append(function)
    return function


def run(version: str) -> None:
    """Run all steps in order; one that raises is printed as failed, and the next ones go on."""
    faulthandler.dump_traceback_later(float(os.environ.get("COMPAT_STUCK_S", "45")), exit=True)
    sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")  # type: ignore[union-attr]
    print(f"# {version}")
    with asyncio.Runner() as loop:
        for function in _steps:
            print(f"== {function.__name__}")
            try:
                if inspect.iscoroutinefunction(function):
                    loop.run(function())
                else:
                    function()
            except Exception as error:
                print(f"FAILED {type(error).__name__}: {error}")


@contextmanager
def expecting(*errors: type[BaseException], show: Callable[[Any], Any] = str) -> Iterator[None]:
    """Print the error that has to come here."""
    try:
        yield
    except errors as error:
        print(f"{type(error).__name__}: {show(error)}")
    else:
        print("no error")


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of ``work(0)`` to ``work(count - 1)``, each in a thread of its own."""
    results: list[Any] = [None] * count

    def one(number: int) -> None:
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = f"FAILED {type(error).__name__}: {error}"

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def canceling(cancel: Callable[[], Any], statement: Callable[[], Any], *errors: type[BaseException]) -> None:
    """Run a statement that takes long, and cancel it until it has ended."""
    ended = threading.Event()

    def insist() -> None:
        while not ended.wait(0.2):
            cancel()

    thread = threading.Thread(target=insist)
    thread.start()
    try:
        with expecting(*errors):
            statement()
    finally:
        ended.set()
        thread.join()
