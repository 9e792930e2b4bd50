"""The terminal: a picture every few seconds, and keys. Plain ANSI, on a screen of its own that goes as it came."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator

from trunkline.pool.console_link import ConsoleLink
from trunkline.top.view import COMMANDS, Order, Sample, frame

HELP = "q: quit   s: sort   space: now"
ONCE_WIDTH = 200  # where nobody says how wide
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


async def sample(console: ConsoleLink) -> Sample:
    """Ask for all that a picture needs."""
    return Sample(time.monotonic(), {name: await console.rows(f"SHOW {name}") for name in COMMANDS})


async def once(url: str) -> None:
    """Print one picture, as long as it is."""
    async with await ConsoleLink.open(url) as console:
        now = await sample(console)
    print("\n".join(frame(now, None, Order.WAIT, shutil.get_terminal_size((ONCE_WIDTH, 0)).columns, 0)))


async def live(url: str, interval_s: float) -> None:
    """Show pictures until somebody says q."""
    async with await ConsoleLink.open(url) as console:
        now, before, order = await sample(console), None, Order.WAIT
        with _screen() as descriptor, _keys(descriptor) as keys:
            while True:
                _draw(now, before, order)
                key = await _key(keys, interval_s)
                if key in ("q", "Q", "\x03", "\x04"):
                    return
                if key == "s":
                    order = order.next
                else:
                    before, now = now, await sample(console)


def _draw(now: Sample, before: Sample | None, order: Order) -> None:
    size = shutil.get_terminal_size()
    lines = frame(now, before, order, size.columns, size.lines - 1)
    picture = "".join(f"{line}{_END_OF_LINE}\r\n" for line in lines)
    print(_HOME + picture + _END_OF_SCREEN + HELP[: size.columns - 1], end="", flush=True)


async def _key(keys: asyncio.Queue[str], wait_s: float) -> str:
    try:
        async with asyncio.timeout(wait_s):
            return await keys.get()
    except TimeoutError:
        return ""


@contextlib.contextmanager
def _screen() -> Iterator[int]:
    """Keys come at once and unseen; afterwards the terminal is as it was."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        print(_ENTER, end="", flush=True)
        yield descriptor
    finally:
        print(_LEAVE, end="", flush=True)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _keys(descriptor: int) -> Iterator[asyncio.Queue[str]]:
    keys: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def on_keys() -> None:
        for key in os.read(descriptor, 64).decode(errors="replace") or "q":  # no terminal any more
            keys.put_nowait(key)

    loop.add_reader(descriptor, on_keys)
    try:
        yield keys
    finally:
        loop.remove_reader(descriptor)
