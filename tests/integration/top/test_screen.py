"""`trunkline top` as a program: once for scripts, and live in a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator

import pytest

from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until

COMMAND = (sys.executable, "-m", "trunkline", "top")
LEAVES = b"\x1b[?1049l"


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_one_picture_is_for_scripts(proxy: Proxy) -> None:
    async with await proxy.connect() as client:
        await client.execute("CREATE TEMPORARY TABLE mine (id int)")
        code, output, errors = await run("--once", proxy.dsn())
    assert (code, errors) == (0, "")
    assert output.startswith("Trunkline ")
    assert "\x1b" not in output
    for title in ("POOLS by wait", "LATENCIES", "PINS, of 1"):
        assert title in output


async def test_the_file_that_is_served_names_its_console(proxy: Proxy) -> None:
    text = proxy.config_path.read_text()
    file = proxy.directory / "other.toml"
    file.write_text(text.replace('"listen_port" = 0', f'"listen_port" = {proxy.port}'))
    code, output, _ = await run("--once", str(file))
    assert (code, output.startswith("Trunkline ")) == (0, True)


async def test_a_console_that_is_not_there_is_explained(proxy: Proxy) -> None:
    code, output, errors = await run("--once", "postgres://127.0.0.1:1/x")
    assert (code, output) == (1, "")
    assert "the console cannot be reached" in errors


class Terminal:
    """Our side of a terminal, and all that was written to it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.written = b""
        asyncio.get_running_loop().add_reader(descriptor, self._on_output)

    def _on_output(self) -> None:
        with contextlib.suppress(OSError):  # its other side is closed
            self.written += os.read(self.descriptor, 1 << 16)

    def type(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    async def shows(self, text: bytes) -> None:
        await wait_until(lambda: text in self.written, what=f"{text!r} is shown")


@pytest.fixture
async def terminal() -> AsyncIterator[tuple[Terminal, int]]:
    ours, theirs = pty.openpty()
    yield Terminal(ours), theirs
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)
    os.close(theirs)


async def test_a_live_view_sorts_refreshes_and_leaves_the_terminal_as_it_was(
    proxy: Proxy, terminal: tuple[Terminal, int]
) -> None:
    screen, theirs = terminal
    termios.tcsetwinsize(theirs, (30, 120))
    before = termios.tcgetattr(theirs)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, proxy.dsn(), "--interval", "60", stdin=theirs, stdout=theirs, stderr=theirs
    )
    await screen.shows(b"POOLS by wait")
    screen.type(b"s")
    await screen.shows(b"POOLS by active")
    assert b"queries/s" not in screen.written
    screen.type(b" ")
    await screen.shows(b"queries/s")
    assert LEAVES not in screen.written
    screen.type(b"q")
    assert await process.wait() == 0
    await screen.shows(LEAVES)
    assert termios.tcgetattr(theirs) == before
